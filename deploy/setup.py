"""The wheel soundstill-deploy: all that tagging requires, as one package.

The modules of config and data are copied below the package deploy, and imported from there: at the
top they would hide modules of the user's with such names. The wheel is built in a temporary folder.
"""

import os
import re
import shutil
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

from setuptools import setup

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PACKAGES = ("config", "data")
MODULES = (
    "tag_audio.py",
    "config/**/*.py",
    "data/__init__.py",
    "data/features/__init__.py",
    *(f"data/features/{name}.py" for name in ("containers", "decode", "ffmpeg", "mpeg")),
    *(f"data/features/{name}.py" for name in ("similar_names", "streams")),
    "data/tables/__init__.py",
    "data/tables/formulas.py",
    *(f"deploy/{name}.py" for name in ("__init__", "description", "ensemble", "events", "hub")),
    *(f"deploy/{name}.py" for name in ("labels", "piped_wav", "recordings", "student", "tags")),
    "deploy/windows.py",
)


def copy_modules(folder: Path) -> None:
    for path in (path for pattern in MODULES for path in ROOT.glob(pattern)):
        name = path.relative_to(ROOT)
        target = folder / (name if name.parts[0] == "deploy" else Path("deploy", name))
        target.parent.mkdir(parents=True, exist_ok=True)
        imports = rf"^( *from )({'|'.join(PACKAGES)})\b"
        text = re.sub(imports, r"\1deploy.\2", path.read_text("utf-8"), flags=re.MULTILINE)
        target.write_text(text, "utf-8")


if "editable_wheel" in sys.argv:  # it would name the temporary folder
    sys.exit("cannot be installed with --editable; run `python -m pip install ./deploy`")
with TemporaryDirectory() as folder:
    copy_modules(Path(folder))
    for path in (HERE / "pyproject.toml", ROOT / "LICENSE", *ROOT.glob("requirements-*.txt")):
        shutil.copy(path, folder)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    os.chdir(folder)
    try:
        setup(version=project["version"])
    finally:
        os.chdir(HERE)
