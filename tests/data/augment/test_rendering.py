import math

import pytest
import torch

from config import Mel
from data.augment.rendering import hash32, noise, roll, to_linear, to_log, warp_frequency
from data.features.front_end import FrontEnd


def test_a_waveform_rolls_too():
    x = torch.arange(6.0).reshape(1, 1, 6)
    assert roll(x, torch.tensor([2])).flatten().tolist() == [4, 5, 0, 1, 2, 3]


@pytest.mark.parametrize("log", ["natural", "log10", "decibel", "none"])
def test_the_logarithm_is_undone(log):
    grid = Mel(log=log)
    linear = torch.tensor([0.0, 1e-3, 1.0, 100.0])
    torch.testing.assert_close(to_linear(to_log(linear, grid), grid), linear, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("log", ["natural", "log10", "decibel"])
@pytest.mark.parametrize(
    "offset",
    [{}, {"framing": "kaldi", "log_offset": 0.0}, {"log_offset": 0.0, "log_floor": 1e-10}],
)
def test_the_logarithm_of_0_is_that_of_silence_in_the_front_end(log, offset):
    grid = Mel(log=log, num_bands=4, **offset)
    heard = FrontEnd(grid)(torch.zeros(1, 1, 400)).flatten()
    torch.testing.assert_close(to_log(torch.zeros(4), grid), heard)


def test_a_warp_by_hand():
    """700 Hz is 1127 ln 2 mel; half as much again is 1127 ln 2^1.5 mel, 1279.9 Hz."""
    centres = torch.tensor([200.0, 700.0, 1200.0, 1400.0])
    x = torch.tensor([1.0, 2.0, 4.0, 8.0]).expand(2, 3, 5, 4)
    found = warp_frequency(x, centres, torch.tensor([0.5, -0.5]))
    between = (700 * 2**1.5 - 700 - 1200) / 200  # of the way from the third band to the fourth
    assert found[0, 0, 0, 1].item() == pytest.approx(4 + 4 * between, rel=1e-5)
    assert found[0, 0, 0, 3].item() == 8, "nothing is known above the highest band"
    lower = (700 * 2**0.5 - 700 - 200) / 500
    assert found[1, 2, 4, 1].item() == pytest.approx(1 + lower, rel=1e-5)
    assert torch.equal(warp_frequency(x, centres, torch.zeros(2)).round(decimals=4), x)


def test_a_single_band_has_nowhere_to_go():
    x = torch.rand(2, 1, 5, 1)
    assert torch.equal(warp_frequency(x, torch.tensor([1000.0]), torch.tensor([0.1, -0.1])), x)


def test_fifteen_kilohertz_move_by_one_for_a_warp_of_two_per_cent():
    """As PaSST's jitter does, which moves the upper edge of its bank by up to 1000 Hz."""
    centres = torch.linspace(100, 20_000, 400)
    found = warp_frequency(centres.expand(1, 1, 1, 400), centres, torch.tensor([0.02])).flatten()
    at = (centres - 15_000).abs().argmin()
    assert (found - centres)[at].item() == pytest.approx(1000, rel=0.02)


def scrambled_by_python(number):
    number &= 0xFFFFFFFF
    for factor in (0x7FEB352D, 0x31848BAB):
        number ^= number >> 16
        number = number * factor & 0xFFFFFFFF
    return number ^ number >> 15


def test_hash32_equals_that_of_python_integers():
    numbers = [0, 1, 2, 2**31 - 1, 2**32 - 1, 123_456_789, 2**31 + 5000, -3]
    assert hash32(torch.tensor(numbers)).tolist() == [scrambled_by_python(n) for n in numbers]


def test_a_cell_of_noise_equals_that_of_python_integers():
    """At 70 and 130 ms, cells 7 and 13; at 700 Hz, mel 781.2, cell 39, and at 3000 Hz, cell 94."""
    seeds = [5, 2**31 - 1]
    found = noise(torch.tensor(seeds), torch.tensor([0.07, 0.13]), torch.tensor([700.0, 3000.0]))
    for clip, seed in enumerate(seeds):
        for time, row in enumerate((7, 13)):
            for band, column in enumerate((39, 94)):
                factor = scrambled_by_python(column) >> 1 | 1
                product = (scrambled_by_python(seed + row) - 2**31) * factor + 2**31 & 0xFFFFFFFF
                assert found[clip, 0, time, band].item() == pytest.approx(product / 2**32, abs=1e-6)


def test_noise_is_uniform_and_its_cells_know_nothing_of_one_another():
    seconds, hertz = torch.arange(400) / 100, 700 * torch.expm1(torch.arange(100) * 25 / 1127)
    field = noise(torch.tensor([1, 2]), seconds, hertz)
    assert field.shape == (2, 1, 400, 100)
    assert field.min() >= 0
    assert field.max() <= 1
    counts = torch.histc(field, 20, 0, 1)  # 4000 each, give or take the root of as many
    assert (counts - 4000).abs().max() < 4 * math.sqrt(4000)
    one, two = field[:, 0] - 0.5
    neighbours = {
        "clips": (one, two),
        "times": (one[1:], one[:-1]),
        "bands": (one[:, 1:], one[:, :-1]),
        "both": (one[1:, 1:], one[:-1, :-1]),
    }
    for name, (a, b) in neighbours.items():
        assert abs((a * b).mean().item() * 12) < 4 / math.sqrt(a.numel()), name
