"""The page, made with Gradio, and its server: nothing is fetched or sent elsewhere."""

import contextlib
import functools
import html
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from keras_tnt.app.prediction import attention_image, explain_prediction
from keras_tnt.app.texts import HOW_TO_READ, introduction
from keras_tnt.images import load_image, preprocess_input
from keras_tnt.inference.classification import find_images
from keras_tnt.inference.classifier import load_classifier
from keras_tnt.training.run_directory import RunDirectory
from keras_tnt.utils.typing import PathLike

TEMP_DIR = "GRADIO_TEMP_DIR"  # the environment variable
MAX_EXAMPLES = 20
MAX_FILE_BYTES = 50 * 2**20
MAX_VISITORS = 200  # whose last answers are kept in memory, each for at most an hour
FORGET_ANSWER = 3600
FORGET_FILES = (60, 600)  # every minute, those older than ten minutes
FIXED: dict = {"interactive": False, "buttons": []}
GRID = FIXED | {"columns": 3, "fit_columns": False, "height": 240}
GRID["allow_preview"] = False  # a click chooses the image
SLIDER: dict = {"label": "Block of the model, 1 is the first", "buttons": []}


def build_app(
    model: str, examples: PathLike | None = None, apply_orientation: bool = True
) -> Any:
    """Build the page.

    Args:
        model: a source for `keras_tnt.inference.classifier.load_classifier`.
        examples: a directory of images to choose from, of which the first 20 are
            offered; by default those of a run of ``keras-tnt demo``, else none.
        apply_orientation: whether to turn images upright, as their EXIF orientation
            says; see `keras_tnt.load_image`.

    Returns:
        A `gradio.Blocks`.

    Raises:
        ImportError: if Gradio or Matplotlib is not installed.
        FileNotFoundError: if there is no such model, or no image in ``examples``.
        ValueError: if ``model`` is not a model, or an example cannot be decoded.

    Example:
        ```python
        from keras_tnt.app import build_app

        build_app("runs/demo").launch()
        ```
    """
    _check_packages()
    import gradio

    classifier = load_classifier(model)
    if examples is None and RunDirectory(model).images.is_dir():
        examples = RunDirectory(model).images
    paths = find_images([str(examples)])[:MAX_EXAMPLES] if examples else []
    load = functools.partial(load_image, apply_orientation=apply_orientation)
    thumbnails = [(_thumbnail(load(path)), path.stem) for path in paths]
    # The first image takes long, because the model is compiled: use a black one.
    depth = len(explain_prediction(classifier, np.zeros((8, 8, 3), "uint8")).views)

    def view(kept, block):
        if kept is None or not kept.views:
            return kept and gradio.Image(kept.image, alt_text="What the model sees")
        figure = attention_image(kept, block)
        return gradio.Image(figure, alt_text=f"Attention in block {block}")

    def show(path, block):
        try:
            new = explain_prediction(classifier, load(path))
        except (OSError, ValueError) as error:
            # The visitor knows the file's name, not where the server keeps it.
            problem = str(error).replace(str(path), Path(path).name)
            gradio.Warning(html.escape(problem), duration=None)
            return None, "", None, None
        times = "Time: {:,.0f} ms for the classes, {:,.0f} ms for the attention."
        times = times.format(*(1000 * part for part in new.seconds))
        return dict(new.classes), times, view(new, block), new

    def show_example(block, event: gradio.SelectData):
        return None, *show(paths[event.index], block)

    name = Path(model).stem
    with gradio.Blocks(
        title=f"{name} - keras_tnt", analytics_enabled=False, delete_cache=FORGET_FILES
    ) as app:
        kept = gradio.State(time_to_live=FORGET_ANSWER)  # one for each visitor
        gradio.Markdown(
            introduction(
                name,
                len(classifier.class_names),
                classifier.model.input_shape[1:3],
                depth,
            )
        )
        with gradio.Row():
            with gradio.Column(min_width=300):
                upload = gradio.File(label="Upload an image", file_types=["image"])
                gallery = gradio.Gallery(
                    thumbnails, label="Examples", visible=bool(paths), **GRID
                )
                classes = gradio.Label(label="Most likely classes", buttons=[])
                seconds = gradio.Markdown()
            with gradio.Column(min_width=300):
                last = max(depth, 2)  # Gradio refuses a slider of one value
                slider = gradio.Slider(
                    1, last, max(depth, 1), step=1, visible=depth > 1, **SLIDER
                )
                # A label would cover the titles of the figure.
                image = gradio.Image(format="png", show_label=False, **FIXED)
                gradio.Markdown(HOW_TO_READ, visible=depth > 0)
        outputs = [classes, seconds, image, kept]
        # One image at a time, whoever sent it.
        hidden = {"api_visibility": "undocumented"}
        one = hidden | {"concurrency_id": "model"}
        upload.upload(show, [upload, slider], outputs, scroll_to_output=True, **one)
        gallery.select(show_example, slider, [upload, *outputs], **one)
        latest = hidden | {"show_progress": "hidden", "trigger_mode": "always_last"}
        slider.input(view, [kept, slider], image, api_name="show_block", **latest)
    return app


def serve(
    model: str,
    examples: PathLike | None = None,
    host: str = "127.0.0.1",
    port: int = 7860,
    apply_orientation: bool = True,
) -> None:
    """Serve the page until the process is interrupted.

    Args:
        model: a source for `keras_tnt.inference.classifier.load_classifier`.
        examples: a directory of images to choose from; see `build_app`.
        host: the address to listen at; by default only this machine reaches it.
        port: the port.
        apply_orientation: whether to turn images upright; see `build_app`.

    Raises:
        OSError: if the port is taken.
        ValueError: if ``port`` is not the number of a port.
        ImportError: as `build_app` does, and the other errors.

    Example:
        ```python
        from keras_tnt.app import serve

        serve("runs/demo", examples="holiday")
        ```
    """
    if not 0 < port < 2**16:
        raise ValueError(f"The port must be from 1 to 65535, got {port}.")
    with _own_directory():
        app = build_app(model, examples, apply_orientation)
        import gradio

        fonts = ["system-ui", "sans-serif"]
        try:
            _, url, _ = app.launch(
                server_name=host,
                server_port=port,
                share=False,
                ssr_mode=False,
                enable_monitoring=False,
                max_file_size=MAX_FILE_BYTES,
                state_session_capacity=MAX_VISITORS,
                theme=gradio.themes.Default(font=fonts, font_mono=fonts),
                footer_links=[],
                quiet=True,
                prevent_thread_lock=True,
            )
        except OSError as error:
            raise OSError(
                f"Cannot listen at {host}, port {port}: it may be taken. Choose "
                "another with --port."
            ) from error
        print(f"Open {url} in a browser. Ctrl+C ends the server.", flush=True)
        app.block_thread()


@contextlib.contextmanager
def _own_directory() -> Iterator[None]:
    """Keep Gradio's files apart from those of others, and delete them."""
    before = os.environ.get(TEMP_DIR)
    with tempfile.TemporaryDirectory(prefix="keras-tnt-app-") as directory:
        os.environ[TEMP_DIR] = directory
        try:
            yield
        finally:
            del os.environ[TEMP_DIR]
            if before is not None:
                os.environ[TEMP_DIR] = before


def _check_packages():
    try:
        import gradio  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "The page needs Gradio and Matplotlib, which could not be imported. "
            'Install them: pip install "keras-tnt[app]"'
        ) from error


def _thumbnail(image):
    return preprocess_input(image, 144, 1.0).numpy().astype("uint8")
