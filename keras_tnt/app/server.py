"""The page's server: this machine only, and nothing fetched or sent."""

import os
import tempfile

from keras_tnt.app.page import STYLE, build_app, require_gradio
from keras_tnt.utils.typing import PathLike

MAX_FILE_BYTES = 50 * 2**20
MAX_VISITORS = 200  # whose last answers are kept in memory


def serve(
    model: str,
    examples: PathLike | None = None,
    host: str = "127.0.0.1",
    port: int = 7860,
) -> None:
    """Serves the page until the process is interrupted.

    Args:
        model: what `keras_tnt.inference.classifier.load_classifier` takes.
        examples: a directory of images to choose from; see `build_app`.
        host: the address to listen at; by default this machine's own visitors only.
        port: the port.

    Raises:
        OSError: if the port is taken.
        ImportError: as `build_app` does, and the other errors.

    Example:
        ```python
        from keras_tnt.app import serve

        serve("runs/demo", examples="holiday")
        ```
    """
    gradio = require_gradio()
    fonts = ["system-ui", "sans-serif"]
    with tempfile.TemporaryDirectory(prefix="keras-tnt-app-") as directory:
        # Not the directory for all users and all of Gradio's programs.
        os.environ["GRADIO_TEMP_DIR"] = directory
        app = build_app(model, examples)
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
                css=STYLE,
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
