"""The table of all losses of docs/losses.md, from their declarations and docstrings."""

from __future__ import annotations

import inspect
import re

from losses import LOSSES
from losses.loss import Loss

HEAD = ("| loss | meaning | takes | task | source |", "| --- | --- | --- | --- | --- |")
SOURCE = re.compile(r"^Source: (.*?)(?:;|\.$|\.\s+(?=[A-Z]))", re.MULTILINE | re.DOTALL)


def loss_table() -> str:
    return "\n".join([*HEAD, *(row(name, loss) for name, loss in sorted(LOSSES.items()))])


def row(name: str, loss: type[Loss]) -> str:
    text = inspect.getdoc(loss) or ""
    source = SOURCE.search(text)
    taken = ", ".join(argument.replace("_", " ") for argument in loss.takes if argument != "mix")
    tasks = "both" if len(loss.tasks) == 2 else loss.tasks[0].replace("_", "-")
    cells = (
        f"`{name}`",
        text.partition("\n")[0].rstrip("."),
        taken,
        tasks,
        " ".join(source[1].split()) if source else "",
    )
    return f"| {' | '.join(cells)} |"
