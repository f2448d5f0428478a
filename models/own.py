"""A user's own PyTorch model as teacher or student, without changes to it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from torch import Tensor, nn

from config import ConfigError, Task, UserError, choose
from models.output import Output
from models.user_modules import import_file

Layout = Literal["bctf", "bcft", "btf", "bft", "bcs", "bs"]


def load_builder(where: str, name: str) -> Callable[..., nn.Module]:
    """The function or class that `file.py:function` names.

    Raises ConfigError for a missing file or name, and for a file that cannot be imported.
    """
    file, _, attribute = name.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise ConfigError(where, f"found {name!r}, but there is no file {file!r}")
    try:
        module = import_file(path.resolve())
    except Exception as error:  # the user's code can raise anything
        message = f"{file}: {type(error).__name__}: {error}{line_of(error, path)}"
        raise ConfigError(where, message) from error
    if not callable(builder := getattr(module, attribute, None)):
        raise ConfigError(where, f"{file} has no function {attribute!r}")
    return builder


def line_of(error: Exception, path: Path) -> str:
    """` (net.py, line 3)`: the last line below the folder of `path` that led to the error."""
    folder = path.resolve().parent
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    if not lines:  # a SyntaxError names its line itself
        return ""
    return f" ({Path(lines[-1].filename).relative_to(folder)}, line {lines[-1].lineno})"


class Adapted(nn.Module):
    """Wraps any module so that its input and output are those of the project's models.

    `layout`: the axes of the module's input: batch, channel, time, frequency and (for a raw
    waveform) sample. `logits`: the key or index of the logits if the module returns a dictionary or
    a tuple. `embedding` and `map`: paths of submodules, as in `named_modules()`, whose outputs are
    captured by forward hooks. By default the embedding is the logits and the map is the embedding.
    `classes`: the names of the module's classes in the order of its logits, or a text file with one
    per line, so that a teacher that is used as it is can be one of other classes. `task`: that of
    the module where the data set has another, multi_label if each logit is that of a tag.

    Shapes: (B, C, T, F) or (B, C, S) -> Output.
    Raises ConfigError for a path that the module does not have, an unknown task, and names of
    classes that are missing or not different; UserError for outputs of another type and for a
    submodule that is not called.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        layout: Layout = "bctf",
        logits: str | int | None = None,
        embedding: str | None = None,
        map: str | None = None,
        classes: Sequence[str] | Path | None = None,
        task: Task | None = None,
    ) -> None:
        super().__init__()
        self.classes = None if classes is None else read_classes(classes)
        self.task = None if task is None else choose("task", {t: t for t in get_args(Task)}, task)
        self.module, self.layout, self.logits = module, layout, logits
        self.paths = {path for path in (embedding, map) if path}
        self.embedding, self.map = embedding, map
        known = dict(module.named_modules())
        if missing := self.paths - known.keys():
            paths = ", ".join(filter(None, known))
            raise ConfigError(
                type(module).__name__, f"has no submodule {min(missing)!r} (it has: {paths})"
            )

    def forward(self, x: Tensor) -> Output:
        captured: dict[str, Tensor] = {}

        def capture(path: str) -> Any:
            def hook(module: nn.Module, inputs: Any, output: Any) -> None:
                captured[path] = select_tensor(output, 0, path)

            return self.module.get_submodule(path).register_forward_hook(hook)

        handles = [capture(path) for path in self.paths]
        try:
            logits = select_tensor(
                self.module(to_layout(x, self.layout)), self.logits, "the module"
            )
        finally:
            for handle in handles:
                handle.remove()
        if missing := self.paths - captured.keys():
            raise UserError(
                f"the module does not call its submodule {min(missing)!r}; name another"
            )
        embedding = captured.get(self.embedding or "", logits)
        return Output(logits, embedding, (captured.get(self.map or "", embedding),))


def read_classes(classes: Sequence[str] | Path) -> tuple[str, ...]:
    """Names, or those in the lines of a text file. Raises ConfigError."""
    where = "classes"
    if isinstance(classes, str | Path):
        where = str(classes)
        try:
            classes = Path(classes).read_text(encoding="utf-8").split("\n")
        except OSError as error:
            raise ConfigError(where, error.strerror or str(error)) from None
    names = tuple(name for name in map(str.strip, classes) if name)
    if not names or len(set(names)) < len(names):
        raise ConfigError(where, f"found {len(set(names))} different of {len(names)} class names")
    return names


def to_layout(x: Tensor, layout: Layout) -> Tensor:
    """(B, C, T, F) or (B, C, S) with the axes of `layout`."""
    if "c" not in layout:
        if x.shape[1] != 1:
            raise UserError(f"a layout of {layout} requires one channel, found {x.shape[1]}")
        x = x[:, 0]
    if x.ndim != len(layout):
        raise UserError(f"a layout of {layout} does not fit features of {x.ndim} axes")
    return x.transpose(-1, -2) if layout.endswith("ft") else x


def select_tensor(output: Any, key: str | int | None, what: str) -> Tensor:
    """`output`, or its element `key` if it is a tuple, a dictionary or an object."""
    if not isinstance(output, Tensor) and key is not None:
        try:
            output = output[key]
        except (KeyError, IndexError, TypeError):
            output = getattr(output, str(key), None)
    if not isinstance(output, Tensor):
        raise UserError(f"{what} returns {type(output).__name__} at {key!r}, expected a tensor")
    return output
