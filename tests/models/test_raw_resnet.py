import pytest
import torch

from config import ConfigError
from models import MODELS
from models.cost import cost


def build(samples=480_000, **options):
    return MODELS["raw_resnet"](num_classes=10, input_shape=(2, samples), **options)


def lengths(model, samples):
    """Frames of the stem, of each block and of what is pooled, without computing them."""
    model, waveform = model.to("meta").eval(), torch.zeros(1, 2, samples, device="meta")
    maps = model(waveform).maps
    return [
        model.stem(waveform).shape[2],
        *(m.shape[2] for m in maps),
        model.last(maps[-1]).shape[2],
    ]


def test_the_code_has_the_published_parameters_and_multiply_accumulates():
    figures = cost(build(), (2, 480_000))
    assert figures.parameters == 636_736
    assert figures.macs == pytest.approx(3.56e9, abs=5e6)


def test_a_second_model_has_the_same_sizes():
    first, second = (build().state_dict() for _ in range(2))
    assert {n: t.shape for n, t in first.items()} == {n: t.shape for n, t in second.items()}


def test_the_maps_have_the_published_lengths():
    expected = [39_999, 13_333, 4_444, 1_481, 493, 164, 54, 18]
    assert lengths(build(), 479_999) == [*expected, 24]
    assert lengths(build(last_conv_padding=0), 479_999) == [*expected, 18]
    assert lengths(build(version="report"), 479_999) == [*expected, 18]


def test_the_report_pools_128_values_into_an_embedding_of_64():
    model = build(version="report")
    assert model.stem[0].out_channels == 64
    assert (model.fc.in_features, model.fc.out_features) == (128, 64)
    stem = 2 * 64 * 12 + 64 + 128  # weights, biases, batch normalisation
    narrow = 2 * (2 * (64 * 64 * 3 + 64) + 2 * 128)
    widening = (64 * 128 * 3 + 128) * 2 + 128 * 128 * 3 + 128 + 2 * 256
    wide = 4 * (2 * (128 * 128 * 3 + 128) + 2 * 256)
    end = 128 * 64 + 64 + 128 + 128 * 64 + 64 + 64 * 10
    assert cost(model, (2, 480_000)).parameters == stem + narrow + widening + wide + end == 564_416


def test_the_embedding_is_the_mean_and_the_maximum_of_the_last_map_through_a_linear_layer():
    torch.manual_seed(0)
    model = build(60_000, width_mult=0.1).eval()
    with torch.no_grad():
        output = model(torch.randn(3, 2, 60_000))
        frames = model.last(output.maps[-1])
        pooled = torch.cat([frames.sum(2) / frames.shape[2], frames.max(2).values], 1)
    torch.testing.assert_close(output.embedding, pooled @ model.fc.weight.T + model.fc.bias)
    torch.testing.assert_close(output.logits, output.embedding @ model.classifier.weight.T)
    assert output.embedding.shape == (3, 13)
    assert output.embedding.min() < 0


def test_a_single_clip_of_minimal_length_can_be_trained_on():
    for samples, options in ((26_244, {}), (52_488, {"last_conv_padding": 0})):
        model = build(samples, width_mult=0.1, **options).train()
        assert model(torch.randn(1, 2, samples)).logits.isfinite().all()
        with pytest.raises(
            ConfigError, match=f"at least {samples} samples, found .* {samples - 1}"
        ):
            build(samples - 1, **options)


def test_padding_must_not_be_negative():
    with pytest.raises(
        ConfigError, match="raw_resnet last_conv_padding: found -1, expected at least 0"
    ):
        build(last_conv_padding=-1)
