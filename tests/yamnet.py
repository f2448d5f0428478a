"""The published YAMNet, where the project's shared folder is."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "yamnet"
LITERT = FOLDER / "yamnet.tflite"
needs_yamnet = pytest.mark.skipif(
    not LITERT.exists(), reason="../shared/data/yamnet (the published weights) is absent"
)
