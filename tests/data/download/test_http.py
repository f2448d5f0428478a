import time
from email.utils import formatdate
from pathlib import Path
from threading import Event

import pytest

import data.download.disk
import data.download.http
from config import UserError
from data.download.http import (
    ATTEMPTS,
    FetchError,
    Stopped,
    back_off,
    fetch,
    pause,
    retry_after,
)
from tests.data.download.loopback import answer, drop_after, ignore_range, status

BODY = bytes(range(256)) * 1024  # 256 KiB: several chunks


@pytest.fixture
def part(tmp_path):
    return tmp_path / "sounds.zip.part"


def test_the_client_names_itself_and_its_version(web, part):
    fetch(web.put("/a", BODY), part)
    assert part.read_bytes() == BODY
    version = Path("pyproject.toml").read_text().partition('version = "')[2].partition('"')[0]
    assert web.seen[0].headers["User-Agent"] == f"soundstill/{version} (audio model distillation)"


def test_a_dropped_connection_is_resumed_where_it_broke(web, part, pauses):
    url = web.put("/a", BODY, etag='"v1"')
    web.faults["/a"] = [drop_after(100_000, BODY, '"v1"'), drop_after(50_000, BODY, '"v1"')]
    positions = []
    fetch(url, part, size=len(BODY), show=positions.append)
    assert part.read_bytes() == BODY
    assert [r.headers.get("Range") for r in web.seen] == [None, "bytes=100000-", "bytes=150000-"]
    assert [r.headers.get("If-Range") for r in web.seen] == [None, '"v1"', '"v1"']
    assert web.sent == len(BODY)  # no byte twice
    assert len(pauses) == 2
    assert positions == sorted(positions)
    assert positions[-1] == len(BODY)


def test_a_part_of_a_killed_run_is_resumed_with_the_validator_that_it_left(web, part, pauses):
    url = web.put("/a", BODY, etag='"v1"')
    web.faults["/a"] = [drop_after(1_000, BODY, '"v1"'), status(404)]
    with pytest.raises(FetchError):
        fetch(url, part)
    fetch(url, part)
    assert part.read_bytes() == BODY
    assert web.seen[-1].headers["Range"] == "bytes=1000-"
    assert web.seen[-1].headers["If-Range"] == '"v1"'


def test_a_file_that_changed_meanwhile_is_fetched_completely(web, part, pauses):
    old, new = b"o" * 5_000, b"n" * 6_000
    url = web.put("/a", new, etag='"v2"')
    web.faults["/a"] = [drop_after(1_000, old, '"v1"')]
    fetch(url, part)
    assert part.read_bytes() == new
    assert [r.status for r in web.seen] == [200, 200]


def test_a_weak_etag_and_one_of_another_address_are_not_used(web, part, pauses):
    web.put("/a", BODY)
    weak = web.put("/b", BODY, etag='W/"v1"')
    web.faults["/b"] = [drop_after(1_000, BODY, 'W/"v1"'), status(404)]
    with pytest.raises(FetchError):
        fetch(weak, part)
    assert "If-Range" not in web.seen[-1].headers
    assert "Range" in web.seen[-1].headers
    data.download.http.validator_of(part).write_text(f'{weak}\n"v1"\n')
    fetch(web.address + "/a", part)
    assert web.seen[-1].headers["Range"] == "bytes=1000-"
    assert "If-Range" not in web.seen[-1].headers
    assert part.read_bytes() == BODY


def test_a_server_that_ignores_range_sends_the_whole_file_again(web, part):
    part.write_bytes(b"x" * 1_000)
    url = web.put("/a", BODY)
    web.faults["/a"] = [ignore_range(BODY)]
    fetch(url, part, size=len(BODY))
    assert part.read_bytes() == BODY


def test_after_an_answer_of_another_range_the_request_is_repeated(web, part, pauses):
    part.write_bytes(b"x" * 1_000)
    url = web.put("/a", BODY)
    web.faults["/a"] = [lambda h: answer(h, 206, {"Content-Range": "bytes 5-9/10"}, b"wrong")]
    fetch(url, part)
    assert part.read_bytes() == BODY


def test_416_means_complete_or_another_file(web, part, pauses):
    url = web.put("/a", BODY)
    part.write_bytes(BODY)
    fetch(url, part)
    assert [r.status for r in web.seen] == [416]
    part.write_bytes(BODY + b"more")
    fetch(url, part)
    assert [r.status for r in web.seen] == [416, 416, 200]
    assert part.read_bytes() == BODY


def test_a_part_of_known_size_needs_no_request_and_one_too_long_starts_again(web, part):
    url = web.put("/a", BODY)
    part.write_bytes(BODY)
    fetch(url, part, size=len(BODY))
    assert not web.seen
    part.write_bytes(BODY + b"more")
    fetch(url, part, size=len(BODY))
    assert part.read_bytes() == BODY
    assert "Range" not in web.seen[0].headers


