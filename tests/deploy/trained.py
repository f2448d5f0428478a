"""Untrained models in place of trained ones, their descriptions, and waveforms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from config import Mel
from models.stored import Description

RATE, SECONDS = 8_000, 1.0


REDUCED = {  # few layers, which are traced quickly, or wide ones, which int8 compresses
    "ast": {"size": "base", "depth": 1},
    "ced": {"size": "base", "depth": 1},
    "cp_mobile": {"base_channels": 96},
    "efficientnet": {"depth_mult": 0.1},
    "passt": {"size": "base", "depth": 1},
}
WAVEFORM_SECONDS = {"raw_resnet": 6.0}  # of models that read raw waveforms


def described(name: str = "dcase_small", task: str = "multi_label", **options) -> Description:
    mel = Mel(sample_rate=RATE, mel_max_hz=4_000.0, num_bands=33)
    seconds, shape = SECONDS, (1, 98, 33)
    if name in WAVEFORM_SECONDS:
        seconds, mel = WAVEFORM_SECONDS[name], replace(mel, front_end="waveform")
        shape = (1, round(seconds * RATE))
    return Description(
        model=name,
        options=REDUCED.get(name, {}) | options,
        input_shape=shape,
        task=task,
        classes=("dog", 'siren, "wail"', "rain"),
        clip_seconds=seconds,
        front_end=mel,
        mean=(-2.0,),
        std=(1.5,),
    )


def built(description: Description) -> nn.Module:
    """Random statistics of batch normalisation, so that omitting it changes the outputs."""
    torch.manual_seed(0)
    model = description.build()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
        elif isinstance(module, nn.Conv2d) and not module.weight.any():
            nn.init.kaiming_normal_(module.weight)  # cp_resnet initialises some with zeros
    return model


def waveforms(clips: int = 3, seconds: float = SECONDS) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal((clips, 1, round(seconds * RATE)))
    return (0.1 * noise).astype(np.float32)
