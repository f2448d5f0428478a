import pytest
import torch

from benchmarks.scale import BATCH, CLASSES, LABELS, SHAPE, Opened
from benchmarks.synthetic import clip_table, write_cache


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features") / "x"
    write_cache(folder, clip_table(1500, CLASSES, LABELS), SHAPE, shard_clips=256)
    return Opened(folder)


def test_bytes_per_clip_are_those_of_the_arrays(opened):
    assert len(opened.caches[0].shards) == 6
    train = len(opened.batches.sampler.rows)
    # Per clip and role: id 21, codes of split, fold and group 1 each, offset 4, three labels of
    # 4 + 4, position 8. Per role: the distinct values, one more offset, six shards.
    table = 21 + 3 + 4 + 24
    distinct = 3 * 8 + 8 + 15 * len("sensor_0_00000000")
    assert opened.index_bytes == 2 * (1500 * (table + 8) + distinct + 4 + 6 * 8) + 3 * 8 * train
    assert 3 * 8 * train <= 3 * 8 * 1500 * 0.6
    assert opened.index_bytes / 1500 < 200


def test_every_clip_has_three_labels_and_batches_are_full(opened):
    targets = opened.caches[0].table.targets
    assert (targets[:].sum(1) == LABELS).all()
    batches = opened.endless()
    for _ in range(40):  # more than an epoch
        batch = next(batches)
        assert len(batch.rows) == BATCH
        assert torch.equal(batch.targets.sum(1), torch.full((BATCH,), float(LABELS)))
