import threading

import pytest
import torch

from data.loading.prefetch import prefetched


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10])
def test_results_come_in_order_and_the_thread_ends(count):
    assert list(prefetched(lambda n: n * n, range(count))) == [n * n for n in range(count)]
    assert not threads()


def test_the_next_results_are_fetched_while_one_is_used():
    made = [threading.Event() for _ in range(10)]
    results = prefetched(lambda n: made[n].set(), range(10), ahead=3)
    next(results)
    assert all(event.wait(10) for event in made[:4])
    assert len(threads()) == 1
    results.close()
    assert not any(event.is_set() for event in made[4:])


def test_an_exception_comes_where_its_result_would_have():
    def fetch(n):
        if n == 2:
            raise OSError("the disk is gone")
        return n

    results = prefetched(fetch, range(10))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(OSError, match="the disk is gone"):
        next(results)
    assert not threads()


def test_the_thread_ends_where_the_iteration_is_broken_off():
    for n in prefetched(lambda n: n, range(10)):
        if n == 3:
            break
    del n
    assert not threads()


def test_training_keeps_its_cores():
    before = torch.get_num_threads()
    assert list(prefetched(lambda _: torch.get_num_threads(), range(2))) == [1, 1]
    assert torch.get_num_threads() == before
