import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.loading.batches import DeviceTargets
from data.tables.targets import Targets

CLASSES = ("a", "b", "c", "d", "e")
labels = st.lists(st.dictionaries(st.sampled_from(CLASSES), st.floats(0, 1, width=32)), min_size=1)
quickly = settings(derandomize=True, deadline=None, max_examples=100)


def dense(some):
    return np.array([[named.get(name, 0.0) for name in CLASSES] for named in some], np.float32)


@quickly
@given(labels, st.data())
def test_rows_are_those_of_the_dense_matrix(some, data):
    sparse, wanted = Targets.of(some, CLASSES), dense(some)
    rows = np.array(data.draw(st.lists(st.integers(0, len(some) - 1), max_size=9)), int)
    mask = wanted[:, 0] > 0
    for index in (rows, mask, slice(1, None, 2), slice(None)):
        np.testing.assert_array_equal(sparse[index], wanted[index], strict=True)
        np.testing.assert_array_equal(sparse.take(index)[:], wanted[index], strict=True)
    np.testing.assert_array_equal(sparse[len(some) - 1], wanted[-1], strict=True)
    np.testing.assert_array_equal(np.asarray(sparse), wanted, strict=True)
    on_device = DeviceTargets(sparse, torch.device("cpu"))
    assert torch.equal(on_device[torch.from_numpy(rows)], torch.from_numpy(wanted[rows]))
    np.testing.assert_allclose(sparse.sum(mask), wanted[mask].sum(0, np.float64), rtol=1e-6)


def test_rows_out_of_range():
    sparse = Targets.of([{"a": 1.0}], CLASSES)
    for index in (1, [1], np.array([True, False])):
        with pytest.raises(IndexError):
            sparse[index]


def test_zeros_take_no_memory():
    sparse = Targets.of([{"e": 1.0, "b": 0.5, "c": 0.0}, {}, {"a": 1e-60}], CLASSES)
    stored = sparse.arrays()
    assert stored["starts"].tolist() == [0, 2, 2, 2]
    assert stored["columns"].tolist() == [1, 4]
    assert stored["values"].tolist() == [0.5, 1.0]
    assert [array.dtype for array in stored.values()] == [np.int64, np.int16, np.float32]
    assert sparse.nbytes == 4 * 4 + 2 * (4 + 4)
    assert sparse.texts(CLASSES) == ["b=0.5;e=1", "", ""]


def test_more_classes_than_two_bytes_can_number():
    classes = [str(n) for n in range(40_000)]
    assert Targets.of([{"39999": 1.0}], classes)[0].argmax() == 39_999


def test_pairs_in_any_order_and_repeated():
    rows, columns = np.array([2, 0, 2, 2, 0]), np.array([1, 3, 0, 1, 2])
    targets = Targets.of_pairs(rows, columns, (4, 4))
    assert targets[:].tolist() == [[0, 0, 1, 1], [0] * 4, [1, 1, 0, 0], [0] * 4]
    assert targets.sum(np.array([1.0, 1.0, 3.0, 1.0])).tolist() == [3, 3, 1, 1]
    assert Targets.of_pairs(rows, columns, (4, 2**15)).arrays()["columns"].dtype == np.int32
