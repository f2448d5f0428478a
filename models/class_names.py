"""The names of the classes of published models, in the order of their outputs."""

from pathlib import Path

from config import UserError, choose
from config.pretrained import PRETRAINED

LISTS = {521: "audioset_521.txt"}  # number of classes -> one display name a line


def class_names(name: str) -> tuple[str, ...]:
    """Those of the model `name` of `config.pretrained`. Raises UserError where there is no list."""
    number = choose("pretrained model", PRETRAINED, name).classes
    if number not in LISTS:
        raise UserError(f"{name}: the names of its {number} classes are not part of this project")
    text = Path(__file__).with_name(LISTS[number]).read_text(encoding="utf-8")
    return tuple(text.splitlines())
