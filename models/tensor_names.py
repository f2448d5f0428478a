"""New names for the tensors of checkpoints, by regular expressions."""

import re
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

Names = Sequence[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]]


def rename(name: str, names: Names) -> str:
    for pattern, replacement in names:
        name = pattern.sub(replacement, name)
    return name


def rename_all(state_dict: Mapping[str, Tensor], names: Names) -> dict[str, Tensor]:
    return {rename(name, names): tensor for name, tensor in state_dict.items()}
