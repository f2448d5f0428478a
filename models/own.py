"""Your own PyTorch model, as teacher or student, without a line changed in it."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from config import ConfigError, UserError
from models.output import Output

Layout = Literal["bctf", "bcft", "btf", "bft", "bcs", "bs"]


def load_builder(where: str, name: str) -> Callable[..., nn.Module]:
    """The function or class of `file.py:function`; the file is looked for as every path is.

    Raises ConfigError where there is no such file or name in it, or where it cannot be imported.
    """
    file, _, attribute = name.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise ConfigError(where, f"found {name!r}, but there is no file {file!r}")
    try:
        module = import_file(path.resolve())
    except Exception as error:  # whatever is wrong with it, it is the user's file
        raise ConfigError(where, f"{file}: {type(error).__name__}: {error}") from error
    if not callable(builder := getattr(module, attribute, None)):
        raise ConfigError(where, f"{file} has no function {attribute!r}")
    return builder


@functools.cache
def import_file(path: Path) -> Any:
    """Executed once; it may import its neighbours."""
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Adapted(nn.Module):
    """Any module, made to take what every model takes and to give what every model gives.

    `layout` says what the module wants: its axes are those of batch, channel, time, frequency and
    (for a raw waveform) sample. `logits` is the key or the place of the logits where the module
    gives a dictionary or a tuple. `embedding` and `map` are paths of submodules, as in
    `named_modules()`, whose outputs are taken on the way; where they are not given, the map is the
    embedding, and the embedding the logits.

    Shapes: (B, C, T, F) or (B, C, S) -> Output.
    Raises ConfigError for a path that the module does not have, UserError for outputs of other
    kinds.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        layout: Layout = "bctf",
        logits: str | int | None = None,
        embedding: str | None = None,
        map: str | None = None,
    ) -> None:
        super().__init__()
        self.module, self.layout, self.logits = module, layout, logits
        self.paths = {path for path in (embedding, map) if path}
        self.embedding, self.map = embedding, map
        known = dict(module.named_modules())
        if lost := self.paths - known.keys():
            paths = ", ".join(filter(None, known))
            raise ConfigError(
                type(module).__name__, f"has no submodule {min(lost)!r} (it has: {paths})"
            )

    def forward(self, x: Tensor) -> Output:
        passed: dict[str, Any] = {}

        def keep(path: str) -> Any:
            def hook(module: nn.Module, inputs: Any, output: Any) -> None:
                passed[path] = tensor_of(output, 0, path)

            return self.module.get_submodule(path).register_forward_hook(hook)

        handles = [keep(path) for path in self.paths]
        try:
            logits = tensor_of(self.module(laid_out(x, self.layout)), self.logits, "the module")
        finally:
            for handle in handles:
                handle.remove()
        embedding = passed.get(self.embedding, logits)
        return Output(logits, embedding, (passed.get(self.map, embedding),))


def laid_out(x: Tensor, layout: Layout) -> Tensor:
    if "c" not in layout:
        if x.shape[1] != 1:
            raise UserError(f"a layout of {layout} wants one channel, found {x.shape[1]}")
        x = x[:, 0]
    if x.ndim != len(layout):
        raise UserError(f"a layout of {layout} does not fit features of {x.ndim} axes")
    return x.transpose(-1, -2) if layout.endswith("ft") else x


def tensor_of(said: Any, place: str | int | None, what: str) -> Tensor:
    """`said`, or what is at `place` of a tuple, a dictionary or an object with attributes."""
    if not isinstance(said, Tensor) and place is not None:
        try:
            said = said[place]
        except (KeyError, IndexError, TypeError):
            said = getattr(said, str(place), None)
    if not isinstance(said, Tensor):
        raise UserError(f"{what} gives {type(said).__name__} at {place!r}, want a tensor")
    return said
