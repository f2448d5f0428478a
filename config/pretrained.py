"""Published models that INIT takes by name: their files, architectures and front ends.

Facts alone; `models` builds and fills them, `training.pretrained_files` downloads them. They were
trained on AudioSet, with 527 classes (YAMNet: 521), on FSD50K (psla_fsd50k), with 200, or on
ImageNet, without a classifier of sounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from config.fields import flat_items
from config.sections.mel import Mel

CLASSES = 527
FREE = ("padding",)  # keys of [mel] that no published model fixes


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """One file of weights. Where size and sha256 are unknown, the first download records them."""

    address: str
    licence: str
    mean_average_precision: float | None  # on its data set's evaluation clips, where published
    model: str
    front_end: Mel | None  # None: any, of weights from ImageNet
    options: Mapping[str, Any] = field(default_factory=dict)  # of the model, required
    classifier_options: Mapping[str, Any] = field(default_factory=dict)  # where it is loaded
    classes: int = CLASSES
    bytes: int | None = None
    sha256: str | None = None

    @property
    def has_classifier(self) -> bool:
        """Weights from ImageNet have none of sounds."""
        return self.front_end is not None

    @property
    def file(self) -> str:
        return self.address.rpartition("/")[2].partition("?")[0]

    def mel_keys(self) -> dict[str, Any]:
        """The keys of [mel] that the weights require."""
        keys = flat_items(self.front_end) if self.front_end else ()
        return {name: value for name, value in keys if name not in FREE}

    def role_keys(self) -> dict[str, Any]:
        """The keys of [teacher] or [student] that the weights require."""
        return {"model": self.model, **self.options}


# YAMNet: TensorFlow's models, research/audioset/yamnet, and TensorFlow Hub. ----------------------

YAMNET_MEL = Mel(fft_size=512, log_offset=0.001)
PATCHES = {"patch_frames": 96}  # as published; its classifier is less accurate on longer inputs
YAMNET = {
    "yamnet": Pretrained(
        address="https://storage.googleapis.com/download.tensorflow.org/models/tflite/task_library/"
        "audio_classification/android/lite-model_yamnet_classification_tflite_1.tflite",
        licence="Apache 2.0",
        mean_average_precision=0.306,
        model="yamnet",
        options={"batch_norm": False, "activation": "relu6", "width_mult": 1.0},
        classifier_options=PATCHES,
        front_end=YAMNET_MEL,
        classes=521,
        bytes=4_126_810,
        sha256="10c95ea3eb9a7bb4cb8bddf6feb023250381008177ac162ce169694d05c317de",
    ),
    "yamnet_keras": Pretrained(
        address="https://storage.googleapis.com/audioset/yamnet.h5",
        licence="Apache 2.0",
        mean_average_precision=0.306,
        model="yamnet",
        options={"activation": "relu", "width_mult": 1.0},
        classifier_options=PATCHES,
        front_end=YAMNET_MEL,
        classes=521,
        sha256="13c3308955bbfaef262f175ac9c40e47b134573a93984f009220dd7cc12a1744",
    ),
}

# PaSST: github.com/kkoutini/PaSST. ---------------------------------------------------------------

PASST_MEL = Mel(
    sample_rate=32_000,
    pre_emphasis=0.97,
    fft_size=1024,
    framing="passt",
    window="hann_symmetric",
    spectrum="power",
    num_bands=128,
    mel_min_hz=0.0,
    mel_max_hz=15_000.0,
    log_offset=1e-5,
    normalise="fixed",
    mean=-4.5,
    std=5.0,
)


def passt(path: str, score: float, stride: int, time_patches: int, depth: int = 12) -> Pretrained:
    return Pretrained(
        address=f"https://github.com/kkoutini/PaSST/releases/download/{path}",
        licence="Apache 2.0",
        mean_average_precision=score,
        model="passt",
        options={
            "size": "base",
            "depth": depth,
            "stride_time": stride,
            "stride_frequency": stride,
            "time_patches": time_patches,
        },
        front_end=PASST_MEL,
    )


PASST = {
    "passt_s_swa_p16_128_ap476": passt(
        "v0.0.1-audioset/passt-s-f128-p16-s10-ap.476-swa.pt", 0.476, 10, 99
    ),
    "passt_s_kd_p16_128_ap486": passt("v.0.0.9/passt-s-kd-ap.486.pt", 0.486, 10, 99),
    "passt_l_kd_p16_128_ap47": passt("v.0.0.10/passt-l-kd-ap.47.pt", 0.47, 10, 99, depth=7),
    "passt_s_p16_s16_128_ap468": passt(
        "v0.0.2-audioset/passt-s-f128-p16-s16-ap.468.pt", 0.468, 16, 62
    ),
    "passt_s_swa_p16_s16_128_ap473": passt(
        "v0.0.2-audioset/passt-s-f128-p16-s16-ap.473-swa.pt", 0.473, 16, 62
    ),
    "passt_s_swa_p16_s14_128_ap471": passt(
        "v0.0.2-audioset/passt-s-f128-p16-s14-ap.471-swa.pt", 0.471, 14, 71
    ),
    "passt_s_p16_s14_128_ap469": passt(
        "v0.0.2-audioset/passt-s-f128-p16-s14-ap.469.pt", 0.469, 14, 71
    ),
    "passt_s_swa_p16_s12_128_ap473": passt(
        "v0.0.2-audioset/passt-s-f128-p16-s12-ap.473-swa.pt", 0.473, 12, 83
    ),
    "passt_s_p16_s12_128_ap470": passt(
        "v0.0.2-audioset/passt-s-f128-p16-s12-ap.470.pt", 0.47, 12, 83
    ),
    "passt-s-f128-20sec-p16-s10-ap474-swa": passt(
        "v0.0.5/passt-s-f128-20sec-p16-s10-ap.474-swa.pt", 0.474, 10, 200
    ),
    "passt-s-f128-30sec-p16-s10-ap473-swa": passt(
        "v0.0.5/passt-s-f128-30sec-p16-s10-ap.473-swa.pt", 0.473, 10, 300
    ),
}

# EfficientAT: github.com/fschmid56/EfficientAT, with the front end of PaSST. ---------------------


def efficient_at(
    file: str, score: float | None, front_end: Mel | None, model: str, **options: Any
) -> Pretrained:
    return Pretrained(
        address=f"https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1/{file}.pt",
        licence="MIT",
        mean_average_precision=score,
        model=model,
        options=options,
        front_end=front_end,
    )


def mn(
    name: str,
    score: int,
    width_mult: float,
    front_end: Mel = PASST_MEL,
    *,
    head: str = "mlp",
    strides: str = "2222",
) -> Pretrained:
    options = {"width_mult": width_mult, "head": head, "strides": strides}
    return efficient_at(f"{name}_mAP_{score}", score / 1000, front_end, "mn", **options)


def dymn(file: str, score: float | None, width_mult: float, *, dynamic: str = "all") -> Pretrained:
    options = {"width_mult": width_mult, "dynamic": dynamic, "kernel_temperature": 1.0}
    return efficient_at(file, score, PASST_MEL, "dymn", **options)


def mn_start(file: str, width_mult: float) -> Pretrained:
    return efficient_at(file, None, None, "mn", width_mult=width_mult, head="mlp")


def dymn_start(file: str, width_mult: float) -> Pretrained:
    options = {"width_mult": width_mult, "dynamic": "all", "kernel_temperature": 30.0}
    return efficient_at(file, None, None, "dymn", **options)


def hop(milliseconds: int) -> Mel:
    return replace(PASST_MEL, stft_hop_length_seconds=milliseconds / 1000)


def bands(number: int) -> Mel:
    return replace(PASST_MEL, num_bands=number)


CONVOLUTIONAL = "fully_convolutional"
EFFICIENT_AT = {
    "mn01_as": mn("mn01_as", 298, 0.1),
    "mn02_as": mn("mn02_as", 378, 0.2),
    "mn04_as": mn("mn04_as", 432, 0.4),
    "mn05_as": mn("mn05_as", 443, 0.5),
    "mn10_as": mn("mn10_as", 471, 1.0),
    "mn20_as": mn("mn20_as", 478, 2.0),
    "mn30_as": mn("mn30_as", 482, 3.0),
    "mn40_as": mn("mn40_as", 484, 4.0),
    "mn40_as_ext": mn("mn40_as_ext", 487, 4.0),
    "mn10_as_hop_5": mn("mn10_as_hop_5", 475, 1.0, hop(5)),
    "mn10_as_hop_15": mn("mn10_as_hop_15", 463, 1.0, hop(15)),
    "mn10_as_hop_20": mn("mn10_as_hop_20", 456, 1.0, hop(20)),
    "mn10_as_hop_25": mn("mn10_as_hop_25", 447, 1.0, hop(25)),
    "mn10_as_mels_40": mn("mn10_as_mels_40", 453, 1.0, bands(40)),
    "mn10_as_mels_64": mn("mn10_as_mels_64", 461, 1.0, bands(64)),
    "mn10_as_mels_256": mn("mn10_as_mels_256", 474, 1.0, bands(256)),
    "mn10_as_fc": mn("mn10_as_fc", 465, 1.0, head=CONVOLUTIONAL),
    "mn10_as_fc_s2221": mn("mn10_as_fc_s2221", 466, 1.0, head=CONVOLUTIONAL, strides="2221"),
    "mn10_as_fc_s2211": mn("mn10_as_fc_s2211", 466, 1.0, head=CONVOLUTIONAL, strides="2211"),
    "dymn04_as": dymn("dymn04_as", 0.45, 0.4),
    "dymn10_as": dymn("dymn10_as", 0.477, 1.0),
    "dymn20_as": dymn("dymn20_as_mAP_493", 0.493, 2.0),
    "dymn20_as(1)": dymn("dymn20_as", 0.491, 2.0),
    "dymn20_as(2)": dymn("dymn20_as_mAP_489", 0.489, 2.0),
    "dymn20_as(3)": dymn("dymn20_as_mAP_490", 0.49, 2.0),
    "dymn04_replace_se_as": dymn("dymn04_replace_se_as", None, 0.4, dynamic="replace_se"),
    "dymn10_replace_se_as": dymn("dymn10_replace_se_as", None, 1.0, dynamic="replace_se"),
    "mn01_im": mn_start("mn01_im", 0.1),
    "mn02_im": mn_start("mn02_im", 0.2),
    "mn04_im": mn_start("mn04_im", 0.4),
    "mn05_im": mn_start("mn05_im", 0.5),
    "mn10_im": mn_start("mn10_im", 1.0),
    "mn10_im_pytorch": mn_start("mn10_im_pytorch", 1.0),
    "mn20_im": mn_start("mn20_im", 2.0),
    "mn30_im": mn_start("mn30_im", 3.0),
    "mn40_im": mn_start("mn40_im", 4.0),
    "dymn04_im": dymn_start("dymn04_im", 0.4),
    "dymn10_im": dymn_start("dymn10_im", 1.0),
    "dymn20_im": dymn_start("dymn20_im", 2.0),
}

# AST: github.com/YuanGongND/ast. -----------------------------------------------------------------

AST_MEL = Mel(
    framing="kaldi",
    window="hann_symmetric",
    pre_emphasis=0.97,
    spectrum="power",
    num_bands=128,
    mel_min_hz=20.0,
    mel_max_hz=8_000.0,
    log_offset=0.0,
    normalise="fixed",
    mean=-4.2677,
    std=9.138,
)


def ast(folder: str, stride: int, score: str) -> Pretrained:
    return Pretrained(
        address=f"https://www.dropbox.com/s/{folder}/audioset_{stride}_{stride}_{score}.pth?dl=1",
        licence="BSD 3-Clause",
        mean_average_precision=float(score),
        model="ast",
        options={
            "size": "base",
            "depth": 12,
            "stride_time": stride,
            "stride_frequency": stride,
        },
        front_end=AST_MEL,
    )


AST = {
    "ast_10_10_0.4593": ast("ca0b1v2nlxzyeb4", 10, "0.4593"),
    "ast_10_10_0.4495": ast("1tv0hovue1bxupk", 10, "0.4495"),
    "ast_10_10_0.4483": ast("6u5sikl4b9wo4u5", 10, "0.4483"),
    "ast_10_10_0.4475": ast("kt6i0v9fvfm1mbq", 10, "0.4475"),
    "ast_12_12_0.4467": ast("snfhx3tizr4nuc8", 12, "0.4467"),
    "ast_14_14_0.4431": ast("z18s6pemtnxm4k7", 14, "0.4431"),
    "ast_16_16_0.4422": ast("mdsa4t1xmcimia6", 16, "0.4422"),
}

# PSLA: github.com/YuanGongND/psla, with the front end of AST but for the normalisation. ----------

PSLA_MEL = replace(AST_MEL, mean=-4.6476, std=4.5699)


def psla(path: str, score: float, classes: int = CLASSES) -> Pretrained:
    return Pretrained(
        address=f"https://www.dropbox.com/s/{path}.pth?dl=1",
        licence="BSD 3-Clause",
        mean_average_precision=score,
        model="efficientnet",
        options={"variant": "b2", "pooling": "attention", "conventions": "tensorflow"},
        front_end=PSLA_MEL,
        classes=classes,
    )


PSLA = {
    "psla": psla("d1z27wj30ew5qrs/as_mdl_0", 0.440),
    "psla_mean_weights": psla("ieggie0ara4x26d/as_mdl_0_wa", 0.444),
    "psla_fsd50k": psla("stzrmfty2oyqnnj/fsd_mdl_best_single", 0.559, 200),
    "psla_fsd50k_mean_weights": psla("5fvybrbulvhsish/fsd_mdl_wa", 0.562, 200),
}

# CED: github.com/RicherMans/CED, whose code is under GPL 3.0; its authors publish the weights on
# Hugging Face (mispeech) under Apache 2.0. --------------------------------------------------------

CED_MEL = Mel(
    stft_window_length_seconds=0.032,
    fft_size=512,
    framing="centred",
    spectrum="power",
    mel_min_hz=0.0,
    mel_max_hz=8_000.0,
    mel_scale="htk_hertz",
    log="decibel",
    log_offset=0.0,
    log_floor=1e-10,
    top_db=120.0,
)


def ced(size: str, score: int) -> Pretrained:
    return Pretrained(
        address="https://zenodo.org/records/8275319/files/"
        f"audiotransformer_{size}_mAP_{score}.pt?download=1",
        licence="Apache 2.0",
        mean_average_precision=score / 10_000,
        model="ced",
        options={"size": size, "depth": 12, "chunk_frames": 1012},
        front_end=CED_MEL,
    )


CED = {
    "ced_tiny": ced("tiny", 4814),
    "ced_mini": ced("mini", 4896),
    "ced_small": ced("small", 4958),
    "ced_base": ced("base", 4999),
}

PRETRAINED: Mapping[str, Pretrained] = {
    **YAMNET,
    **PASST,
    **EFFICIENT_AT,
    **AST,
    **PSLA,
    **CED,
}
