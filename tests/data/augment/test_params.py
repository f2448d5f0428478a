import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.augment.params import beta
from tests.data.augment.test_augment import still


def test_beta_has_its_mean_and_variance():
    for alpha in (0.1, 1.0, 10.0):
        params = beta(alpha, 20_000, torch.Generator().manual_seed(0))
        assert params.mean().item() == pytest.approx(0.5, abs=0.01)
        assert params.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)


@st.composite
def mixtures(draw):
    """Partners and weights of both mixups, of up to eight clips, and a mask of some clips."""
    clips = draw(st.integers(1, 8))
    partners = st.lists(st.integers(0, clips - 1), min_size=clips, max_size=clips)
    weights = st.lists(st.just(1.0) | st.floats(0.5, 1), min_size=clips, max_size=clips)
    found = {name: torch.tensor(draw(partners)) for name in ("partner", "wave_partner")}
    found |= {
        name: torch.tensor(draw(weights), dtype=torch.float64) for name in ("weight", "wave_weight")
    }
    flags = draw(st.lists(st.booleans(), min_size=clips, max_size=clips))
    return still(clips, **found), torch.tensor(flags)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(mixtures())
def test_the_shares_of_a_clip_mixed_twice(mixture):
    """They sum to 1, are of four clips at most, and are those of the targets."""
    params, flags = mixture
    clips = len(flags)
    shares = params.mix_targets(torch.eye(clips, dtype=torch.float64))
    wanted = torch.zeros(clips, clips, dtype=torch.float64)
    for clip in range(clips):
        own, other = params.weight[clip], params.partner[clip]
        for part, source in ((own, clip), (1 - own, other)):
            wave = params.wave_weight[source]
            wanted[clip, source] += part * wave
            wanted[clip, params.wave_partner[source]] += part * (1 - wave)
    torch.testing.assert_close(shares, wanted)
    torch.testing.assert_close(shares.sum(1), torch.ones(clips, dtype=torch.float64))
    assert ((shares > 0).sum(1) <= 4).all()
    targets = torch.rand(clips, 3, generator=torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(params.mix_targets(targets), shares @ targets)
    assert params.unmixed(flags).tolist() == [bool(flags[row > 0].all()) for row in shares]


@settings(derandomize=True, deadline=None, max_examples=100)
@given(mixtures(), st.data())
def test_a_few_clips_have_the_shares_that_they_have_in_their_batch(mixture, data):
    params, flags = mixture
    clips = len(flags)
    rows = torch.tensor(data.draw(st.lists(st.integers(0, clips - 1), min_size=1, max_size=8)))
    positions, few = params.take(rows)
    one_hot = torch.eye(clips, dtype=torch.float64)
    assert torch.equal(few.mix_targets(one_hot[positions]), params.mix_targets(one_hot)[rows])
    assert torch.equal(few.unmixed(flags[positions]), params.unmixed(flags)[rows])
