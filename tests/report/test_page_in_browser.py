"""The page in headless Chromium: pictures, console, sorting, audio, narrow screens and print."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.report.conftest import RUN

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--mute-audio", "--autoplay-policy=no-user-gesture-required"),
)
pytestmark = pytest.mark.skipif(
    not shutil.which(CHROMIUM), reason=f"no browser: {CHROMIUM} is not installed"
)

CONTRAST = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((value) => value / 255);
  const light = (colour) => {
    const [r, g, b] = channels(colour).map(
      (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = light(getComputedStyle(document.body).backgroundColor);
  const raised = light(getComputedStyle(document.querySelector("article")).backgroundColor);
  // Counts in the cells of a matrix are black or white, on the colours of the matrix.
  const onImage = (e) =>
    e.closest("svg")?.querySelector("image") && !(e.getAttribute("style") ?? "").includes("var(");
  const texts = [...document.querySelectorAll("svg text, p, td, th, dt, figcaption")];
  const ratios = texts.filter((e) => !onImage(e)).map((e) => {
    const style = getComputedStyle(e);
    const own = light(e.matches("svg text") ? style.fill : style.color);
    const behind = e.closest("article") ? raised : paper;
    return (Math.max(own, behind) + 0.05) / (Math.min(own, behind) + 0.05);
  });
  return Math.min(...ratios);
}"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    profile = tmp_path_factory.mktemp("profile")
    with playwright.sync_playwright() as started:
        context = started.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=FLAGS, viewport={"width": 1100, "height": 900}
        )
        yield context
        context.close()


@pytest.fixture(scope="module", params=["tags", "scenes"])
def opened(request, browser):
    """A page, with its console messages and requests while it was opened."""
    place: Path = request.getfixturevalue(request.param)
    page, noise = browser.new_page(), []
    page.on("console", lambda message: noise.append(message.text))
    page.on("pageerror", lambda error: noise.append(str(error)))
    page.on("request", lambda request: noise.append(request.url))
    page.on("dialog", lambda dialog: noise.append(dialog.message))
    address = (place / RUN / "report.html").as_uri()
    page.goto(address)
    yield page, noise, address
    page.close()


def test_nothing_is_fetched_and_the_console_is_empty(opened):
    page, noise, address = opened
    page.wait_for_timeout(200)
    messages = [text for text in noise if not text.startswith("data:")]
    assert messages == [address]
    assert page.evaluate("document.scripts.length") == 1


def test_every_picture_is_drawn(opened):
    page, _, _ = opened
    sizes = page.evaluate(
        "[...document.querySelectorAll('.pictures svg, article svg')].map((svg) => {"
        " const box = svg.getBoundingClientRect(), drawn = svg.getBBox();"
        " return [box.width, box.height, drawn.width, drawn.height]; })"
    )
    assert len(sizes) > 20
    assert min(map(min, sizes)) > 50
    images = "[...document.querySelectorAll('svg image')].map((i) => i.getBoundingClientRect())"
    assert page.evaluate(f"{images}.every((box) => box.width > 20 && box.height > 20)")


def test_a_click_on_a_heading_sorts(opened):
    page, _, _ = opened
    table = page.locator("table.sortable").first
    heading = table.locator("th", has=page.get_by_text("MACs"))
    place = heading.evaluate("(th) => th.cellIndex")

    def values() -> list[float]:
        return table.evaluate(
            "(table, place) => [...table.tBodies[0].rows].map("
            "(row) => Number(row.cells[place].dataset.value))",
            place,
        )

    before = values()
    assert before != sorted(before)
    heading.locator("button").click()
    assert values() == sorted(before)
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.locator("button").click()
    assert values() == sorted(before, reverse=True)
    systems = table.locator("th", has=page.get_by_text("system"))
    systems.locator("button").focus()
    page.keyboard.press("Enter")
    assert systems.get_attribute("aria-sort") == "ascending"
    assert heading.get_attribute("aria-sort") is None
    texts = table.locator("tbody th").all_inner_texts()
    assert texts == sorted(texts)


def test_sounds_load_and_play(opened):
    page, _, _ = opened
    durations = page.evaluate(
        "Promise.all([...document.querySelectorAll('audio')].map(async (audio) => {"
        " if (audio.readyState < 1) await new Promise((loaded) => "
        "audio.addEventListener('loadedmetadata', loaded, { once: true }));"
        " return audio.duration; }))"
    )
    assert len(durations) >= 2
    assert durations == pytest.approx([0.5] * len(durations), abs=0.01)
    played = page.evaluate(
        "new Promise((done) => { const audio = document.querySelector('audio');"
        " audio.addEventListener('ended', () => done(audio.currentTime), { once: true });"
        " audio.play(); })"
    )
    assert played == pytest.approx(0.5, abs=0.01)


def test_a_phone_scrolls_in_one_direction(opened):
    page, _, _ = opened
    page.set_viewport_size({"width": 390, "height": 844})
    widths = page.evaluate("[document.documentElement.scrollWidth, document.body.scrollWidth]")
    page.set_viewport_size({"width": 1100, "height": 900})
    assert max(widths) <= 390


def test_the_first_column_stays_while_a_table_scrolls(opened):
    page, _, _ = opened
    page.set_viewport_size({"width": 390, "height": 844})
    table = page.locator(".wide").first
    position = "(wide) => wide.querySelector('tbody th').getBoundingClientRect().left"
    before = table.evaluate(position)
    moved = table.evaluate("(wide) => { wide.scrollLeft = 150; return wide.scrollLeft; }")
    after = table.evaluate(position)
    table.evaluate("(wide) => { wide.scrollLeft = 0; }")
    page.set_viewport_size({"width": 1100, "height": 900})
    assert moved == 150
    assert after == before


def test_no_table_is_cut_in_print(opened):
    page, _, _ = opened
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 688, "height": 900})  # A4 less its margins, at 96 px an inch
    right = page.evaluate(
        "Math.max(...[...document.querySelectorAll('table')].map("
        "(table) => table.getBoundingClientRect().right))"
    )
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": 1100, "height": 900})
    assert right <= 688


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_are_legible(opened, scheme):
    page, _, _ = opened
    page.emulate_media(color_scheme=scheme)
    behind = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (behind == "rgb(255, 255, 255)") == (scheme == "light")
    assert page.evaluate(CONTRAST) >= 4.5
