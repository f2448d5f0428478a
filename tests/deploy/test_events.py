import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from deploy.events import Event, events, smoothed
from deploy.labels import LABELS
from tests.deploy.test_tags import SELECTION, rows

ADJACENT = rows((0.9, 0.9), (0.9, 0.1), (0.1, 0.1), (0.9, 0.1))


def test_adjacent_windows_are_one_event():
    assert list(events(ADJACENT, SELECTION)) == [
        Event(0, 4, "rain, heavy"),
        Event(0, 8, "dog"),
        Event(12, 16, "dog"),
    ]


def test_short_events_are_dropped():
    assert list(events(ADJACENT, SELECTION, 8.0)) == [Event(0, 8, "dog")]
    assert list(events(ADJACENT, SELECTION, 8.1)) == []


def test_overlapping_windows_are_one_event():
    found = rows((0.9, 0), (0.1, 0), (0.9, 0), (0, 0), (0, 0), (0, 0), (0.9, 0), step=2.0)
    assert list(events(found, SELECTION)) == [Event(0, 8, "dog"), Event(12, 16, "dog")]


def test_an_event_is_yielded_before_the_recording_ends():
    def stream():
        yield from rows((0.9, 0), (0, 0), (0, 0))
        raise AssertionError("the event was not yielded")

    assert next(events(stream(), SELECTION)) == Event(0, 4, "dog")


@given(st.lists(st.floats(0, 1, width=32), max_size=12), st.sampled_from([1, 3, 5]))
def test_smoothing_is_a_median_over_the_windows_that_are_there(values, windows):
    found = list(smoothed(rows(*[(v,) for v in values]), windows))
    half = windows // 2
    expected = [np.median(values[max(0, k - half) : k + half + 1]) for k in range(len(values))]
    np.testing.assert_allclose([row.probabilities[0] for row in found], expected, rtol=1e-6)
    assert [row.start for row in found] == [4.0 * k for k in range(len(values))]


def test_smoothing_does_not_cross_recordings():
    found = smoothed(rows((1.0,), (1.0,)) + rows((0.0,), (0.0,), recording="b.wav"), 3)
    assert [row.probabilities[0] for row in found] == [1, 1, 0, 0]


def test_label_files():
    found = [Event(0.5, 2, "dog"), Event(3, 4, "rain, heavy")]
    assert list(LABELS["audacity"](found, 8000)) == [
        "0.500000\t2.000000\tdog",
        "3.000000\t4.000000\train, heavy",
    ]
    head, first, second = (line.split("\t") for line in LABELS["raven"](found, 8000))
    assert dict(zip(head, second, strict=True)) == {
        "Selection": "2",
        "View": "Spectrogram 1",
        "Channel": "1",
        "Begin Time (s)": "3.000000",
        "End Time (s)": "4.000000",
        "Low Freq (Hz)": "0.0",
        "High Freq (Hz)": "8000.0",
        "Annotation": "rain, heavy",
    }
