"""A page to try students on a microphone or a file, side by side. Nothing leaves the machine."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from config import UserError
from data.features.decode import read_blocks
from deploy.picture import Listening, heard
from deploy.student import Student
from deploy.tags import Naming, Row
from deploy.windows import windows

if TYPE_CHECKING:
    from gradio import Blocks

ADDRESS = "127.0.0.1"  # where browsers allow a microphone without a certificate
LONGEST_SECONDS = 300  # of a recording that the page shows
HOUR = 3600  # s, after which the page forgets a recording
WELCOME = (
    "Upload a recording, or record one: what each model hears of it, and how probable it finds "
    f"each tag. The first {LONGEST_SECONDS // 60} minutes are heard; nothing leaves this machine."
)


def serve(listeners: Sequence[Listener], port: int) -> None:
    """Until Ctrl-C. Raises UserError where Gradio is not installed or the port is taken."""
    check_port(port)
    gradio = import_gradio()
    blocks = page(gradio, listeners)
    font = ["system-ui", "sans-serif"]
    try:
        blocks.launch(
            server_name=ADDRESS,
            server_port=port,
            theme=gradio.themes.Soft(primary_hue="orange", font=font, font_mono=["monospace"]),
            footer_links=[],
            ssr_mode=False,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
        )
        print(f"http://{ADDRESS}:{port} is ready; Ctrl-C ends it", flush=True)
        threading.Event().wait()
    finally:
        blocks.close(verbose=False)


@dataclass(frozen=True, slots=True)
class Listener:
    """A student, and how it is asked."""

    student: Student
    naming: Naming
    window: float  # s
    hop: float  # s

    def hear(self, path: Path) -> Listening:
        """Raises BadAudio."""
        student, hearing = self.student, self.student.hearing
        found = Listening(student.description, self.naming, self.window)
        for start, end, waveforms in windows(read_blocks(path), [hearing], self.window, self.hop):
            if start >= LONGEST_SECONDS:
                break
            probabilities, mel = student.hear(waveforms[hearing])
            found.rows.append(Row(path.name, start, end, probabilities))
            if mel is not None:
                found.mels.append(mel.mean(axis=0))
        return found


def page(gradio: ModuleType, listeners: Sequence[Listener]) -> Blocks:
    def tag(path: str | None) -> str:
        if path is None:
            return ""
        try:
            return heard([listener.hear(Path(path)) for listener in listeners])
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
            label="A recording",
            buttons=["download"],  # not the one that shares it with the world
            editable=False,
        )
        found = gradio.HTML()
        audio.change(tag, audio, found, api_name="tag")
    return blocks


def import_gradio() -> ModuleType:
    """Gradio, told to keep to itself. Raises UserError where it is not installed."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_RUN_HISTORY"] = "False"
    for name in ("NO_PROXY", "no_proxy"):  # it asks its own server whether it is up
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), ADDRESS]))
    try:
        import gradio
    except ImportError as error:
        raise UserError(
            f"--web wants Gradio ({error}): python -m pip install -r requirements-web.txt"
        ) from None
    return gradio


def check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError as error:
            raise UserError(f"port {port}: {error.strerror}; choose another with --port") from None
