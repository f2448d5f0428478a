"""Pictures: matplotlib figures as SVG with the colours and the font of the page.

Each colour here stands for a variable of the page's style, so that a picture is legible on white,
on black and on paper. A system has the colour of its variant and the dash and marker of its
precision.
"""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from report.run import System
from report.section import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.typing import RcKeyType

INK, MUTED, FAINT, PAPER = "#000001", "#000002", "#000003", "#000004"
VARIABLES = {INK: "--ink", MUTED: "--muted", FAINT: "--faint", PAPER: "--paper"}
LOOKS = 7  # colours of systems; the page's style has as many
SYSTEM_COLOURS = tuple(f"#0001{look:02x}" for look in range(LOOKS))
VARIABLES |= {shade: f"--system-{look}" for look, shade in enumerate(SYSTEM_COLOURS)}
DASHES = {"float32": (), "float16": (5, 2), "int8": (1.5, 1.5)}  # px on, px off; (): solid
OTHER_DASH = (6, 2, 1.5, 2)
FILLS = {"float32": "full", "float16": "left", "int8": "none"}  # of markers
OTHER_FILL = "bottom"
MARKERS = ("D", "o", "s", "^", "v", "P", "X")
COLOURS = 128  # of an image
STANDS_FOR = re.compile("|".join(VARIABLES))
HEATMAP = "inferno"  # from dark to bright, legible without colour

SETTINGS: dict[RcKeyType, str | float] = {
    "svg.fonttype": "none",  # texts stay texts, in the font of the page
    "text.parse_math": False,  # a class may be called $x
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "figure.facecolor": "none",
    "figure.dpi": 72,  # a point is a pixel of the page
    "axes.facecolor": "none",
    "axes.edgecolor": FAINT,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.use_mathtext": False,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "lines.linewidth": 1.7,
}


def picture(
    name: str,
    draw: Callable[[Axes], None],
    *,
    title: str = "",
    width: int = 320,
    height: int = 230,
    left: int = 48,
    right: int = 10,
    bottom: int = 40,
    label: str = "",
) -> Picture:
    """`draw` takes the axes; sizes and margins are in pixels; `label` is for screen readers, where
    there is no title. The same input gives the same bytes.
    """
    import matplotlib
    from matplotlib.figure import Figure

    top = 24 if title else 8
    with matplotlib.rc_context(), warnings.catch_warnings():
        # The font of the page has characters that the one measured with here lacks.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        matplotlib.rcParams["svg.hashsalt"] = name
        figure = Figure((width / 72, height / 72))
        axes = figure.add_axes(
            (
                left / width,
                bottom / height,
                (width - left - right) / width,
                (height - bottom - top) / height,
            )
        )
        if title:
            axes.set_title(shortened(title, (width - left) // 7), pad=8)
        draw(axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return Picture(name, page_svg(file.getvalue(), title or label), width)


def page_svg(svg: str, label: str) -> str:
    """Matplotlib's file as an inline SVG: scaled and coloured by the page, without metadata.

    Ids of groups are dropped, because they are equal in all pictures; those of clip paths and
    markers, which are referred to, differ by the picture's name.
    """
    from markupsafe import escape

    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"\s*<defs>\s*<style .*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'<g id="[a-zA-Z0-9_.]+">', "<g>", svg)
    svg = re.sub(r'(?<=\s)(?:d|x|y|points)="[^"]*"', rounded, svg)
    svg = re.sub(r'style="[^"]*"', with_variables, svg)
    svg = re.sub(r"(?<=data:image/png;base64,)[^\"]*", lambda found: smaller(found[0]), svg)
    head, _, body = svg.partition(">")
    box = head.partition('viewBox="')[2].partition('"')[0]
    size = box.split()[2]
    return (
        f'<svg viewBox="{box}" role="img" aria-label="{escape(label)}" '
        f'style="max-width: {1.3 * float(size):.0f}px">{body.strip()}'
    )


def standalone(panels: Sequence[Picture], height: int) -> str:
    """One SVG file of pictures side by side, light or dark as the reader's screen."""
    page = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    style = re.findall(r":root.*?\n\}\n@media.*?\n\}\n", page, re.DOTALL)[0]
    placed, width = [], 0
    for panel in panels:
        place = f'<svg x="{width}" width="{panel.width}" height="{height}" '
        placed.append(panel.svg.replace("<svg ", place, 1))
        width += panel.width
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f"<style>{style}svg {{ background: var(--paper) }} "
        f"text {{ font-family: var(--font) !important }}</style>{''.join(placed)}</svg>\n"
    )


def smaller(png: str) -> str:
    """A PNG, in base64, reduced to COLOURS: a third of the size."""
    from PIL import Image

    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    file = io.BytesIO()
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")


def rounded(found: re.Match[str]) -> str:
    return re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", found[0])


def with_variables(found: re.Match[str]) -> str:
    style = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", found[0])
    return STANDS_FOR.sub(lambda found: f"var({VARIABLES[found[0]]})", style)


def colour(look: int) -> str:
    """Of the systems with this `look`."""
    return SYSTEM_COLOURS[look % LOOKS]


def dash(system: System) -> tuple[int, tuple[float, ...]] | str:
    pattern = DASHES.get(system.precision, OTHER_DASH)
    return (0, pattern) if pattern else "solid"


def fill(system: System) -> str:
    """The fillstyle of its markers."""
    return FILLS.get(system.precision, OTHER_FILL)


def swatch(system: System) -> str:
    """The system's line and marker, for a legend."""
    dashes = " ".join(f"{1.7 * length:g}" for length in DASHES.get(system.precision, OTHER_DASH))
    shade = f"var(--system-{system.look % LOOKS})"
    line = f"stroke: {shade}; stroke-dasharray: {dashes or 0}"
    inside = {"full": "M18 5a4 4 0 1 0-8 0a4 4 0 1 0 8 0", "left": "M14 1a4 4 0 0 0 0 8z"}
    inside |= {"none": "", "bottom": "M10 5a4 4 0 0 0 8 0z"}
    return (
        '<svg viewBox="0 0 28 10" aria-hidden="true">'
        f'<path d="M0 5H28" style="{line}"/>'
        f'<circle cx="14" cy="5" r="4" style="fill: var(--paper); stroke: {shade}"/>'
        f'<path class="inside" d="{inside[fill(system)]}" style="fill: {shade}"/></svg>'
    )


def marker(number: int) -> str:
    return MARKERS[number % len(MARKERS)]


def shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def margin_for(names: Sequence[str], most: int = 24) -> int:
    """Width in pixels of the names at an axis."""
    return 14 + 6 * min(most, max(map(len, names)))
