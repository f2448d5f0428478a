"""A folder with exported students and the page that runs them in the browser: deploy/browser and
onnxruntime-web.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from config import UserError
from data.atomic_write import write

if TYPE_CHECKING:
    from deploy.export import Trained

PAGE = Path(__file__).with_name("browser")
FILES = ("index.html", "page.js", "student.js", "microphone.js")
RUNTIME = PAGE / "node_modules" / "onnxruntime-web" / "dist"
RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")


def export_browser(trained: Trained, precisions: Sequence[str], folder: Path) -> None:
    """As `deploy.export.export_onnx` into `folder` / browser, with the page. Raises UserError."""
    from deploy.export import export_onnx

    check_runtime()
    folder = folder / "browser"
    export_onnx(trained, precisions, folder)
    write_page(folder, [f"{name}.onnx" for name in precisions])
    print(f"python -m http.server --bind 127.0.0.1 --directory {folder}")
    print("then open http://127.0.0.1:8000")


def check_runtime() -> None:
    """Raises UserError if onnxruntime-web is not installed."""
    if missing := [name for name in RUNTIME_FILES if not (RUNTIME / name).is_file()]:
        raise UserError(f"{RUNTIME / missing[0]}: no such file; run `npm install --prefix {PAGE}`")


def write_page(folder: Path, students: Sequence[str]) -> None:
    """The page beside the files `students`, the first of which it opens. Raises UserError."""
    check_runtime()
    (folder / "runtime").mkdir(parents=True, exist_ok=True)
    for name in FILES:
        write(folder / name, (PAGE / name).read_bytes())
    for name in RUNTIME_FILES:
        shutil.copyfile(RUNTIME / name, folder / "runtime" / name)
    write(folder / "students.json", json.dumps(students))
