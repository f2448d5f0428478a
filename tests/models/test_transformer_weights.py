"""State dicts with the names and shapes of the published AST and PaSST."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import config
from config import UserError
from data.features.front_end import FrontEnd
from models import MODELS
from models.published import load_all
from tests.models.test_models import build

WIDTH, BLOCKS, CLASSES = 128, 2, 5  # of a published AST that is quick


def published_ast(frames=6, bands=12):
    """Random weights under the names of AST's checkpoints, for this number of patches."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return 0.05 * torch.randn(shape, generator=generator)

    def layer(name, *shape):
        return {f"{name}.weight": random(*shape), f"{name}.bias": random(shape[0])}

    def norm(name):
        return {f"{name}.weight": 1 + random(WIDTH), f"{name}.bias": random(WIDTH)}

    weights = {"v.cls_token": random(1, 1, WIDTH), "v.dist_token": random(1, 1, WIDTH)}
    weights["v.pos_embed"] = random(1, 2 + frames * bands, WIDTH)
    weights |= layer("v.patch_embed.proj", WIDTH, 1, 16, 16)
    for number in range(BLOCKS):
        block = f"v.blocks.{number}"
        weights |= norm(f"{block}.norm1") | norm(f"{block}.norm2")
        weights |= layer(f"{block}.attn.qkv", 3 * WIDTH, WIDTH)
        weights |= layer(f"{block}.attn.proj", WIDTH, WIDTH)
        weights |= layer(f"{block}.mlp.fc1", 4 * WIDTH, WIDTH)
        weights |= layer(f"{block}.mlp.fc2", WIDTH, 4 * WIDTH)
    weights |= norm("v.norm") | layer("v.head", 1000, WIDTH) | layer("v.head_dist", 1000, WIDTH)
    weights |= norm("mlp_head.0") | layer("mlp_head.1", CLASSES, WIDTH)
    return {f"module.{name}": tensor for name, tensor in weights.items()}


def ast_by_names(weights, x, stride):
    """The published transformer, computed from its weights: (B, T, F) -> logits."""
    weights = {name.removeprefix("module."): tensor for name, tensor in weights.items()}

    def linear(name, x):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(name, x, eps=1e-6):
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + eps).sqrt()
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def attention(name, x):
        query, key, value = (part.split(64, 2) for part in linear(f"{name}.qkv", x).split(WIDTH, 2))
        message = [
            (q @ k.transpose(1, 2) / 8).softmax(2) @ v
            for q, k, v in zip(query, key, value, strict=True)
        ]
        return linear(f"{name}.proj", torch.cat(message, 2))

    image = x.transpose(1, 2)[:, None]  # frequency up, time across
    kernel, bias = (weights[f"v.patch_embed.proj.{kind}"] for kind in ("weight", "bias"))
    x = F.conv2d(image, kernel, bias, stride=stride).flatten(2).transpose(1, 2)
    tokens = (weights[f"v.{name}_token"].expand(len(x), -1, -1) for name in ("cls", "dist"))
    x = torch.cat((*tokens, x), 1) + weights["v.pos_embed"]
    for number in range(BLOCKS):
        block = f"v.blocks.{number}"
        x = x + attention(f"{block}.attn", norm(f"{block}.norm1", x))
        inner = F.gelu(linear(f"{block}.mlp.fc1", norm(f"{block}.norm2", x)))
        x = x + linear(f"{block}.mlp.fc2", inner)
    x = norm("v.norm", x)
    return linear("mlp_head.1", norm("mlp_head.0", (x[:, 0] + x[:, 1]) / 2, 1e-5))


def micro_ast(frames=66, bands=128, num_classes=CLASSES, **options):
    return MODELS["ast"](
        num_classes=num_classes,
        input_shape=(1, frames, bands),
        size="micro",
        depth=BLOCKS,
        **options,
    )


@pytest.mark.parametrize(("stride", "grid"), [(10, (6, 12)), (16, (4, 8))])
def test_the_published_ast_gives_the_same_logits(stride, grid):
    published = published_ast(*grid)
    model = micro_ast(stride_time=stride, stride_frequency=stride).eval()
    load_all(model, published)
    mels = torch.randn(2, 66, 128, generator=torch.Generator().manual_seed(1))
    expected = ast_by_names(published, mels, stride)
    assert expected.std() > 0.1
    with torch.no_grad():
        torch.testing.assert_close(model(mels[:, None]).logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            {"stride_time": 16, "stride_frequency": 16},
            "positions are 101x12 patches (time x frequency), this model's 64x8: set STRIDE_TIME",
        ),
        (
            {"frames": 998},
            "positions are 101x12 patches (time x frequency), this model's 99x12: its clips were "
            "1024 frames long; for clips of 10 s, set [data] CLIP_SECONDS = 10.255 and [mel] "
            "PADDING = log_zero",
        ),
        ({"bands": 64}, "positions are 101x12 patches (time x frequency), this model's 101x5"),
        ({"num_classes": 50}, "classifier.1.weight is 5x128, expected 50x128"),
    ],
)
def test_a_published_ast_of_other_sizes_is_an_error(model, message):
    with pytest.raises(UserError) as error:
        load_all(micro_ast(**{"frames": 1024} | model), published_ast(101, 12))
    assert message in str(error.value)


