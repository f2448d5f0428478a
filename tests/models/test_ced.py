"""CED, also with weights by the published names, against its equations in plain operations."""

import pytest
import torch
import torch.nn.functional as F

from config import ConfigError, UserError
from config.pretrained import PRETRAINED
from deploy.model_graph import model_graph
from deploy.onnx_file import session
from models import MODELS
from models.cost import cost
from models.pretrained import load_backbone
from models.published import load_all

WIDTH, HEADS, BLOCKS, CLASSES, COLUMNS, ROWS = 128, 2, 2, 5, 6, 4
CHUNK = 100  # frames: 6 patches, and 4 frames that are in none


def build(frames=CHUNK, bands=64, classes=CLASSES, **options):
    options = {"size": "micro", "depth": BLOCKS, "chunk_frames": CHUNK} | options
    return MODELS["ced"](num_classes=classes, input_shape=(1, frames, bands), **options)


def clips(frames, number=2):
    generator = torch.Generator().manual_seed(frames)
    return -20 + 15 * torch.randn(number, 1, frames, 64, generator=generator)


def published():
    """Random weights under the names of the checkpoints."""
    generator = torch.Generator().manual_seed(0)
    shapes = {
        "time_pos_embed": (1, WIDTH, 1, COLUMNS),
        "freq_pos_embed": (1, WIDTH, ROWS, 1),
        "init_bn.1.weight": (64,),
        "init_bn.1.bias": (64,),
        "init_bn.1.running_mean": (64,),
        "init_bn.1.running_var": (64,),
        "patch_embed.proj.weight": (WIDTH, 1, 16, 16),
        "patch_embed.proj.bias": (WIDTH,),
        "norm.weight": (WIDTH,),
        "norm.bias": (WIDTH,),
        "outputlayer.0.weight": (WIDTH,),
        "outputlayer.0.bias": (WIDTH,),
        "outputlayer.1.weight": (CLASSES, WIDTH),
        "outputlayer.1.bias": (CLASSES,),
    }
    layers = {"attn.qkv": (3, 1), "attn.proj": (1, 1), "mlp.fc1": (4, 1), "mlp.fc2": (1, 4)}
    for block in (f"blocks.{n}." for n in range(BLOCKS)):
        for name, (rows, columns) in layers.items():
            shapes[f"{block}{name}.weight"] = (rows * WIDTH, columns * WIDTH)
            shapes[f"{block}{name}.bias"] = (rows * WIDTH,)
        for name in ("norm1", "norm2"):
            shapes |= {f"{block}{name}.{kind}": (WIDTH,) for kind in ("weight", "bias")}
    weights = {n: 0.2 * torch.randn(shape, generator=generator) for n, shape in shapes.items()}
    weights["init_bn.1.running_mean"] -= 20
    weights["init_bn.1.running_var"] += 225
    weights["init_bn.1.num_batches_tracked"] = torch.tensor(7)
    weights["front_end.0.spectrogram.window"] = torch.hann_window(512)
    weights["front_end.0.mel_scale.fb"] = torch.rand(257, 64)
    return weights


def by_names(weights, x):
    """The probabilities of (B, 1, T, F), in images of frequency x time as in the published code."""

    def norm(x, name, eps):
        return F.layer_norm(x, (WIDTH,), weights[f"{name}.weight"], weights[f"{name}.bias"], eps)

    def linear(x, name):
        return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    mean, variance, scale, shift = (
        weights[f"init_bn.1.{kind}"] for kind in ("running_mean", "running_var", "weight", "bias")
    )
    x = ((x - mean) / (variance + 1e-5).sqrt() * scale + shift).transpose(2, 3)
    found = []
    for chunk in x.split(CHUNK, dim=3):
        if x.shape[3] > CHUNK:
            chunk = F.pad(chunk, (0, CHUNK - chunk.shape[3]))
        kernel, bias = (weights[f"patch_embed.proj.{kind}"] for kind in ("weight", "bias"))
        y = F.conv2d(chunk, kernel, bias, stride=16)
        y = y + weights["time_pos_embed"][..., : y.shape[3]] + weights["freq_pos_embed"]
        y = y.flatten(2).transpose(1, 2)
        for block in (f"blocks.{n}." for n in range(BLOCKS)):
            qkv = linear(norm(y, f"{block}norm1", 1e-6), f"{block}attn.qkv")
            q, k, v = (
                part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in qkv.chunk(3, dim=2)
            )
            shares = (q @ k.transpose(2, 3) / (WIDTH // HEADS) ** 0.5).softmax(3)
            y = y + linear((shares @ v).transpose(1, 2).flatten(2), f"{block}attn.proj")
            hidden = F.gelu(linear(norm(y, f"{block}norm2", 1e-6), f"{block}mlp.fc1"))
            y = y + linear(hidden, f"{block}mlp.fc2")
        embedding = norm(y, "norm", 1e-6).mean(1)
        found.append(linear(norm(embedding, "outputlayer.0", 1e-5), "outputlayer.1").sigmoid())
    return torch.stack(found).mean(0)


@pytest.fixture(scope="module")
def loaded():
    model = build().eval()
    load_all(model, published())
    return model


@pytest.mark.parametrize("frames", [16, 50, 100, 101, 200, 250])
def test_published_weights_give_the_published_probabilities(loaded, frames):
    with torch.no_grad():
        found = loaded(clips(frames)).logits.sigmoid()
        expected = by_names(published(), clips(frames))
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_names_of_hugging_face_are_the_same_weights(loaded):
    weights = {
        name if name.startswith("outputlayer") else f"encoder.{name.replace('bn.1', 'bn')}": tensor
        for name, tensor in published().items()
        if not name.startswith("front_end")
    }
    model = build()
    load_all(model, weights)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name])


