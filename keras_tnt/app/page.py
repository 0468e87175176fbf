"""The page, made with Gradio."""

import base64
import html
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import tensorflow as tf

from keras_tnt.app.prediction import blend_overlay, explain_prediction
from keras_tnt.images import load_image, preprocess_input
from keras_tnt.inference.classifier import find_images, load_classifier
from keras_tnt.training.run_directory import RunDirectory
from keras_tnt.utils.typing import PathLike

MAX_EXAMPLES = 20
# Images wait on the disk for their turn, an answer in memory for its slider.
FORGET_FILES = (60, 600)  # every minute, those older than ten minutes
FORGET_ANSWER = 3600

STYLE = """
.gradio-container {max-width: 1200px !important; margin: auto}
.view, .view div, .problem-box, .problem-box div {padding: 0 !important}
.view img {width: 100%; border-radius: 8px; display: block}
.examples .gallery {gap: 6px}
.examples .gallery-item {padding: 2px}
.examples .gallery-item img {width: 54px; height: 54px; display: block}
.problem {padding: 12px 16px; border-left: 4px solid #c62828; border-radius: 4px;
          overflow-wrap: anywhere; background: #c6282818}
"""


def build_app(model: str, examples: PathLike | None = None) -> Any:
    """Build the page.

    Args:
        model: a source for `keras_tnt.inference.classifier.load_classifier`.
        examples: a directory of images to choose from, of which the first 20 are
            offered; by default those of a run of ``keras-tnt demo``, else none.

    Returns:
        A `gradio.Blocks`.

    Raises:
        ImportError: if Gradio is not installed.
        FileNotFoundError: if there is no such model, or no image in ``examples``.
        ValueError: if ``model`` is not a model, or an example cannot be decoded.

    Example:
        ```python
        from keras_tnt.app import build_app

        build_app("runs/demo").launch()
        ```
    """
    gradio = require_gradio()
    classifier = load_classifier(model)
    if examples is None and RunDirectory(model).images.is_dir():
        examples = RunDirectory(model).images
    paths = find_images([str(examples)])[:MAX_EXAMPLES] if examples else []
    thumbnails = [[_thumbnail(path)] for path in paths]
    name = Path(model).stem
    # The first image takes long, because the model is compiled: use a black one.
    first = explain_prediction(classifier, np.zeros((8, 8, 3), "uint8"))
    depth = 1 if first.maps is None else len(first.maps)

    def show(path, block):
        """Return the updates of the page for an uploaded file."""
        try:
            new = explain_prediction(classifier, load_image(path))
        except (OSError, ValueError) as error:
            # The visitor knows the file's name, not where the server keeps it.
            problem = str(error).replace(str(path), Path(path).name)
            return {
                message: gradio.HTML(_problem(problem), visible=True),
                found: gradio.Column(visible=False),
                looked: gradio.Column(visible=False),
                kept: None,
            }
        return {
            message: gradio.HTML(visible=False),
            found: gradio.Column(visible=True),
            looked: gradio.Column(visible=True),
            classes: dict(new.classes),
            view: _view(new, block),
            seconds: _timing(new),
            kept: new,
        }

    def show_example(index, block):
        return {upload: None} | show(paths[index], block)

    with gradio.Blocks(
        title=f"{name} - keras_tnt",
        analytics_enabled=False,
        delete_cache=FORGET_FILES,
    ) as app:
        kept = gradio.State(time_to_live=FORGET_ANSWER)  # one for each visitor
        gradio.Markdown(
            f"# Try {name} on your own images\n{_introduction(classifier, first)}"
        )
        with gradio.Row():
            with gradio.Column(min_width=300):
                upload = gradio.File(
                    label="Your image", file_types=["image"], height=150
                )
                chosen = gradio.Dataset(
                    components=["html"],
                    samples=thumbnails,
                    label="or an example",
                    type="index",
                    samples_per_page=MAX_EXAMPLES,
                    elem_classes="examples",
                    visible=bool(paths),
                )
            with gradio.Column(min_width=300):
                message = gradio.HTML(visible=False, elem_classes="problem-box")
                with gradio.Column(visible=False) as found:
                    classes = gradio.Label(label="It shows", buttons=[])
                    seconds = gradio.Markdown()
            with gradio.Column(min_width=300), gradio.Column(visible=False) as looked:
                view = gradio.HTML(elem_classes="view")
                slider = gradio.Slider(
                    1,
                    max(depth, 2),  # Gradio refuses a slider of one value
                    value=depth,
                    step=1,
                    label="Attention in block",
                    buttons=[],
                    visible=depth > 1,
                )
        outputs = [message, found, classes, seconds, looked, view, kept]
        # One image at a time, whoever sent it.
        event = {
            "concurrency_id": "model",
            "scroll_to_output": True,
            "api_visibility": "undocumented",
        }
        upload.upload(show, [upload, slider], outputs, api_name="show", **event)
        chosen.click(
            show_example,
            [chosen, slider],
            [upload, *outputs],
            api_name="show_example",
            **event,
        )
        slider.input(
            _view,
            [kept, slider],
            view,
            show_progress="hidden",
            trigger_mode="always_last",
            api_name="show_block",
            api_visibility="undocumented",
        )
    return app


def require_gradio() -> ModuleType:
    """Return Gradio, or raise an `ImportError` that says what to install.

    Returns:
        The `gradio` package.

    Example:
        ```python
        from keras_tnt.app import require_gradio

        print(require_gradio().__version__)
        ```
    """
    try:
        import gradio
    except ImportError as error:
        raise ImportError(
            "The page is made with Gradio, which could not be imported. Install it: "
            'pip install "keras-tnt[app]"'
        ) from error
    return gradio


def _view(kept, block):
    """The image with the attention of a block over it."""
    if kept is None:
        return ""
    if kept.maps is None:
        return _image_tag(kept.image, "What the model sees")
    overlay = blend_overlay(kept.image, kept.maps[block - 1])
    return _image_tag(overlay, f"Attention in block {block}")


def _thumbnail(path):
    return _image_tag(preprocess_input(load_image(path), 144, 1.0), path.stem)


def _image_tag(image, description):
    """An image inside the HTML, so that no other visitor can fetch it."""
    jpeg = tf.io.encode_jpeg(tf.cast(image, tf.uint8), quality=92).numpy()
    source = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
    return f'<img src="{source}" alt="{html.escape(description)}">'


def _introduction(classifier, first):
    _, height, width, _ = classifier.model.input_shape
    text = (
        f"It distinguishes {len(classifier.class_names):,} classes in images of "
        f"{width} x {height} pixels. "
    )
    if first.maps is None:
        return text + "Its attention cannot be shown, because it is not a TNT in Keras."
    return text + "The colors show what it attends to, a patch at a time."


def _timing(kept):
    classes, maps = (f"{1000 * part:,.0f} ms" for part in kept.seconds)
    if kept.maps is None:
        return f"The classes took {classes}."
    return f"The classes took {classes}, the attention {maps}."


def _problem(text):
    return f'<p class="problem" role="alert">{html.escape(text)}</p>'