def test_the_clips_of_a_published_ast_are_1024_frames():
    grid = config.load(Path("recipes/cmkd_audioset.ini")).mel_of("student")
    assert FrontEnd(grid).frames(round(10.255 * grid.sample_rate)) == 1024


def test_a_published_ast_does_not_fit_another_model():
    with pytest.raises(UserError, match=r"do not fit DcaseSmall: .*patch_embed.weight is unex"):
        load_all(build("dcase_small", {}), published_ast(101, 12))


def test_an_ast_without_its_distillation_token_is_an_error():
    published = published_ast()
    del published["module.v.dist_token"]
    with pytest.raises(UserError, match="'dist_token' is missing"):
        load_all(micro_ast(), published)


def published_passt(columns=6, rows=12):
    """Random weights under the names of PaSST's checkpoints."""
    weights = {name.removeprefix("module.v."): t for name, t in published_ast().items()}
    heads = [name for name in weights if "head" in name or name == "pos_embed"]
    weights = {name: t for name, t in weights.items() if name not in heads}
    generator = torch.Generator().manual_seed(2)
    shapes = {
        "new_pos_embed": (1, 2, WIDTH),
        "time_new_pos_embed": (1, WIDTH, 1, columns),
        "freq_new_pos_embed": (1, WIDTH, rows, 1),
        "head.0.weight": (WIDTH,),
        "head.0.bias": (WIDTH,),
        "head.1.weight": (CLASSES, WIDTH),
        "head.1.bias": (CLASSES,),
        "head_dist.weight": (CLASSES, WIDTH),
        "head_dist.bias": (CLASSES,),
    }
    return weights | {
        n: 0.2 * torch.randn(shape, generator=generator) for n, shape in shapes.items()
    }


def passt_by_names(weights, x, stride):
    """As that of AST, with the sum of two position embeddings, of the first columns of a clip."""
    columns = (x.shape[1] - 16) // stride + 1
    positions = weights["freq_new_pos_embed"] + weights["time_new_pos_embed"][..., :columns]
    positions = positions.flatten(2).transpose(1, 2)
    ast = {f"v.{name}": t for name, t in weights.items()}
    ast["v.pos_embed"] = torch.cat((weights["new_pos_embed"], positions), 1)
    ast |= {f"mlp_{name}": t for name, t in weights.items() if name.startswith("head.")}
    return ast_by_names(ast, x, stride)


def micro_passt(**options):
    options = {"frames": 66, "bands": 128} | options
    input_shape = (1, options.pop("frames"), options.pop("bands"))
    return MODELS["passt"](
        num_classes=CLASSES, input_shape=input_shape, size="micro", depth=BLOCKS, **options
    )


@pytest.mark.parametrize("prefix", ["", "net."])
@pytest.mark.parametrize(("stride", "grid"), [(10, (6, 12)), (16, (4, 8))])
def test_the_published_passt_gives_the_same_logits_for_its_clips_and_shorter_ones(
    stride, grid, prefix
):
    published = published_passt(*grid)
    model = micro_passt(stride_time=stride, stride_frequency=stride).eval()
    load_all(model, {prefix + name: tensor for name, tensor in published.items()})
    for frames in (66, 37):
        mels = torch.randn(2, frames, 128, generator=torch.Generator().manual_seed(1))
        expected = passt_by_names(published, mels, stride)
        assert expected.std() > 0.1
        with torch.no_grad():
            torch.testing.assert_close(model(mels[:, None]).logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            {"frames": 998, "stride_time": 12, "stride_frequency": 12},
            "its positions in time are 83, this model's 82: set STRIDE_TIME, TIME_PATCHES, CHUNK",
        ),
        (
            {"time_patches": 83, "bands": 64},
            "its positions in frequency are 10, this model's 5: set STRIDE_FREQUENCY or the bands",
        ),
    ],
)
def test_other_positions_of_a_published_passt_are_an_error(model, message):
    with pytest.raises(UserError) as error:
        load_all(micro_passt(**model), published_passt(83, 10))
    assert message in str(error.value)


def test_ast_and_passt_do_not_fit_each_other():
    with pytest.raises(UserError, match=r"time_positions is missing.*; positions is unexpected"):
        load_all(micro_passt(), published_ast())
    with pytest.raises(UserError, match=r"positions is missing.*; time_positions is unexpected"):
        load_all(micro_ast(), published_passt())