def test_weights_of_other_sizes_are_named(loaded):
    with pytest.raises(UserError, match="in time are 6, this model's 4: set .* CHUNK_FRAMES"):
        load_all(build(chunk_frames=64), published())
    with pytest.raises(UserError, match=r"band_norm\.weight is missing"):
        load_all(build(), {n: t for n, t in published().items() if n != "init_bn.1.weight"})


def test_positions_of_other_classes_and_chunks_are_cropped(loaded):
    model = build(chunk_frames=64, classes=3)
    load_backbone(model, published())
    assert torch.equal(model.time_positions, loaded.time_positions[:4])
    assert torch.equal(model.frequency_positions, loaded.frequency_positions)


def test_a_chunk_is_as_long_as_a_clip_of_training_by_default():
    model = build(frames=70, chunk_frames=0)
    assert (model.chunk_frames, len(model.time_positions)) == (70, 4)


def test_the_maps_and_embeddings_of_chunks(loaded):
    """Three whole chunks: their maps follow in time, their embeddings are averaged."""
    x = clips(3 * CHUNK)
    with torch.no_grad():
        whole, parts = loaded(x), [loaded(part) for part in x.split(CHUNK, dim=2)]
    for number, found in enumerate(whole.maps):
        assert found.shape == (2, WIDTH, 3 * COLUMNS, ROWS)
        expected = torch.cat([part.maps[number] for part in parts], dim=2)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    expected = torch.stack([part.embedding for part in parts]).mean(0)
    torch.testing.assert_close(whole.embedding, expected, rtol=1e-4, atol=1e-5)


def test_the_logits_of_one_chunk_are_the_classifiers_output_for_its_embedding(loaded):
    """Also where a sigmoid would be 0 or 1 in float32."""
    output = loaded(100 * clips(CHUNK))
    torch.testing.assert_close(output.logits, loaded.classifier(output.embedding))
    weights = published() | {"outputlayer.1.bias": torch.tensor([-150.0, -30.0, 0.0, 30.0, 150.0])}
    model = build().eval()
    load_all(model, weights)
    output = model(clips(CHUNK))
    assert output.logits.abs().max() > 140
    torch.testing.assert_close(output.logits, model.classifier(output.embedding))


@pytest.mark.parametrize(
    ("size", "parameters"),
    [("tiny", 5_503_183), ("mini", 9_696_655), ("small", 21_622_543), ("base", 85_711_759)],
)
def test_the_published_parameters_and_the_multiply_accumulates_by_hand(size, parameters):
    named = PRETRAINED[f"ced_{size}"]
    with torch.device("meta"):
        model = build(1001, classes=527, **named.options)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert len(model.time_positions) == 63
    width = len(model.norm.weight)
    tokens = 62 * 4  # of 10 s
    block = tokens * width * (3 + 1 + 4 + 4) * width + 2 * tokens * tokens * width
    expected = tokens * 16 * 16 * width + 12 * block + width * 527
    assert cost(model, (1, 1001, 64)).macs == expected


def test_the_band_norm_learns_the_statistics_of_each_band():
    model = build().train()
    x = clips(CHUNK, 8) + 3 * torch.arange(64)
    for _ in range(1000):
        model.band_norm(x.transpose(1, 3))
    torch.testing.assert_close(
        model.band_norm.running_mean, x.mean((0, 1, 2)), rtol=1e-3, atol=1e-2
    )


def test_the_onnx_file_takes_any_length(loaded):
    graph = model_graph(loaded, (1, 80, 64))
    assert graph.any_length
    student = session(graph.model)
    for frames in (16, 80, 100, 101, 250):
        x = clips(frames, 3)
        logits, embedding = student.run(["logits", "embedding"], {"features": x.numpy()})
        with torch.no_grad():
            expected = loaded(x)
        torch.testing.assert_close(torch.from_numpy(logits), expected.logits, rtol=0, atol=1e-4)
        torch.testing.assert_close(
            torch.from_numpy(embedding), expected.embedding, rtol=0, atol=1e-4
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 0}, "ced depth: found 0, expected at least 1"),
        ({"chunk_frames": 15}, "ced chunk_frames: found 15, expected 0 or at least 16"),
        ({"chunk_frames": -1}, "ced chunk_frames: found -1, expected 0 or at least 16"),
    ],
)
def test_options_out_of_range_are_errors_with_their_values(options, message):
    with pytest.raises(ConfigError, match=message):
        build(**options)
