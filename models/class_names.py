"""The names of the classes of published models, in the order of their outputs.

Source: AudioSet's class_labels_indices.csv (CC BY 4.0), the list in YAMNet's LiteRT file, and
FSD50K's vocabulary.csv (CC BY 4.0).
"""

from pathlib import Path

from config import choose
from config.pretrained import PRETRAINED

LISTS = {
    200: "fsd50k_200.txt",
    521: "audioset_521.txt",
    527: "audioset_527.txt",
}  # number of classes -> one display name a line


def class_names(name: str) -> tuple[str, ...]:
    """Those of the model `name` of `config.pretrained`."""
    number = choose("pretrained model", PRETRAINED, name).classes
    text = Path(__file__).with_name(LISTS[number]).read_text(encoding="utf-8")
    return tuple(text.splitlines())
