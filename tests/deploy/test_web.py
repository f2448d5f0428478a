"""The page of tag_audio.py --web, in a browser whose microphone plays a file."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import numpy as np
import pytest
import soundfile

import deploy.web
from tests.deploy.stand_in import expected_probabilities, make_student
from tests.scripts import ROOT, environment

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
FLAGS += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]

NOT_PLAYED = "Waveform load error"  # the player's message for a file that is not audio


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def web(folder, *arguments, env=None):
    return subprocess.Popen(
        [sys.executable, str(ROOT / "tag_audio.py"), "--web", *map(str, arguments)],
        cwd=folder,
        env=env or environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def refused(started):
    """The message of a process that ends with status 1."""
    message = started.communicate()[1]
    assert started.returncode == 1, message
    return message


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Two students of opposite predictions, and a recording of 1.25 s, loud from 0.5 s on."""
    folder = tmp_path_factory.mktemp("sounds")
    make_student(folder / "student.onnx")
    make_student(folder / "teacher.onnx", name="teacher seed 0", weight=(-20.0, 20.0), mel=False)
    levels = np.repeat([0.1, 0.4], [4000, 6000])
    soundfile.write(folder / "street.wav", levels * (-1) ** np.arange(10_000), 8000)
    (folder / "text.wav").write_text("no sound at all")
    return folder


@pytest.fixture(scope="module")
def address(sounds):
    pytest.importorskip("gradio", reason="needs Gradio (requirements-web.txt)")
    port, uploads = free_port(), sounds / "uploads"
    env = environment() | {"GRADIO_TEMP_DIR": str(uploads)}
    started = web(sounds, "student.onnx", "teacher.onnx", "--port", port, env=env)
    line = started.stdout.readline()
    assert line.startswith(f"http://127.0.0.1:{port} is ready"), started.stderr.read()
    yield f"http://127.0.0.1:{port}"
    started.send_signal(signal.SIGINT)
    assert started.communicate() == ("", "")
    assert started.returncode == 130
    assert [*uploads.rglob("*.wav")] == []  # uploaded recordings are deleted


@pytest.fixture(scope="module")
def browser(sounds):
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    if not CHROMIUM.exists():
        pytest.skip(f"needs {CHROMIUM}")
    microphone = f"--use-file-for-fake-audio-capture={sounds / 'street.wav'}"
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, microphone])
        yield launched
        launched.close()


@pytest.fixture(params=[1280, 390])
def page(request, browser, address):
    """The open page; checks that all requests were local and that no script failed."""
    context = browser.new_context(viewport={"width": request.param, "height": 900})
    opened, requests, failed = context.new_page(), [], []
    opened.on("request", lambda request: requests.append(urlsplit(request.url)))
    opened.on("pageerror", lambda error: failed.append(error.message))
    opened.on("console", lambda log: failed.append(log.text) if log.type == "error" else None)
    opened.goto(address)
    yield opened
    failed = [text for text in failed if NOT_PLAYED not in text]
    assert {url.hostname for url in requests if url.scheme not in ("data", "blob")} == {"127.0.0.1"}
    assert failed == []
    context.close()


def upload(page, path):
    page.locator("input[type=file]").set_input_files(path)


def test_an_uploaded_file_is_tagged_by_each_model(page, sounds):
    upload(page, sounds / "street.wav")
    page.locator(".predictions .student").nth(1).wait_for()
    student, teacher = page.locator(".predictions .student").all()
    assert student.locator("h3").inner_text() == "stand-in seed 0"
    assert teacher.locator("h3").inner_text() == "teacher seed 0"
    loudest, quietest = (
        f"{expected_probabilities(0.4)[0]:.2f}",
        f"{expected_probabilities(0.1)[1]:.2f}",
    )
    assert student.locator(".peak").all_inner_texts() == ["", quietest, loudest]
    assert student.locator("img").evaluate("picture => picture.naturalHeight") == 4
    assert teacher.locator("img").count() == 0
    assert student.locator("rect.tag").count() == 3
    student.locator("summary").click()
    cells = student.locator("td").all_inner_texts()
    assert cells[2:4] == ["00:00.50 to 00:01.00", f"loud {loudest}"]


