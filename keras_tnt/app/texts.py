"""The texts of the page."""


def introduction(name: str, classes: int, size: tuple[int, int], depth: int) -> str:
    """Return what the page does and what to do, in Markdown.

    Args:
        name: name of the model.
        classes: number of its classes.
        size: ``(height, width)`` of its images.
        depth: number of blocks whose attention can be shown.

    Example:
        >>> from keras_tnt.app.texts import introduction
        >>> introduction("pets", 37, (224, 224), 12).splitlines()[0]
        '# Classify images with pets'
    """
    shown = "the parts of the image that the model looks at"
    if not depth:
        shown = (
            "the image as the model sees it; attention cannot be shown, because the "
            "model is not a TNT in Keras"
        )
    return (
        f"# Classify images with {name}\n"
        "Upload an image, or click an example. The page shows the most likely of "
        f"{classes:,} classes, and {shown}. The model resizes images to {size[1]} x "
        f"{size[0]} pixels."
    )


HOW_TO_READ = (
    "The model divides the image into patches. **Bright patches** are those that it "
    "looks at most in the chosen block. The **blue outline** marks the brightest one. "
    "The lower panels show this patch alone, and where the model looks inside it."
)
