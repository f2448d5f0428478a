"""Buffers in one block of memory."""

from hypothesis import given
from hypothesis import strategies as st

from deploy.arena import Buffer, arena


@st.composite
def buffers(draw):
    first, length = draw(st.integers(-1, 8)), draw(st.integers(0, 5))
    return Buffer(draw(st.integers(1, 50)), first, first + length)


@given(st.lists(buffers(), max_size=12))
def test_no_two_buffers_that_are_alive_together_overlap(planned):
    places, size = arena(planned)
    placed = list(zip(places, planned, strict=True))
    assert size == max((place + buffer.size for place, buffer in placed), default=0)
    for number, (place, buffer) in enumerate(placed):
        assert place >= 0
        for other_place, other in placed[:number]:
            apart = place + buffer.size <= other_place or other_place + other.size <= place
            assert apart or not (buffer.first <= other.last and other.first <= buffer.last)
    alive = [sum(b.size for b in planned if b.first <= step <= b.last) for step in range(-1, 14)]
    assert size >= max(alive)


def test_a_chain_of_layers_requires_its_two_largest_neighbours():
    chain = [Buffer(size, step, step + 1) for step, size in enumerate((10, 40, 30, 20, 5))]
    assert arena(chain)[1] == 70
