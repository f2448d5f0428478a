"""A web page to compare students on a microphone or a file. No data leaves the machine."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from config import UserError
from data.features.decode import read_blocks
from deploy.picture import RecordingPrediction, predictions_html
from deploy.student import Student
from deploy.tags import Row, TagSelection

if TYPE_CHECKING:
    from gradio import Blocks

ADDRESS = "127.0.0.1"  # where browsers allow a microphone without a certificate
NAMES = (ADDRESS, "localhost")
LONGEST_SECONDS = 300  # the page processes no more of a recording
LARGEST_UPLOAD = "200mb"  # 5 minutes of any usual format, and an hour of MP3
HOUR = 3600  # s, after which an uploaded recording is deleted
WELCOME = (
    "Upload a recording, or record one, to see the input of each model and how probable each "
    f"class is over time. Only the first {LONGEST_SECONDS // 60} minutes are processed. No data "
    "leaves this machine."
)


def serve(taggers: Sequence[Tagger], port: int) -> None:
    """Serve until Ctrl-C. Raises UserError if Gradio is not installed or the port is in use."""
    check_port(port)
    gradio = import_gradio()
    blocks = page(gradio, taggers)
    font = ["system-ui", "sans-serif"]
    try:
        blocks.launch(
            server_name=ADDRESS,
            server_port=port,
            max_file_size=LARGEST_UPLOAD,
            app_kwargs={"middleware": [(OwnRequests, (), {})]},
            theme=gradio.themes.Soft(primary_hue="orange", font=font, font_mono=["monospace"]),
            footer_links=[],
            ssr_mode=False,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
        )
        print(f"http://{ADDRESS}:{port} is ready; press Ctrl-C to stop", flush=True)
        wait_for_ever()
    finally:
        blocks.close(verbose=False)


def wait_for_ever() -> None:
    threading.Event().wait()


class OwnRequests:
    """Refuses what does not come from this page, as another page in the browser can send it.

    A request is for this machine by its name, not for a name of the other page's that leads here
    (DNS rebinding), and its Origin is this address.
    """

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = dict(scope["headers"])
            host, origin = headers.get(b"host", b"").decode("latin-1"), headers.get(b"origin")
            if host.partition(":")[0] not in NAMES or origin not in (
                None,
                f"http://{host}".encode(),
            ):
                await send({"type": "http.response.start", "status": 403, "headers": []})
                await send({"type": "http.response.body", "body": b"not from this page"})
                return
        await self.app(scope, receive, send)


@dataclass(frozen=True, slots=True)
class Tagger:
    """A student, its windows, and its selection of tags."""

    student: Student
    selection: TagSelection
    window: float  # s
    hop: float  # s

    def predict(self, path: Path) -> RecordingPrediction:
        """Raises BadAudio."""
        found = RecordingPrediction(self.student.description, self.selection, self.window)
        blocks = read_blocks(path)
        for start, end, prediction in self.student.predict_blocks(blocks, self.window, self.hop):
            if start >= LONGEST_SECONDS:
                break
            found.rows.append(Row(path.name, start, end, prediction.probabilities))
            if prediction.mel is not None:
                found.mels.append(prediction.mel.mean(axis=0))
        return found


def page(gradio: ModuleType, taggers: Sequence[Tagger]) -> Blocks:
    def tag(path: str | None) -> str:
        if path is None:
            return ""
        try:
            return predictions_html([tagger.predict(Path(path)) for tagger in taggers])
        except UserError as error:
            message = str(error).replace(path, Path(path).name)
            return f'<p role="alert">{escape(message)}</p>'

    with gradio.Blocks(
        title="Soundstill", analytics_enabled=False, delete_cache=(HOUR, HOUR)
    ) as blocks:
        gradio.Markdown(f"# Soundstill\n{WELCOME}")
        audio = gradio.Audio(
            sources=["upload", "microphone"],
            type="filepath",
            label="Recording",
            buttons=["download"],  # not the button that publishes it
            editable=False,
        )
        found = gradio.HTML()
        audio.change(tag, audio, found, api_name="tag")
    return blocks


def import_gradio() -> ModuleType:
    """Gradio without telemetry. Raises UserError if it is not installed."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_RUN_HISTORY"] = "False"
    for name in ("NO_PROXY", "no_proxy"):  # Gradio polls its own server
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), ADDRESS]))
    try:
        import gradio
    except ImportError as error:
        raise UserError(
            f"--web requires Gradio ({error}): python -m pip install -r requirements-web.txt"
        ) from None
    return gradio


def check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError as error:
            raise UserError(f"port {port}: {error.strerror}; choose another with --port") from None
