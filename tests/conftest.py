"""For all tests: one thread per process, since several files are tested at once; the same examples
in every run, however long one takes; a web server.
"""

import os

import hypothesis
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.load_profile("same")


@pytest.fixture
def pauses(monkeypatch):
    """The pauses that downloads would make before they ask again, in seconds; none is made."""
    import data.download.http

    asked = []
    monkeypatch.setattr(data.download.http, "pause", lambda seconds, stop: asked.append(seconds))
    return asked


@pytest.fixture
def web(monkeypatch, pauses):
    """A web server on this machine, which downloads ask again without a pause."""
    from tests.data.download.loopback import Loopback

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Loopback() as server:
        yield server


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """An empty Hugging Face Hub on this machine, with which huggingface_hub communicates.

    The library reads its environment variables once, when it is imported: they are for other
    processes, its constants for this one.
    """
    constants = pytest.importorskip(
        "huggingface_hub.constants", reason="requires huggingface_hub (requirements-hub.txt)"
    )
    from tests.deploy.hub_server import hub_server

    with hub_server() as server:
        variables = {"HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path / "hub")}
        variables |= {"HF_TOKEN": "hf_test", "no_proxy": "127.0.0.1,localhost"}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.address + template)
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub/hub"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # another storage
        yield server
