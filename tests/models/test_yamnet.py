import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from config import Classes, ConfigError, Mel, UserError
from config.pretrained import PRETRAINED
from data.features.decode import decode
from data.features.front_end import FrontEnd
from deploy.model_graph import model_graph
from deploy.onnx_file import session
from models import MODELS
from models.class_map import ClassMap, map_classes
from models.class_names import class_names
from models.cost import cost
from models.pretrained import load_backbone
from models.published import load_all, read_weights
from models.tflite_file import Table
from models.yamnet import patch_starts, same_padding, statistics
from tests.yamnet import FOLDER, LITERT, needs_yamnet

FRONT_END = Mel(log_offset=0.001, fft_size=512)  # the rest are the defaults


def build(input_shape=(1, 96, 64), classes=521, **options):
    torch.manual_seed(0)
    return MODELS["yamnet"](num_classes=classes, input_shape=input_shape, **options)


@pytest.mark.parametrize(("batch_norm", "parameters"), [(False, 3_729_481), (True, 3_740_425)])
def test_the_published_parameters(batch_norm, parameters):
    with torch.device("meta"):
        model = build(batch_norm=batch_norm)
    assert cost(model, (1, 96, 64))[:2] == (parameters, 69_165_056)


@given(st.integers(1, 40), st.integers(1, 40))
def test_padding_is_that_of_tensorflow(frames, bands):
    """Total = max((ceil(n / stride) - 1) stride + kernel - n, 0), the odd one at the end."""
    pads = []
    for n in (bands, frames):
        total = max((math.ceil(n / 2) - 1) * 2 + 3 - n, 0)
        pads += [total // 2, total - total // 2]
    x = torch.rand(1, 2, frames, bands)
    assert torch.equal(same_padding(x), F.pad(x, pads))


def test_maps_are_per_resolution_and_the_embedding_is_the_mean_of_the_last():
    with torch.no_grad():
        output = build((1, 70, 33), 3, width_mult=0.5).eval()(torch.randn(2, 1, 70, 33))
    sizes = [(32, 35, 17), (64, 18, 9), (128, 9, 5), (256, 5, 3), (512, 3, 2)]
    assert [tuple(m.shape[1:]) for m in output.maps] == sizes
    torch.testing.assert_close(output.embedding, output.maps[-1].mean((2, 3)))


def test_statistics_are_the_mean_and_the_std_over_time():
    with torch.no_grad():
        output = build((1, 70, 33), 3, width_mult=0.25, pooling="statistics").eval()(
            torch.randn(2, 1, 70, 33)
        )
    frames = output.maps[-1].mean(3)
    expected = torch.cat([frames.mean(2), frames.std(2, correction=0)], 1)
    torch.testing.assert_close(output.embedding, expected, atol=2e-3, rtol=0)


def test_normalisation_before_the_classifier_has_no_parameters():
    model = build((1, 70, 33), 3, width_mult=0.25, classifier_norm=True).train()
    plain = build((1, 70, 33), 3, width_mult=0.25)
    x = torch.randn(4, 1, 70, 33)
    output = model(x)
    normalised = F.batch_norm(output.embedding, None, None, training=True)
    torch.testing.assert_close(output.logits, model.classifier[1](normalised))
    assert cost(model, x.shape[1:])[:2] == cost(plain, x.shape[1:])[:2]


def test_statistics_of_a_constant_map_have_a_finite_gradient():
    maps = torch.ones(1, 4, 3, 2, requires_grad=True)
    statistics(maps).sum().backward()
    assert maps.grad.isfinite().all()


@pytest.mark.parametrize(("depth", "width", "maps"), [(1, 64, 1), (5, 256, 3), (11, 512, 4)])
def test_fewer_blocks_are_the_first_ones(depth, width, maps):
    whole = build((1, 40, 24), 3).eval()
    part = build((1, 40, 24), 3, depth=depth).eval()
    part.features.load_state_dict(whole.features[: 1 + 2 * depth].state_dict())
    x = torch.randn(2, 1, 40, 24)
    with torch.no_grad():
        output = part(x)
        expected = whole.features[: 1 + 2 * depth](x)
    assert output.embedding.shape == (2, width)
    assert len(output.maps) == maps
    assert torch.equal(output.maps[-1], expected)


@given(st.integers(1, 400), st.integers(0, 120))
def test_patches_cover_every_frame_and_overlap_by_half(frames, size):
    starts = patch_starts(frames, size)
    if size == 0 or frames <= size:
        assert starts == [0]
        return
    covered = {frame for n in starts for frame in range(n, n + size)}
    assert covered == set(range(frames))
    assert starts == sorted(set(starts))
    assert all(b - a <= max(size // 2, 1) for a, b in itertools.pairwise(starts))


def test_a_clip_of_patches_is_the_mean_of_its_patches():
    model = build((1, 250, 24), 3, patch_frames=96, width_mult=0.25).eval()
    x = torch.randn(2, 1, 250, 24)
    starts = [0, 48, 96, 144, 154]
    with torch.no_grad():
        output = model(x)
        parts = [model(x[:, :, n : n + 96]) for n in starts]
    for name in ("logits", "embedding"):
        each = torch.stack([getattr(part, name) for part in parts])
        torch.testing.assert_close(getattr(output, name), each.mean(0))
    for found, *each in zip(output.maps, *(part.maps for part in parts), strict=True):
        torch.testing.assert_close(found, torch.cat(each, dim=2))


def test_a_negative_length_of_patches_is_an_error():
    with pytest.raises(ConfigError, match="yamnet patch_frames: found -1, expected at least 0"):
        build(patch_frames=-1)


@pytest.mark.parametrize(("depth", "message"), [(0, "at least 1"), (14, "at most 13")])
def test_a_depth_out_of_range_is_an_error(depth, message):
    with pytest.raises(ConfigError, match=f"yamnet depth: found {depth}, .*{message}"):
        build(depth=depth)


def test_an_input_whose_last_map_is_a_single_value_requires_no_batch_normalisation():
    for depth, smallest in ((13, 32), (5, 8)):
        message = f"at least {smallest + 1} frames or bands, found {smallest} x {smallest}"
        with pytest.raises(ConfigError, match=message):
            build((1, smallest, smallest), depth=depth)
        model = build((1, smallest + 1, 1), depth=depth).train()
        assert model(torch.randn(1, 1, smallest + 1, 1)).logits.isfinite().all()
    assert build((1, 8, 8), batch_norm=False)(torch.randn(1, 1, 8, 8)).logits.isfinite().all()


def test_the_padding_of_any_length_survives_the_export():
    model = build((1, 64, 20), 3, depth=5, width_mult=0.25).eval()
    graph = model_graph(model, (1, 64, 20))
    assert graph.any_length
    exported = session(graph.model)
    for frames in (64, 65, 66, 67, 37, 151):
        x = torch.randn(2, 1, frames, 20)
        with torch.no_grad():
            expected = model(x).logits
        (found,) = exported.run(["logits"], {"features": x.numpy()})
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


# The published weights --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def check():
    with np.load(FOLDER / "check.npz") as file:
        return {name: torch.from_numpy(file[name].astype(np.float32)) for name in file}


@pytest.fixture(scope="module")
def published():
    model = build(batch_norm=False).eval()
    load_all(model, read_weights(LITERT))
    return model


@needs_yamnet
def test_the_litert_file_has_the_weights_of_the_dequantised_copy():
    found, expected = read_weights(LITERT), load_file(FOLDER / "yamnet.safetensors")
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


@needs_yamnet
def test_scores_are_those_of_litert_whose_activations_are_int8(published, check):
    with torch.no_grad():
        scores = published(check["patch"][:, None]).logits.sigmoid()
    correlation = np.corrcoef(scores.flatten(), check["scores"].flatten())[0, 1]
    difference = (scores - check["scores"]).abs()
    assert correlation > 0.999  # measured: 0.99928
    assert difference.mean() < 5e-4  # 4.2e-4
    assert difference.max() < 0.05  # 0.039


@needs_yamnet
def test_the_front_end_is_that_inside_the_file():
    """Its window and, as the weight and bias of a linear layer, its filters and log offset."""
    ours, data = FrontEnd(FRONT_END), LITERT.read_bytes()
    model = Table(data, int.from_bytes(data[:4], "little"))
    tensors, buffers = model.tables(2)[0].tables(0), model.tables(4)
    theirs = {
        tensor.vector(3, "u1").tobytes().decode(): buffers[tensor.number(2, "<I")].vector(0, "<u1")
        for tensor in tensors
    }
    constants = {name: values.view("<f4") for name, values in theirs.items() if len(values)}
    window = next(values for name, values in constants.items() if "hann_window" in name)
    filters = constants["mel_spectrogram"].reshape(64, 257)
    np.testing.assert_allclose(ours.window, window, atol=1e-6)  # computed in float32 there
    np.testing.assert_allclose(ours.filters.T, filters, atol=1e-7)
    assert (constants["add"] == np.float32(FRONT_END.log_offset)).all()


@needs_yamnet
def test_the_front_end_gives_the_log_mels_of_the_file(check):
    mels = FrontEnd(FRONT_END)(check["waveform"][:, None])[:, 0]
    assert mels.shape == check["patch"].shape
    difference = (mels - check["patch"]).abs()  # of waveforms that are rounded to float16 here
    assert difference.mean() < 2e-3  # measured: 1.2e-3
    assert difference.median() < 2e-4


@needs_yamnet
def test_a_whole_clip_is_one_input(published):
    with torch.no_grad():
        output = published(torch.randn(1, 1, 498, 64))
    assert output.logits.shape == (1, 521)
    assert output.maps[-1].shape == (1, 1024, 16, 2)


@needs_yamnet
def test_a_model_of_fewer_blocks_has_the_published_maps(published, check):
    weights = read_weights(LITERT)
    model = build(depth=5, batch_norm=False).eval()
    with pytest.raises(UserError, match=r"classifier\.weight is missing"):
        load_all(model, weights)
    load_backbone(model, weights)
    with torch.no_grad():
        found = model(check["patch"][:, None]).maps[-1]
        expected = published(check["patch"][:, None]).maps[2]
    assert torch.equal(found, expected)


ESC10 = FOLDER.parent / "esc10"
OF_AUDIOSET = {
    "chainsaw": "Chainsaw",
    "clock_tick": "Tick, Tick-tock, Clock",
    "crackling_fire": "Fire, Crackle",
    "crying_baby": "Baby cry, infant cry, Crying, sobbing",
    "dog": "Dog, Bark, Bow-wow",
    "helicopter": "Helicopter",
    "rain": "Rain, Raindrop, Rain on surface",
    "rooster": "Chicken, rooster, Crowing, cock-a-doodle-doo",
    "sea_waves": "Ocean, Waves, surf",
    "sneezing": "Sneeze",
}


@needs_yamnet
@pytest.mark.skipif(not ESC10.is_dir(), reason="../shared/data/esc10 is absent")
def test_the_published_classes_recognise_clips_of_esc10():
    """One clip a class; of all 400 it is correct on 383, without patches on 254."""
    named = PRETRAINED["yamnet"]
    sets = Classes(options=OF_AUDIOSET).sets(list(OF_AUDIOSET), class_names("yamnet"))
    clips = pd.read_csv(ESC10 / "meta/esc50.csv").groupby("category", sort=True).head(1)
    waves = [decode(ESC10 / "audio" / name, 16_000, seconds=4.9) for name in clips["filename"]]
    mels = FrontEnd(FRONT_END)(torch.as_tensor(np.stack(waves)))
    model = build(mels.shape[1:], **named.options, **named.classifier_options).eval()
    load_all(model, read_weights(LITERT))
    map_classes(model, ClassMap(sets, 521, "multi_label"), "single_label")
    with torch.no_grad():
        top = model(mels).logits.argmax(1).tolist()
    assert [list(OF_AUDIOSET)[k] for k in top] == list(clips["category"])
