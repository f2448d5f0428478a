import base64
import io
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from report.drawing import INK, LOOKS, colour, dash, fill, picture, shortened, swatch
from report.page import HERE
from report.run import System


def system(look, role="student"):
    return System(role, "bce", "dcase_small", look)


def lines(axes):
    axes.plot([0, 1], [0, 1], color=colour(1))
    axes.plot([1, 0], "o", color=INK)
    axes.set_xlabel("<b>&")


def test_the_same_drawing_gives_the_same_bytes_and_another_name_other_ids():
    first, again, other = (picture(name, lines, title="a").svg for name in ("one", "one", "two"))
    assert first == again
    ids = [set(re.findall(r'id="([^"]+)"', svg)) for svg in (first, other)]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_every_colour_is_a_variable_of_the_page_for_light_and_dark():
    svg = picture("one", lines).svg
    assert "var(--system-1)" in svg
    assert not re.search(r"#[0-9a-f]{6}", svg)
    style = (HERE / "page.css").read_text()
    for name in set(re.findall(r"var\((--[^)]+)\)", svg)) | {f"--system-{n}" for n in range(LOOKS)}:
        assert style.count(f"{name}:") == 2, name


@pytest.mark.parametrize("title", ["<script>x</script>", "$x_{", "a & b", "狗叫", '"quoted"'])
def test_texts_of_users_are_texts(title):
    svg = picture("one", lines, title=title).svg
    root = ElementTree.fromstring(svg.replace("<svg ", '<svg xmlns:xlink="x" ', 1))
    texts = ["".join(found.itertext()) for found in root.iter() if found.tag.endswith("text")]
    assert title in texts
    assert "<b>&" in texts
    assert not any("script" in found.tag for found in root.iter())


def test_an_image_has_a_palette_and_its_size():
    def image(axes):
        axes.imshow(np.random.default_rng(0).uniform(size=(40, 60)), interpolation="none")

    (data,) = re.findall('data:image/png;base64,([^"]*)', picture("one", image).svg)
    found = Image.open(io.BytesIO(base64.b64decode(data)))
    assert (found.mode, found.size) == ("P", (60, 40))


def test_long_names_are_cut():
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abcde…"


def test_colour_is_by_variant_and_dash_and_fill_by_precision():
    precisions = [system(1, role) for role in ("student", "student@float16", "student@int8")]
    assert len({colour(one.look) for one in precisions}) == 1
    assert len({dash(one) for one in precisions}) == 3
    assert len({fill(one) for one in precisions}) == 3
    assert colour(2) != colour(1)
    assert dash(system(1, "student@epochs")) not in {dash(one) for one in precisions}


def test_a_legend_has_the_colour_dash_and_fill_of_its_system():
    assert "stroke: var(--system-1); stroke-dasharray: 0" in swatch(system(1))
    assert "stroke: var(--system-1); stroke-dasharray: 8.5 3.4" in swatch(
        system(1, "student@float16")
    )
    assert 'class="inside" d=""' in swatch(system(1, "student@int8"))
    assert 'class="inside" d="M' in swatch(system(1))
