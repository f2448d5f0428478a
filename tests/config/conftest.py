"""An INI file of a test, loaded or refused."""

from pathlib import Path

import pytest

from config import Config, ConfigError, load


@pytest.fixture
def ini(tmp_path, monkeypatch):
    """Writes x.ini into the working folder and loads it, with overrides."""
    monkeypatch.chdir(tmp_path)

    def read(text: str, *overrides: str) -> Config:
        Path("x.ini").write_text(text, encoding="utf-8")
        return load(Path("x.ini"), overrides)

    return read


def complaint(ini, text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        ini(text, *overrides)
    assert caught.value.exit_status == 2
    return str(caught.value)
