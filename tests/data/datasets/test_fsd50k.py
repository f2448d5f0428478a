import hashlib
import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from config import UserError
from data.datasets import fsd50k
from data.datasets.fsd50k import FILES, Fsd50k
from tests.data.download.test_split_zip import write_volumes

REFERENCE = Path(__file__).parents[4] / "shared/reference/datasets.md"
WORDS = [
    *[f"Sound_{k:03}" for k in range(197)],
    *["Hi-hat", "Fill_(with_liquid)", "Zipper_(clothing)"],
]
MIDS = [f"/m/{k:05}" for k in range(200)]
VOCABULARY = "\n".join(f"{k},{word},{MIDS[k]}" for k, word in enumerate(WORDS))
DEV = (  # a cell of several labels is quoted, a cell of one is not
    '64760,"Hi-hat,Sound_003","/m/00197,/m/00003",train\n'
    "345111,Sound_003,/m/00003,val\n"
    '21914,"Zipper_(clothing),Sound_000","/m/00199,/m/00000",train\n'
)
EVAL = '99,"Hi-hat,Sound_001","/m/00197,/m/00001"\n'


@pytest.fixture(autouse=True)
def our_words(monkeypatch):
    md5 = hashlib.md5(VOCABULARY.encode(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(fsd50k, "VOCABULARY_MD5", md5)
    figures = {"dev clips": 3, "dev labels": 5, "eval clips": 1, "eval labels": 2}
    monkeypatch.setattr(fsd50k, "PUBLISHED", figures)


@pytest.fixture
def write(tmp_path):
    """Tables and recordings of four clips; gives the root."""

    def made(dev=DEV, evaluated=EVAL, vocabulary=VOCABULARY, metadata=False):
        truth = tmp_path / "FSD50K.ground_truth"
        truth.mkdir(exist_ok=True)
        (truth / "dev.csv").write_text(f"fname,labels,mids,split\n{dev}")
        (truth / "eval.csv").write_text(f"fname,labels,mids\n{evaluated}")
        (truth / "vocabulary.csv").write_text(vocabulary)
        for part, names in (("dev", ("64760", "345111", "21914")), ("eval", ("99",))):
            folder = tmp_path / f"FSD50K.{part}_audio"
            folder.mkdir(exist_ok=True)
            for name in names:
                soundfile.write(folder / f"{name}.wav", np.zeros(13), 44_100)
        if metadata:
            (tmp_path / "FSD50K.metadata").mkdir()
            info = {"64760": {"title": 'a "title", too', "license": "CC0", "uploader": "né"}}
            path = tmp_path / "FSD50K.metadata/dev_clips_info_FSD50K.json"
            path.write_text(json.dumps(info))
        return tmp_path

    return made


def test_the_published_split_trains_validates_and_reports(write):
    root = write()
    dataset = Fsd50k()
    table = dataset.table(root)
    assert (dataset.task, dataset.metric) == ("multi_label", "mean_average_precision")
    assert table.classes == tuple(WORDS)
    assert list(table.ids) == ["21914.wav", "345111.wav", "64760.wav", "99.wav"]
    frame = table.frame
    assert list(frame["split"]) == ["train", "validate", "train", "test"]
    assert [np.flatnonzero(row).tolist() for row in table.targets[:]] == [
        *[[0, 199], [3], [3, 197], [1, 197]]
    ]
    assert frame["path"].iloc[3] == (root / "FSD50K.eval_audio/99.wav").as_posix()
    assert set(frame["group"]) == {""}
    assert not {"licence", "uploader"} & set(frame)
    dataset.check_complete(root)


def test_licence_and_uploader_of_a_clip_are_kept(write):
    frame = Fsd50k().table(write(metadata=True)).frame
    assert frame.loc["64760.wav", ["licence", "uploader"]].tolist() == ["CC0", "né"]
    assert frame.loc["99.wav", ["licence", "uploader"]].tolist() == ["", ""]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\n\n"])
def test_line_breaks_are_no_part_of_the_vocabulary(write, ending):
    words = ending.join(VOCABULARY.split("\n")) + ending
    assert Fsd50k().table(write(vocabulary=words)).classes == tuple(WORDS)


def test_another_vocabulary_is_refused(write):
    first, second, *rest = VOCABULARY.split("\n")
    for words in ([second, first, *rest], [first, *rest], [first, second, *rest[:-1], "199,a,b"]):
        with pytest.raises(UserError, match="vocabulary.csv: is not the vocabulary of FSD50K"):
            Fsd50k().table(write(vocabulary="\n".join(words)))
    with pytest.raises(UserError, match="found the row '0,Sound_000', expected index,label,mid"):
        Fsd50k().table(write(vocabulary="0,Sound_000\n"))


@pytest.mark.skipif(not REFERENCE.exists(), reason="../shared/reference is absent")
def test_the_official_vocabulary_has_the_checksum_of_the_reference_page(monkeypatch, tmp_path):
    monkeypatch.undo()
    page = REFERENCE.read_text("utf-8")
    listed = page[page.index("## Appendix B") : page.index("## Appendix C")]
    rows = re.findall(r"(\d+) `([^`]+)` (\S+)", listed)
    path = tmp_path / "vocabulary.csv"
    path.write_text("\n".join(map(",".join, rows)))
    assert path.stat().st_size == 5217  # as shipped
    words = fsd50k.read_vocabulary(path)
    assert len(words) == 200
    assert words["Electric_guitar"] == "/m/02sgy"


def test_faults_of_the_rows_are_counted_by_kind(write):
    rows = (
        "1,Sound_001,/m/00001,train\n"
        "2,Dogs,/m/00002,train\n"
        '3,"Cats,Sound_001","/m/1,/m/2",val\n'
        '4,"Hi-hat,Sound_001",/m/00197,val\n'
        "5,Hi-hat,/m/00198,val\n"
        "6,Hi-hat,/m/00197,trai\n"
        "../7,Hi-hat,/m/00197,val\n"
        "1,Sound_001,/m/00001,val\n"
    )
    with pytest.raises(UserError) as caught:
        Fsd50k().table(write(dev=rows))
    assert str(caught.value).partition("dev.csv: ")[2].splitlines() == [
        "not the table of FSD50K",
        "labels outside the vocabulary: 2",
        "  line 3: 'Dogs'",
        "  line 4: 'Cats'",
        "not one mid per label: 1",
        "  line 5: 2 labels, 1 mids",
        "mids other than the vocabulary's: 1",
        "  line 6: Hi-hat is /m/00198",
        "splits other than train and val: 1",
        "  line 7: 'trai'",
        "names that are no number of Freesound: 1",
        "  line 8: '../7'",
        "clips that are listed twice: 1",
        "  line 9: 1, also in line 2",
    ]


def test_a_clip_of_both_tables_is_refused(write):
    with pytest.raises(UserError, match="two clips have the id '64760.wav'"):
        Fsd50k().table(write(evaluated="64760,Hi-hat,/m/00197\n"))


def test_invalid_metadata_is_refused(write):
    root = write(metadata=True)
    path = root / "FSD50K.metadata/dev_clips_info_FSD50K.json"
    path.write_text(path.read_text()[:-1])
    with pytest.raises(UserError, match="dev_clips_info_FSD50K.json: not JSON"):
        Fsd50k().table(root)


def test_missing_files_are_listed(tmp_path, write):
    with pytest.raises(UserError, match="no FSD50K.ground_truth/dev.csv, no .* --download"):
        Fsd50k().table(tmp_path)
    root = write()
    (root / "FSD50K.dev_audio/64760.wav").unlink()
    (root / "FSD50K.dev_audio/21914.wav").unlink()
    with pytest.raises(UserError, match=r"missing: 2 of 3\n  21914.wav\n  64760.wav"):
        Fsd50k().check_complete(root)


def test_a_truncated_table_is_refused(write):
    root = write(dev=DEV.rpartition("21914")[0])
    with pytest.raises(UserError, match="found {'dev clips': 2, 'dev labels': 3, .*, but FSD50K"):
        Fsd50k().check_complete(root)


def test_the_files_of_the_record():
    assert sum(size for _, size, _ in FILES) == 24_678_734_449
    assert len({md5 for _, _, md5 in FILES}) == len(FILES) == 11


# Downloading --------------------------------------------------------------------------------------


@pytest.fixture
def record(write, tmp_path, monkeypatch, web):
    """A server of the record, its recordings in volumes of 200 bytes."""
    root = write(metadata=True)
    packed = tmp_path / "packed"
    packed.mkdir()
    for part in ("dev", "eval"):
        sounds = {
            f"FSD50K.{part}_audio/{path.name}": path.read_bytes()
            for path in (root / f"FSD50K.{part}_audio").iterdir()
        }
        for volume in write_volumes(packed, sounds, 200, zip64=part == "dev"):
            volume.rename(packed / volume.name.replace("set.", f"{part}_audio."))
    for part in ("ground_truth", "metadata"):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for path in (root / f"FSD50K.{part}").iterdir():
                archive.write(path, f"FSD50K.{part}/{path.name}")
        (packed / f"{part}.zip").write_bytes(stream.getvalue())
    files = []
    for path in sorted(packed.iterdir()):
        body = path.read_bytes()
        web.put(f"/FSD50K.{path.name}", body)
        digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
        files.append((path.name, len(body), digest))
    monkeypatch.setattr(fsd50k, "FILES", tuple(files))
    monkeypatch.setattr(fsd50k, "URL", web.address + "/{name}")
    return web


def test_the_record_is_fetched_joined_and_checked(record, tmp_path):
    root = tmp_path / "fetched"
    Fsd50k().download(root)
    table = Fsd50k().table(root)
    assert len(table) == 4
    assert table.frame.loc["64760.wav", "licence"] == "CC0"
    assert all(soundfile.info(path).frames == 13 for path in table.frame["path"])
    asked = len(record.seen)
    Fsd50k().download(root)
    assert len(record.seen) == asked, "what is there is not fetched again"


def test_a_missing_volume_is_named_and_nothing_is_unpacked(record, tmp_path):
    record.files.pop("/FSD50K.dev_audio.z02")
    root = tmp_path / "fetched"
    with pytest.raises(UserError, match=r"FSD50K.dev_audio.z02: no address serves it"):
        Fsd50k().download(root)
    assert not [path for path in root.iterdir() if path.is_dir()]
    with pytest.raises(UserError, match="run make_mel.py with --download"):
        Fsd50k().table(root)


def test_a_volume_with_a_wrong_byte_is_named(record, tmp_path):
    root = tmp_path / "fetched"
    root.mkdir()
    body = record.files["/FSD50K.dev_audio.z01"]
    (root / "FSD50K.dev_audio.z01").write_bytes(bytes([body[0] ^ 1]) + body[1:])
    with pytest.raises(UserError, match=r"FSD50K.dev_audio.z01: found md5 .*; delete it and start"):
        Fsd50k().download(root)
    assert [path.name for path in root.iterdir()] == ["FSD50K.dev_audio.z01"]