@pytest.mark.parametrize("code", [429, 500, 503])
def test_retry_after_is_honoured(web, part, pauses, code):
    url = web.put("/a", BODY)
    in_two_minutes = formatdate(time.time() + 120, usegmt=True)
    web.faults["/a"] = [status(code, Retry_After="7"), status(code, Retry_After=in_two_minutes)]
    fetch(url, part)
    assert part.read_bytes() == BODY
    assert 7 <= pauses[0] < 8
    assert 115 < pauses[1] < 122


def test_retry_after_that_is_past_absent_or_nonsense():
    assert retry_after({"Retry-After": formatdate(0, usegmt=True)}) == 0
    assert retry_after({}) is None
    assert retry_after({"Retry-After": "soon"}) is None
    assert retry_after({"Retry-After": "-5"}) is None


def test_without_retry_after_the_pauses_double_with_jitter(web, part, pauses):
    web.faults["/a"] = [status(503)] * ATTEMPTS
    with pytest.raises(FetchError, match=r"503.*6 times in a row"):
        fetch(web.address + "/a", part)
    assert len(web.seen) == ATTEMPTS
    for attempt, seconds in enumerate(pauses, 1):
        assert 2**attempt / 2 <= seconds <= 2**attempt + 1
    assert back_off(50) <= data.download.http.LONGEST_BACK_OFF_SECONDS


def test_a_retry_after_of_hours_is_an_error(web, part, pauses):
    web.faults["/a"] = [status(429, Retry_After="7200")]
    with pytest.raises(FetchError, match="429.*try again in 120 minutes"):
        fetch(web.address + "/a", part)
    assert not pauses


def test_attempts_count_only_while_nothing_new_comes(web, part, pauses):
    body = b"0123456789" * 20
    url = web.put("/a", body)
    web.faults["/a"] = [drop_after(10, body)] * 19
    fetch(url, part)
    assert part.read_bytes() == body
    assert len(web.seen) == 20 > ATTEMPTS
    assert web.sent == len(body)


def test_a_server_that_ignores_range_and_always_drops_is_given_up(web, part, pauses):
    cut = [lambda h: answer(h, 200, {}, BODY, cut=10)] * 50
    web.faults["/a"] = cut
    with pytest.raises(FetchError, match=f"closed after 10 of {len(BODY)} bytes"):
        fetch(web.address + "/a", part)
    assert len(web.seen) == ATTEMPTS


def test_a_missing_file_is_not_requested_twice(web, part, pauses):
    with pytest.raises(FetchError, match="404"):
        fetch(web.address + "/nothing", part)
    assert len(web.seen) == 1
    assert not pauses


def test_another_size_is_noticed_before_the_body_is_kept(web, part):
    with pytest.raises(FetchError, match=f"it has {len(BODY)} bytes, expected 77"):
        fetch(web.put("/a", BODY), part, size=77)
    assert not part.exists()


def chunked(body: bytes, ending: bytes):
    def fault(handler):
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(body), body) + ending)
        handler.close_connection = True

    return fault


def test_a_body_of_unannounced_length(web, part, pauses):
    url = web.put("/a", BODY)
    web.faults["/a"] = [chunked(BODY[:1_000], b""), chunked(BODY, b"0\r\n\r\n")]
    fetch(url, part, size=len(BODY))
    assert part.read_bytes() == BODY
    assert len(pauses) == 1  # the first ended without its last chunk
    part.unlink()
    web.faults["/a"] = [chunked(BODY, b"0\r\n\r\n")]
    with pytest.raises(FetchError, match="more than 9 bytes"):
        fetch(url, part, size=9)


def test_a_redirection_keeps_the_range(web, part):
    part.write_bytes(BODY[:500])
    url = web.put("/new", BODY)
    web.faults["/old"] = [status(302, Location=url)]
    fetch(web.address + "/old", part)
    assert part.read_bytes() == BODY
    assert web.seen[-1].headers["Range"] == "bytes=500-"
    assert web.seen[-1].headers["User-Agent"].startswith("soundstill/")


def test_a_host_that_does_not_answer(web, part, pauses):
    address = web.address
    web.server.server_close()
    with pytest.raises(FetchError, match=r"no connection: .*refused.*6 times"):
        fetch(address + "/a", part)
    assert len(pauses) == ATTEMPTS - 1


def test_a_stopped_download_keeps_what_it_has(web, part):
    stop = Event()
    with pytest.raises(Stopped):
        fetch(web.put("/a", BODY), part, show=lambda at: at and stop.set(), stop=stop)
    assert 0 < part.stat().st_size < len(BODY)
    assert BODY.startswith(part.read_bytes())
    with pytest.raises(Stopped):
        pause(3600, stop)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_is_no_network_error(web, part, pauses):
    part.symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"sounds\.zip\.part: the disk is full"):
        fetch(web.put("/a", BODY), part)
    assert not pauses


def test_too_little_space_is_an_error_when_the_length_is_known(web, part, monkeypatch):
    monkeypatch.setattr(data.download.disk, "free_bytes", lambda folder: 2_000)
    with pytest.raises(UserError, match=r"needs about 262\.1 kB, and 2\.0 kB are free"):
        fetch(web.put("/a", BODY), part)
    assert not part.exists()
    part.write_bytes(BODY[:-1_000])
    fetch(web.address + "/a", part)  # the rest has room
    assert part.read_bytes() == BODY
