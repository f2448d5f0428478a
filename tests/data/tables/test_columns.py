import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.tables.columns import Column, StoredColumns, write_columns

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
columns = st.one_of(
    st.lists(texts | st.sampled_from(["train", "test"]), max_size=30),
    st.lists(st.integers(0, 300), max_size=30),
    st.lists(st.floats(-1e6, 1e6), max_size=30),
)
quickly = settings(derandomize=True, deadline=None, max_examples=100)


@quickly
@given(columns, st.data())
def test_a_column_is_indexed_as_an_array_is(values, data):
    column, array = Column.of(values), np.array(values, object)
    assert list(column) == values
    assert len(column) == len(values)
    places = st.integers(0, max(0, len(values) - 1))
    rows = np.array(data.draw(st.lists(places, max_size=10 if values else 0)), int)
    assert column[rows].tolist() == array[rows].tolist()
    assert column.take(rows)[:].tolist() == array[rows].tolist()
    assert column[2:7].tolist() == array[2:7].tolist()
    assert column[array == "train"].tolist() == array[array == "train"].tolist()
    if values:
        assert column[-1] == values[-1]


@pytest.mark.parametrize(
    ("values", "bytes_each"),
    [
        ([f"{n:010d}.wav" for n in range(1000)], 14),  # each its own
        (["train", "test"] * 500, 1),
        ([f"sensor {n % 300:03d}" for n in range(1000)], 2),  # more than 256 of them
        ([3] * 1000, 1),
        ([n / 3 for n in range(1000)], 8),
        ([float("nan")] * 1000, 1),
    ],
)
def test_a_column_takes_the_bytes_that_it_must(values, bytes_each):
    column = Column.of(values)
    arrays = [column.values] if column.codes is None else [column.values, column.codes]
    assert column.nbytes == sum(array.nbytes for array in arrays)
    distinct = 0 if column.codes is None else column.values.nbytes
    assert column.nbytes - distinct == 1000 * bytes_each


def test_texts_of_any_length_come_back_as_str():
    column = Column.of(["", "Straße", "a"] * 10)
    assert all(type(text) is str for text in column)
    assert type(column[1]) is str
    assert np.array_equal(np.asarray(column), column[:])


@quickly
@given(st.dictionaries(texts, columns, max_size=4))
def test_columns_are_read_as_they_were_written(tmp_path_factory, named):
    path = tmp_path_factory.mktemp("columns") / "x.npz"
    written = {name: Column.of(values) for name, values in named.items()}
    for _ in range(2):
        file = io.BytesIO()
        write_columns(file, written, {"other": np.arange(3)})
        if path.exists():
            assert path.read_bytes() == file.getvalue()
        path.write_bytes(file.getvalue())
    found = StoredColumns(path, list(named)[:1])
    assert list(found) == list(named)
    assert list(found.in_memory) == list(named)[:1]
    for name, values in named.items():
        assert found[name][:].tolist() == Column.of(values)[:].tolist()
    with pytest.raises(KeyError):
        found["no such column"]
