"""The download of published models, from a web server on this machine."""

import dataclasses
import hashlib
import json
import shutil

import pytest
import torch

from config import Config, UserError
from config.pretrained import PRETRAINED
from models import MODELS
from models.published import read_weights
from models.stored import read_description
from tests.data.download.loopback import drop_after
from tests.scripts import run, workplace
from tests.yamnet import LITERT, needs_yamnet
from training.builders import init_weights
from training.pretrained_files import check, pretrained_file

BODY = bytes(range(256)) * 1024
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def cache(monkeypatch, tmp_path):
    folder = tmp_path / "cache"
    monkeypatch.setenv("SOUNDSTILL_CACHE", str(folder))
    check.cache_clear()
    return folder


@pytest.fixture
def serve(web, monkeypatch):
    """Serves BODY as the file of mn10_as, with these facts about it."""

    def put(body=BODY, **facts):
        address = web.put("/releases/mn10.pt", body, etag='"v1"') + "?dl=1"
        named = dataclasses.replace(PRETRAINED["mn10_as"], address=address, **facts)
        monkeypatch.setitem(PRETRAINED, "mn10_as", named)

    return put


def test_a_file_is_downloaded_once(web, cache, serve):
    serve(sha256=SHA256, bytes=len(BODY))
    for _ in range(2):
        path = pretrained_file("mn10_as")
        assert path == cache / "mn10.pt"
        assert path.read_bytes() == BODY
        check.cache_clear()
    assert len(web.seen) == 1
    assert [file.name for file in cache.iterdir()] == ["mn10.pt"]


def test_init_by_name_is_this_file(cache, serve):
    serve()
    assert init_weights(Config, "mn10_as", 0, 0) == cache / "mn10.pt"


def test_a_broken_download_is_resumed(web, cache, serve):
    serve()
    web.faults["/releases/mn10.pt"] = [drop_after(100_000, BODY, '"v1"')]
    assert pretrained_file("mn10_as").read_bytes() == BODY
    assert web.sent == len(BODY)  # no byte twice


def test_the_first_download_records_what_later_ones_must_equal(cache, serve):
    serve()
    path = pretrained_file("mn10_as")
    record = json.loads((cache / "mn10.pt.json").read_text())
    assert (record["bytes"], record["sha256"]) == (len(BODY), SHA256)
    path.unlink()
    check.cache_clear()
    serve(BODY[:-1] + b"x")
    with pytest.raises(UserError, match=rf"its sha256 is \w+, expected {SHA256}; delete it"):
        pretrained_file("mn10_as")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"sha256": "0" * 64}, f"its sha256 is {SHA256}, expected {'0' * 64}"),
        ({"sha256": SHA256, "bytes": 7}, f"it has {len(BODY)} bytes, expected 7"),
    ],
)
def test_another_file_is_an_error_and_is_not_kept(cache, serve, facts, message):
    serve(**facts)
    with pytest.raises(UserError, match=message):
        pretrained_file("mn10_as")
    assert not (cache / "mn10.pt").exists()


def test_without_the_file_the_message_says_where_to_put_it(web, cache, serve):
    serve(None)
    with pytest.raises(UserError) as error:
        pretrained_file("mn10_as")
    assert str(error.value) == (
        f"mn10_as cannot be downloaded from {web.address}/releases/mn10.pt?dl=1: HTTP status 404 "
        f"(Not Found); start again later, or put the file there by hand: {cache / 'mn10.pt'}, "
        "or set SOUNDSTILL_CACHE to another folder"
    )


def test_a_file_that_was_put_there_by_hand_is_checked(web, cache, serve):
    serve(sha256=SHA256)
    cache.mkdir()
    (cache / "mn10.pt").write_bytes(b"another")
    with pytest.raises(UserError, match=r"mn10\.pt: its sha256 is .*; delete it"):
        pretrained_file("mn10_as")
    (cache / "mn10.pt").write_bytes(BODY)
    assert pretrained_file("mn10_as").read_bytes() == BODY
    assert not web.seen


def test_a_later_process_of_torchrun_waits_for_the_first(cache, serve, web, monkeypatch):
    serve()
    monkeypatch.setenv("LOCAL_RANK", "1")

    def first_one_ends(seconds):
        cache.mkdir()
        (cache / "mn10.pt").write_bytes(BODY)

    monkeypatch.setattr("training.pretrained_files.time.sleep", first_one_ends)
    assert pretrained_file("mn10_as").read_bytes() == BODY
    assert not web.seen


@pytest.mark.parametrize("name", ["mn01_as", pytest.param("yamnet", marks=needs_yamnet)])
def test_a_teacher_of_a_name_requires_no_other_keys(name, cache, tmp_path):
    """With the file in the cache, where the user has put it by hand."""
    cache.mkdir()
    file = cache / PRETRAINED[name].file
    if name == "yamnet":
        shutil.copy(LITERT, file)
    else:
        model = MODELS["mn"](num_classes=527, input_shape=(1, 100, 128), width_mult=0.1)
        torch.save(model.state_dict(), file)
    place = workplace(tmp_path)
    data, student = (place / "config.ini").read_text().split("[mel]")
    _, student = student.split("[student]")
    teacher = f"[teacher]\nINIT = {name}\nLOAD_CLASSIFIER = no\nEPOCHS = 1\nFREEZE = features\n"
    (place / "config.ini").write_text(f"{data}{teacher}[student]{student}")
    run(place, "make_mel.py")
    run(place, "train_teacher.py")
    (trained,) = (place / "runs/config/teacher").rglob("weights.safetensors")
    stem = read_weights(trained)["features.0.0.weight"]
    assert torch.equal(stem, next(t for t in read_weights(file).values() if t.shape == stem.shape))
    assert read_description(trained).front_end == PRETRAINED[name].front_end
