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
def web(monkeypatch):
    """A web server on this machine, which downloads ask again without a pause."""
    import data.download.http
    from tests.data.download.loopback import Loopback

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(data.download.http, "pause", lambda seconds, stop: None)
    with Loopback() as server:
        yield server
