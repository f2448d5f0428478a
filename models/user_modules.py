"""Modules of a user's folder, imported beside the project's modules of the same name.

A published model has packages named as ours: `models`, `data`, `config`. Its folder becomes a
package with a name of its own, and import statements are resolved in that folder when its files are
compiled: `from models.mn import x` becomes `from own_1a2b.models.mn import x` if the folder has
`models/mn`, and stays as it is if not. Line numbers are kept; the files are not changed.

The name of a module then states where it is from. Exchanging entries of `sys.modules` during the
import would lose the imports inside functions, and a module of the user would be `models.mn` to
pickle, dataclasses and torch.compile, which look it up there and find ours. A replaced `__import__`
is not called by torch.compile, which imports by itself. The rest is Python's own import: relative
and circular imports, locks, one import per module. `sys.path` is not changed.

Only statements are resolved in the folder: `importlib.import_module("models.own")` and classes
named in a pickle are those of the project.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader, all_suffixes
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any


def import_file(path: Path) -> ModuleType:
    """Import a file once; its import statements search its folder first.

    `path` is absolute. Raises ImportError if its name is not that of a module, and whatever the
    file raises.
    """
    if path.suffix != ".py" or "." in path.stem:
        raise ImportError("not a Python file that can be imported")
    return importlib.import_module(f"{folder_as_package(path.parent)}.{path.stem}")


@functools.cache
def folder_as_package(folder: Path) -> str:
    """The name of a package whose modules are the files of `folder`."""
    name = f"own_{hashlib.sha256(bytes(folder)).hexdigest()[:8]}"
    sys.modules[name] = package = ModuleType(name)
    package.__path__ = [str(folder)]
    sys.meta_path.insert(0, Finder(name, folder))
    return name


class Finder(MetaPathFinder):
    """Finds the modules of one folder."""

    def __init__(self, package: str, folder: Path) -> None:
        self.package, self.folder = package, folder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{self.package}."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec and isinstance(spec.loader, SourceFileLoader):
            spec.loader = Loader(fullname, spec.loader.path, Imports(self.package, self.folder))
        return spec


class Loader(SourceFileLoader):
    """Compiles a file whose imports are resolved in its folder."""

    def __init__(self, fullname: str, path: str, imports: Imports) -> None:
        super().__init__(fullname, path)
        self.imports = imports

    def get_code(self, fullname: str) -> CodeType:
        """Without `__pycache__`: it would be read when their code is run by itself."""
        tree = self.imports.visit(ast.parse(self.get_data(self.path), self.path))
        return compile(ast.fix_missing_locations(tree), self.path, "exec", dont_inherit=True)


class Imports(ast.NodeTransformer):
    """Replaces absolute imports of what `folder` has by imports from `package`."""

    def __init__(self, package: str, folder: Path) -> None:
        self.package, self.folder = package, folder

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        if node.level == 0 and node.module and has_module(self.folder, node.module):
            node.module = f"{self.package}.{node.module}"
        return node

    def visit_Import(self, node: ast.Import) -> list[ast.stmt]:
        statements = [statement for alias in node.names for statement in self.resolved(alias)]
        return [ast.copy_location(statement, node) for statement in statements]

    def resolved(self, alias: ast.alias) -> list[ast.stmt]:
        if not has_module(self.folder, alias.name):
            return [ast.Import([alias])]
        name, top = f"{self.package}.{alias.name}", alias.name.partition(".")[0]
        statements: list[ast.stmt] = [ast.Import([ast.alias(name, alias.asname or top)])]
        if not alias.asname:  # `import a.b` binds a
            statements.append(ast.ImportFrom(self.package, [ast.alias(top)], 0))
        return statements


def has_module(folder: Path, name: str) -> bool:
    """Whether `folder` has the module or package `name`, and it is not one of the project's.

    A directory without `__init__.py` counts if it has code in it: `data/` may be recordings.
    """
    path = folder.joinpath(*name.split("."))
    files: list[Any] = [path.parent / f"{path.name}{suffix}" for suffix in all_suffixes()]
    code = (found for pattern in ("*.py", "*/*.py") for found in path.glob(pattern))
    if not any(file.is_file() for file in files) and next(code, None) is None:
        return False
    spec = importlib.util.find_spec(name.partition(".")[0])
    return not (spec and spec.origin and Path(spec.origin).resolve().is_relative_to(folder))


def files_of(path: Path) -> list[Path]:
    """A file and those of its folder that it imports, directly or through others, sorted.

    Read from the import statements, wherever they are: nothing is executed.
    """
    found: set[Path] = set()
    left = [path]
    while left:
        file = left.pop()
        if file not in found and file.is_file():
            found.add(file)
            left += imported_by(file, path.parent)
    return sorted(found)


def imported_by(file: Path, folder: Path) -> list[Path]:
    """Where the modules that a file imports would be, as files or packages, below `folder`."""
    found = []
    for node in ast.walk(ast.parse(file.read_bytes(), str(file))):
        if isinstance(node, ast.Import):
            names = [(folder, a.name) for a in node.names if has_module(folder, a.name)]
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0 and not (node.module and has_module(folder, node.module)):
                continue
            base = folder if node.level == 0 else file.parents[node.level - 1]
            own = node.module or ""  # `from a import b`: b is perhaps a module too
            names = [(base, f"{own}.{alias.name}".strip(".")) for alias in node.names]
        else:
            continue
        for base, name in names:
            parts = name.split(".")
            for end in range(1, len(parts) + 1):
                place = base.joinpath(*parts[:end])
                found += [place.with_name(f"{place.name}.py"), place / "__init__.py"]
    return found
