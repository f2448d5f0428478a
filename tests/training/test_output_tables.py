import errno
import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from config import UserError
from training import output_tables
from training.output_tables import Mapped, Table

VALUES = torch.randn(11, 2, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def parts_of_four_clips(monkeypatch):
    monkeypatch.setattr(output_tables, "PART", 4)


def table_of(folder, dtype="float32"):
    return Table(folder, "map", (11, 2, 3), dtype)


def filled(folder, dtype="float32"):
    table = table_of(folder, dtype)
    for start in table.missing():
        table.write(start, VALUES[table.rows(start)])
    return table


def test_a_table_returns_the_values_that_were_written(tmp_path):
    table = table_of(tmp_path)
    assert table.missing() == [0, 4, 8]
    filled(tmp_path)
    assert table.missing() == []
    assert torch.equal(table.read(), VALUES)
    assert table.bytes == VALUES.numel() * 4
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "map.float32.00000000.npy",
        "map.float32.00000004.npy",
        "map.float32.00000008.npy",
    ]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@settings(derandomize=True, deadline=None, max_examples=20)
@given(at=st.lists(st.integers(0, 10), min_size=1, max_size=9))
def test_mapped_clips_are_found_in_any_order(tmp_path_factory, dtype, at):
    table = filled(tmp_path_factory.mktemp("mapped"), dtype)
    found = Mapped(table, torch.device("cpu"))[torch.tensor(at)]
    assert found.dtype == torch.float32
    assert torch.equal(found, VALUES[at].to(getattr(torch, dtype)).float())


@pytest.mark.parametrize("place", [3, 9, 40, 70, 140, -40, -1])  # header, values, checksum
def test_a_part_with_a_flipped_bit_is_missing(tmp_path, place):
    table = filled(tmp_path)
    content = bytearray(table.path(4).read_bytes())
    content[place] ^= 1
    table.path(4).write_bytes(content)
    assert table.missing() == [4]
    table.write(4, VALUES[4:8])
    assert torch.equal(table.read(), VALUES)


@pytest.mark.parametrize("other", [bytes(118), b"(" * 118, b"{'shape': (9" + b"9" * 106])
def test_a_part_whose_header_is_no_header_is_missing(tmp_path, other):
    table = filled(tmp_path)
    content = table.path(4).read_bytes()
    table.path(4).write_bytes(content[:10] + other + content[128:])
    assert table.missing() == [4]


@pytest.mark.parametrize("kept", [0, 10, 128, 150])
def test_a_part_cut_short_is_missing(tmp_path, kept):
    table = filled(tmp_path)
    content = table.path(4).read_bytes()
    assert len(content) > 150
    table.path(4).write_bytes(content[:kept])
    assert table.missing() == [4]
    with pytest.raises(UserError, match=r"00000004\.npy: missing or damaged"):
        table.read()


def test_a_part_of_another_table_is_missing(tmp_path):
    filled(tmp_path)
    assert Table(tmp_path, "map", (11, 2, 4)).missing() == [0, 4, 8]
    assert Table(tmp_path, "map", (10, 2, 3)).missing() == [8]
    assert table_of(tmp_path, "float16").missing() == [0, 4, 8]
    np.save(tmp_path / "map.float32.00000000.npy", VALUES[:4].double().numpy())
    assert table_of(tmp_path).missing() == [0]


def test_a_full_disk_leaves_the_finished_parts_only(tmp_path, monkeypatch):
    table = table_of(tmp_path)
    table.write(0, VALUES[:4])

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device.*finished parts are kept"):
        table.write(4, VALUES[4:8])
    assert [path.name for path in tmp_path.iterdir()] == ["map.float32.00000000.npy"]
    monkeypatch.undo()
    monkeypatch.setattr(output_tables, "PART", 4)
    assert table.missing() == [4, 8]
    assert torch.equal(table.part(0), VALUES[:4])


@pytest.mark.parametrize(
    ("dtype", "value"), [("float16", 7e4), ("float32", torch.inf), ("float32", torch.nan)]
)
def test_a_value_that_the_type_cannot_represent_is_rejected(tmp_path, dtype, value):
    with pytest.raises(UserError, match=f"map is not finite in {dtype}.*TEACHER = online"):
        table_of(tmp_path, dtype).write(0, torch.full((4, 2, 3), value))
    assert list(tmp_path.iterdir()) == []


def test_a_removed_table_is_gone_and_no_other(tmp_path):
    filled(tmp_path, "float16")
    filled(tmp_path).remove()
    assert table_of(tmp_path).missing() == [0, 4, 8]
    assert table_of(tmp_path, "float16").missing() == []
