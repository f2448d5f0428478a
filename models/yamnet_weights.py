"""The published weights of YAMNet: in a LiteRT file, in Keras's HDF5, or translated from these."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from config import UserError, missing_package
from models.output import CLASSIFIER
from models.yamnet import EPS

LAYER = re.compile(r"^layer(\d+)\.(.*)")
KERAS_LAYER = re.compile(r"layer(\d+)/(conv|depthwise_conv|pointwise_conv)\b")
KERAS_NAMES = {
    "gamma": "norm.weight",
    "beta": "norm.bias",
    "moving_mean": "norm.running_mean",
    "moving_variance": "norm.running_var",
}


def is_yamnet(state_dict: Mapping[str, Tensor]) -> bool:
    """Whether these are weights as `read_tflite` and `read_keras` name them."""
    return "layer1.weight" in state_dict


def translate_yamnet(
    state_dict: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Those of the layers that a Yamnet has, by the names of its state dict `own`.

    `layerN` is the N-th convolution: N = 1 the first, even ones depthwise, odd ones 1x1. The
    weights of a batch normalisation, `layerN.norm`, are folded into its convolution if the model
    has none. A model of fewer blocks has another embedding: the classifier is left out.

    Raises UserError for a model with batch normalisation where the weights have none.
    """
    normalised = "layer1.norm.bias" in state_dict
    if "features.0.1.weight" in own and not normalised:
        raise UserError(
            "the batch normalisation of these weights is folded into the convolutions: "
            "set BATCH_NORM = no"
        )
    if normalised and "features.0.1.weight" not in own:
        state_dict = folded(state_dict)
    weights = {}
    last = max(int(match[1]) for name in state_dict if (match := LAYER.match(name)))
    wanted = sum(name.endswith(".0.weight") for name in own if name.startswith("features."))
    for name, tensor in state_dict.items():
        if not (match := LAYER.match(name)):
            if wanted == last:
                weights[name] = tensor
        elif (number := int(match[1])) <= wanted:
            place, _, kind = match[2].rpartition(".")
            weights[f"features.{number - 1}.{1 if place else 0}.{kind}"] = tensor
            if kind == "running_var":
                weights[f"features.{number - 1}.1.num_batches_tracked"] = torch.tensor(0)
    return weights


def folded(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """With each batch normalisation folded into its convolution, in float64.

    Formula: W' = gamma / sqrt(variance + eps) W, b' = beta - gamma / sqrt(variance + eps) mean.
    """
    weights = {name: tensor for name, tensor in state_dict.items() if ".norm." not in name}
    for name, kernel in weights.copy().items():
        if LAYER.match(name):
            norm = name.replace("weight", "norm.")
            gamma, beta, mean, variance = (
                state_dict[norm + kind].double()
                for kind in ("weight", "bias", "running_mean", "running_var")
            )
            factor = gamma / (variance + EPS).sqrt()
            weights[name] = (factor[:, None, None, None] * kernel.double()).float()
            weights[name.replace("weight", "bias")] = (beta - factor * mean).float()
    return weights


def read_keras(path: Path) -> dict[str, Tensor]:
    """The weights of YAMNet in Keras's HDF5, in PyTorch's layouts.

    There `layer1/conv` is the first convolution, `layerN/depthwise_conv` and
    `layerN/pointwise_conv` are those of the separable block N - 1. Its batch normalisation has no
    gamma, which is then 1. The dense layer is the only one with a kernel of two axes.

    Raises UserError without the package h5py, and for a file of another network.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise missing_package(error, "python -m pip install h5py") from None
    arrays: dict[str, Tensor] = {}

    def collect(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset):
            arrays[name.removesuffix(":0")] = torch.from_numpy(node[()])

    try:
        with h5py.File(path) as file:
            file.visititems(collect)
    except OSError as error:  # which does not name the file
        raise UserError(f"{path}: cannot be read as HDF5: {error}") from error
    weights: dict[str, Tensor] = {}
    for name, array in arrays.items():
        group, _, kind = name.rpartition("/")
        if match := KERAS_LAYER.search(group):
            block, part = int(match[1]), match[2]
            number = 1 if part == "conv" else 2 * block - (2 if part == "depthwise_conv" else 1)
            if kind in KERAS_NAMES:
                weights[f"layer{number}.{KERAS_NAMES[kind]}"] = array
            elif part == "depthwise_conv":  # H, W, C, 1
                weights[f"layer{number}.weight"] = array.permute(2, 3, 0, 1).contiguous()
            else:  # H, W, C, K
                weights[f"layer{number}.weight"] = array.permute(3, 2, 0, 1).contiguous()
        elif kind == "kernel" and array.ndim == 2:
            weights[f"{CLASSIFIER}weight"] = array.T.contiguous()
            weights[f"{CLASSIFIER}bias"] = arrays[f"{group}/bias"]
    if not is_yamnet(weights):
        raise UserError(f"{path}: its layers are not those of YAMNet")
    for name, tensor in list(weights.items()):
        if name.endswith("norm.bias"):
            weights.setdefault(name.replace("bias", "weight"), torch.ones_like(tensor))
    return weights
