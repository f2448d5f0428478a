import numpy as np
import torch

from data.loading.concatenated import ConcatenatedClips

ROWS, LABELS = np.array([1, 2, 4, 5, 7]), np.array([0, 1, 0, 0, 2])


class Clips:
    """Clip r is two frames of r."""

    device = torch.device("cpu")

    def __getitem__(self, rows):
        return rows.float().reshape(-1, 1, 1, 1).expand(-1, 1, 2, 3)


def test_a_clip_is_followed_by_another_of_its_class():
    joined = ConcatenatedClips(Clips(), ROWS, LABELS, seed=0)[torch.tensor(ROWS)]
    assert joined.shape == (5, 1, 4, 3)
    first, then = joined[:, 0, 0, 0].int().tolist(), joined[:, 0, 2, 0].int().tolist()
    assert first == ROWS.tolist()
    label = dict(zip(ROWS.tolist(), LABELS.tolist(), strict=True))
    assert [label[row] for row in then] == LABELS.tolist()
    assert [a == b for a, b in zip(first, then, strict=True)] == [False, True, False, False, True]


def test_the_same_seed_joins_the_same_clips():
    prints = [ConcatenatedClips(Clips(), ROWS, LABELS, seed).fingerprint() for seed in (0, 0, 3)]
    assert prints[0] == prints[1]
    more = {
        ConcatenatedClips(Clips(), np.arange(40), np.arange(40) % 2, s).fingerprint()
        for s in range(4)
    }
    assert len(more) == 4