def test_names_and_values_are_aligned_and_nothing_overflows(page, sounds):
    upload(page, sounds / "street.wav")
    page.locator(".predictions .student").nth(1).wait_for()
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width == page.viewport_size["width"]
    names, values = (page.locator(f".student .{kind}").all() for kind in ("name", "peak"))
    tops = [
        [box["y"] + box["height"] / 2 for box in (item.bounding_box() for item in items) if box]
        for items in (names, values)
    ]
    assert len(tops[0]) == 5
    assert max(np.abs(np.diff(tops, axis=0)).ravel()) < 12


def test_a_file_that_is_not_audio_is_refused(page, sounds):
    upload(page, sounds / "text.wav")
    page.get_by_role("alert").filter(has_text="not readable as audio").wait_for()
    assert re.match(r"text\.wav: not readable", page.get_by_role("alert").last.inner_text())


def test_the_microphone_is_tagged(page):
    page.get_by_label("Record audio").click()
    page.get_by_role("button", name="Record", exact=True).click()
    page.get_by_role("button", name="Stop").wait_for()
    page.wait_for_timeout(1200)  # ms
    page.get_by_role("button", name="Stop").click()
    page.locator(".predictions .student").nth(1).wait_for()
    assert page.locator(".student").first.locator("rect.tag").count() >= 2


def status(address, path="/", content=None, **headers):
    """The HTTP status of a request with these headers."""
    request = Request(f"{address}{path}", content, headers)
    try:
        with urlopen(request, timeout=30) as found:
            return found.status
    except HTTPError as error:
        return error.code


def form(content):
    """(body, Content-Type) of an upload."""
    head = 'Content-Disposition: form-data; name="files"; filename="a.wav"'
    body = b"\r\n".join([b"--b", head.encode(), b"", content, b"--b--", b""])
    return body, "multipart/form-data; boundary=b"


def test_only_this_page_is_answered_and_large_files_are_refused(tmp_path, monkeypatch):
    """Another page can name this machine (DNS rebinding), and can send requests to it."""
    pytest.importorskip("gradio", reason="needs Gradio (requirements-web.txt)")
    port, found = free_port(), {}
    address = f"http://127.0.0.1:{port}"

    def send_requests():
        for host in (f"127.0.0.1:{port}", f"localhost:{port}", "localhost:9", "evil.test"):
            found[host] = status(address, Host=host)
        for origin in (address, "http://evil.test", "null", "http://127.0.0.1:9"):
            found[origin] = status(address, Origin=origin)
        for size in (1_000, 100_000):
            body, kind = form(bytes(size))
            found[size] = status(address, "/gradio_api/upload", body, **{"Content-Type": kind})

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(deploy.web, "LARGEST_UPLOAD", "10kb")
    monkeypatch.setattr(deploy.web, "wait_for_ever", send_requests)
    deploy.web.serve([], port)
    assert found == {
        **{f"127.0.0.1:{port}": 200, f"localhost:{port}": 200, "localhost:9": 200},
        **{"evil.test": 403, address: 200, "http://evil.test": 403, "null": 403},
        **{"http://127.0.0.1:9": 403, 1_000: 200, 100_000: 413},
    }


def test_a_port_in_use_is_named(sounds):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        message = refused(web(sounds, "student.onnx", "--port", port))
    assert message.startswith(f"tag_audio.py: port {port}: ")
    assert message.endswith("; choose another with --port\n")


def test_without_gradio_the_message_names_the_requirements(sounds, tmp_path):
    (tmp_path / "gradio.py").write_text("raise ImportError('no gradio here')")
    message = refused(
        web(sounds, "student.onnx", env=environment() | {"PYTHONPATH": str(tmp_path)})
    )
    assert "python -m pip install -r requirements-web.txt" in message
    assert "Traceback" not in message
