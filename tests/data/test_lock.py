import multiprocessing
import os
import signal
import socket
import threading

import pytest

from data.lock import InUse, in_use, locked, waiting

fork = multiprocessing.get_context("fork")


def hold(folder, ready):
    with locked(folder):
        ready.set()
        threading.Event().wait()


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of a folder."""
    ready = fork.Event()
    process = fork.Process(target=hold, args=(tmp_path / "run", ready))
    process.start()
    assert ready.wait(30)
    yield process
    process.kill()
    process.join()


def test_a_folder_in_use_names_the_process_that_uses_it(tmp_path, holder):
    known = f"run: in use by process {holder.pid} on {socket.gethostname()} since 20"
    with pytest.raises(InUse, match=known) as caught, locked(tmp_path / "run"):
        pass
    assert caught.value.exit_status == 2
    with locked(tmp_path / "other"):
        pass


def test_a_killed_process_holds_no_lock(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with locked(tmp_path / "run"):
        text = (tmp_path / ".run.lock").read_text()
    assert text.startswith(f"process {os.getpid()} on ")
    assert list(tmp_path.iterdir()) == [], "nothing is left"


def hold_with_worker(folder, ready, worker_id):
    with locked(folder):
        worker = fork.Process(target=threading.Event().wait)
        worker.start()
        worker_id.value = worker.pid
        ready.set()
        threading.Event().wait()


def test_the_workers_of_a_killed_process_hold_no_lock(tmp_path):
    ready, worker_id = fork.Event(), fork.Value("i")
    process = fork.Process(target=hold_with_worker, args=(tmp_path / "run", ready, worker_id))
    process.start()
    try:
        assert ready.wait(30)
        assert in_use(tmp_path / "run")
        process.kill()
        process.join()
        os.kill(worker_id.value, 0)  # the worker is still there
        assert not in_use(tmp_path / "run")
    finally:
        os.kill(worker_id.value, signal.SIGKILL)


def test_waiting_ends_with_the_process_that_is_waited_for(tmp_path, holder):
    assert in_use(tmp_path / "run")
    threading.Timer(0.1, os.kill, (holder.pid, signal.SIGKILL)).start()
    with waiting(tmp_path / "run", pause_seconds=0.01):
        assert not holder.is_alive()
        assert in_use(tmp_path / "run")
    assert not in_use(tmp_path / "run")


def test_an_error_while_a_lock_is_held_is_not_waited_for(tmp_path):
    with pytest.raises(InUse, match="inner"), waiting(tmp_path / "run"):
        raise InUse("inner")


def test_the_lock_is_released_by_an_error(tmp_path):
    with pytest.raises(ValueError, match="stop"), locked(tmp_path / "deep/run"):
        raise ValueError("stop")
    with locked(tmp_path / "deep/run"), pytest.raises(InUse), locked(tmp_path / "deep/run"):
        pass


def test_a_disk_without_locks_is_used_without(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", unsupported)
    with locked(tmp_path / "run"), locked(tmp_path / "run"):
        pass
    assert list(tmp_path.iterdir()) == []
