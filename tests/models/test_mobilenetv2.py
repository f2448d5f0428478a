import pytest
import torch

from models import MODELS

INPUT_SHAPE = (1, 64, 20)


def build(**options):
    torch.manual_seed(0)
    return MODELS["mobilenetv2"](num_classes=8, input_shape=INPUT_SHAPE, **options)


def test_there_is_no_unused_classifier():
    weights = build().state_dict()
    parts = {name.partition(".")[0] for name in weights}
    assert parts == {"stem", "features", "fc", "norm", "classifier"}
    assert 1000 not in {len(tensor) for tensor in weights.values() if tensor.ndim}


@pytest.mark.parametrize("width_mult", [0.0005, 0.0277])
def test_no_block_has_fewer_than_eight_channels(width_mult):
    features = build(width_mult=width_mult).features
    parameters = sum(p.numel() for p in features.parameters())
    assert parameters == 35_728
    assert features[-1].out_channels == 1280


def test_a_training_batch_of_one_is_normalised_by_the_running_statistics_of_the_head():
    model = build().train()
    model(torch.randn(4, *INPUT_SHAPE))  # statistics other than 0 and 1
    mean, variance = model.norm.running_mean.clone(), model.norm.running_var.clone()
    hidden = []
    model.norm.register_forward_pre_hook(lambda _, inputs: hidden.append(inputs[0]))
    embedding = model(torch.randn(1, *INPUT_SHAPE)).embedding
    torch.testing.assert_close(embedding, (hidden[0] - mean) / (variance + 1e-5).sqrt())
    assert torch.equal(model.norm.running_mean, mean)
    assert torch.equal(model.norm.running_var, variance)


def test_larger_training_batches_use_their_own_statistics():
    embedding = build().train()(torch.randn(6, *INPUT_SHAPE)).embedding
    torch.testing.assert_close(embedding.mean(dim=0), torch.zeros(512), atol=1e-5, rtol=0)


def test_the_maps_halve_from_stage_to_stage():
    sizes = [tuple(m.shape[2:]) for m in build()(torch.randn(2, *INPUT_SHAPE)).maps]
    assert sizes == [(32, 10), (16, 5), (8, 3), (4, 2), (2, 1)]
