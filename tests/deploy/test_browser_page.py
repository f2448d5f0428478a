"""The page of export_student.py --format browser, in headless Chromium."""

import csv
import http.server
import json
import shutil
import subprocess
import sys
import threading
from functools import partial

import numpy as np
import pytest
import soundfile

import deploy.browser_page
from config import UserError
from deploy import onnx_file
from deploy.browser_page import FILES, RUNTIME, RUNTIME_FILES, write_page
from deploy.export import onnx_models
from deploy.windows import AudioSpec, windows
from tests.deploy.stand_in import DESCRIPTION, make_student
from tests.deploy.trained import RATE, built, described
from tests.scripts import ROOT, environment

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
FLAGS += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
JAVASCRIPT = "text/javascript"
STUDENTS = ["float32.onnx", "int8.onnx", "stereo.onnx"]


def test_a_missing_runtime_is_one_line_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(deploy.browser_page, "RUNTIME", tmp_path / "dist")
    with pytest.raises(UserError, match="no such file; run `npm install --prefix .*browser`"):
        write_page(tmp_path / "page", STUDENTS)
    assert not (tmp_path / "page").exists()


def test_the_folder_has_the_page_its_runtime_and_the_names_of_the_students(tmp_path, monkeypatch):
    dist = tmp_path / "dist"
    dist.mkdir()
    for name in RUNTIME_FILES:
        (dist / name).write_text(name)
    monkeypatch.setattr(deploy.browser_page, "RUNTIME", dist)
    write_page(tmp_path / "page", STUDENTS)
    found = {str(p.relative_to(tmp_path / "page")) for p in tmp_path.glob("page/**/*.*")}
    assert found == {*FILES, "students.json", *(f"runtime/{name}" for name in RUNTIME_FILES)}
    assert json.loads((tmp_path / "page/students.json").read_text()) == STUDENTS


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A student with the real front end in two precisions, one of stereo, and a recording."""
    if not (RUNTIME / RUNTIME_FILES[0]).is_file():
        pytest.skip("needs onnxruntime-web: npm install --prefix deploy/browser")
    folder = tmp_path_factory.mktemp("place")
    description, random = described(width_mult=0.25), np.random.default_rng(0)
    clips = [random.standard_normal((8, 1, 98, 33)).astype(np.float32)]
    models, _ = onnx_models(built(description), description, ("float32", "int8"), clips)
    about = DESCRIPTION | {
        "classes": description.classes,
        "sample_rate": RATE,
        "clip_seconds": description.clip_seconds,
        "thresholds": [0.1, 0.5, 0.9],
    }
    page = folder / "page"
    for name, model in models.items():
        onnx_file.describe(model, about | {"precision": name})
        onnx_file.write(page / f"{name}.onnx", model)
    changes = {"channels": 2, "task": "single_label", "thresholds": [1, 1]}  # which are not used
    make_student(page / "stereo.onnx", name="stereo", **changes)
    write_page(page, STUDENTS)
    levels = np.repeat([0.02, 0.5, 0.1], [6000, 8000, 7000])[:, None]
    sound = levels * random.uniform(-1, 1, (21_000, 2))
    soundfile.write(folder / "street.wav", sound, RATE)
    (folder / "text.wav").write_text("no sound at all")
    return folder


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def address(place):
    handler = partial(Silent, directory=place / "page")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def page(place, address):
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    if not shutil.which(CHROMIUM):
        pytest.skip(f"needs {CHROMIUM}")
    microphone = f"--use-file-for-fake-audio-capture={place / 'street.wav'}"
    failed, requests = [], []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, microphone])
        opened = browser.new_page(viewport={"width": 390, "height": 844})
        opened.on("pageerror", lambda error: failed.append(str(error)))
        opened.on("console", lambda log: failed.append(log.text) if log.type == "error" else None)
        opened.on("request", lambda request: requests.append(request.url))
        opened.goto(address)
        yield opened
        browser.close()
    assert failed == []
    assert all(url.startswith((address, f"blob:{address}")) for url in requests)


def choose(page, student):
    page.locator("#students").select_option(student)
    name = {"stereo.onnx": "stereo ·"}.get(student, f"{student.removesuffix('.onnx')},")
    page.locator("#about", has_text=name).wait_for()


def tag(page, path, hop):
    page.locator("#hop").fill(str(hop))
    page.locator("#hop").press("Tab")
    page.locator("#file").set_input_files([])
    page.locator("#file").set_input_files(path)
    page.locator("#result[data-state=done]").wait_for()


def table(lines):
    head, *rows = csv.reader(lines.splitlines())
    return head, np.float64([row[1:] for row in rows])


@pytest.mark.parametrize("student", STUDENTS)
def test_the_probabilities_equal_those_of_tag_audio(page, place, student):
    choose(page, student)
    tag(page, place / "street.wav", 0.4)
    with page.expect_download() as download:
        page.locator("#save").click()
    assert download.value.suggested_filename == "street.csv"
    arguments = [place / "page" / student, "street.wav", "--format", "csv", "--hop", "0.4"]
    done = subprocess.run(
        [sys.executable, ROOT / "tag_audio.py", *arguments],
        cwd=place,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    head, found = table(download.value.path().read_text())
    expected_head, expected = table(done.stdout)
    assert head == expected_head
    assert len(found) > 4
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_classes_have_thresholds_and_the_page_fits_a_phone(page, place):
    choose(page, "float32.onnx")
    tag(page, place / "street.wav", 0.5)
    page.locator("#windows tr").nth(4).wait_for(state="attached")
    names = page.locator("#chart .name").all_inner_texts()
    heights = page.locator(".strip line").evaluate_all("l => l.map((x) => +x.getAttribute('y1'))")
    stored = dict(zip(described().classes, (0.1, 0.5, 0.9), strict=True))
    assert [1 - y for y in heights] == pytest.approx([stored[name] for name in names[1:]])
    assert page.locator("#windows tr").count() == 5
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_file_that_is_not_audio_is_refused(page, place):
    page.locator("#file").set_input_files(place / "text.wav")
    page.get_by_role("alert").wait_for()
    found = page.get_by_role("alert").inner_text()
    assert found == "text.wav: this browser cannot decode it as audio"


def test_the_file_that_was_chosen_last_can_be_chosen_again(page, place):
    """The browser reports only another choice than the last one."""
    page.locator("#file").set_input_files(place / "street.wav")
    with page.expect_file_chooser():
        page.get_by_text("Open a recording").click()
    assert page.locator("#file").evaluate("input => input.files.length") == 0


def test_the_microphone_is_tagged_until_it_is_stopped(page):
    choose(page, "stereo.onnx")
    page.locator("#microphone").click()
    page.locator("#now", has_text="loud").wait_for()
    page.locator("#microphone").click()
    assert page.locator("#microphone").get_attribute("aria-pressed") == "false"
    assert page.get_by_role("alert").count() == 0


CUT_BY_THE_PAGE = """async ([count, rate, seconds, hop, blocks]) => {
  const { Student, Windows } = await import("./student.js");
  const samples = Float32Array.from({ length: count }, (_, n) => n);
  const student = new Student({ outputNames: [] }, {
    task: "single_label", classes: ["a"], sample_rate: rate, channels: 1, clip_seconds: seconds,
  });
  student.predict = async ([window]) => ({ window: [...window] });
  const file = [], microphone = [];
  for await (const { window } of student.tag([samples], hop)) file.push(window);
  const stream = new Windows(1, rate, seconds, hop);
  for (let at = 0; at < count; at += blocks) {
    stream.push([[samples.slice(at, at + blocks)]]);
    for (let found; (found = stream.next()); ) microphone.push([...found[0]]);
  }
  return [file, microphone];
}"""


@pytest.mark.parametrize(
    ("rate", "seconds", "hop", "block"),
    [(10, 1.25, 1.25, 12), (10, 1.25, 0.75, 7), (10, 1.0, 0.45, 1), (11, 1.5, 1.5, 16)],
)
def test_windows_are_those_of_tag_audio_sample_by_sample(page, rate, seconds, hop, block):
    """Starts and lengths that are half a sample, blocks that end with a window."""
    count = 8 * rate
    blocks = [(np.arange(count, dtype=np.float32)[:, None], rate)]
    spec = AudioSpec(rate, 1)
    cut = [w.waveforms[spec][0].tolist() for w in windows(blocks, [spec], seconds, hop)]
    file, microphone = page.evaluate(CUT_BY_THE_PAGE, [count, rate, seconds, hop, block])
    assert file == cut
    assert len(microphone) >= len(cut) - 1 > 3
    assert microphone == cut[: len(microphone)]


SLOW = """async () => {
  const { Student } = await import("./student.js");
  Student.prototype.predict = async () => {
    for (const begin = performance.now(); performance.now() - begin < 40; );
    return { probabilities: [0.25, 0.75] };
  };
}"""


def test_a_recording_is_drawn_and_can_be_left_while_it_is_tagged(page, place, address):
    choose(page, "stereo.onnx")
    page.evaluate(SLOW)
    page.locator("#hop").fill("0.05")
    page.locator("#hop").press("Tab")
    soundfile.write(place / "long.wav", np.zeros(12 * RATE), RATE)  # 9 s of tagging
    page.locator("#file").set_input_files(place / "long.wav")
    page.locator("#windows tr").nth(5).wait_for(state="attached", timeout=5_000)
    page.locator("#file").set_input_files(place / "text.wav")
    page.get_by_role("alert").wait_for(timeout=5_000)
    assert page.locator("#result[data-state=done]").count() == 0
    page.goto(address)


def test_as_many_windows_are_drawn_as_a_long_recording_has(page, place, address):
    """More than a call of a function takes arguments."""
    script = (place / "page/page.js").read_text() + "globalThis.show = (r) => ((rows = r), draw());"
    page.route("**/page.js", lambda route: route.fulfill(body=script, content_type=JAVASCRIPT))
    page.goto(address)
    choose(page, "stereo.onnx")
    row = "({ start: n, end: n + 1, probabilities: [n / 2e5, 0.25] })"
    page.evaluate(f"show(Array.from({{ length: 2e5 }}, (_, n) => {row}))")
    assert page.locator("#windows tr").count() == 200_000
    assert page.locator("#chart .peak").all_inner_texts() == ["1.00", "0.25"]
    page.unroute("**/page.js")
