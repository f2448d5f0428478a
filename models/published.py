"""Loading weights from files, including published checkpoints, whose names are translated."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from config import UserError, reason_of
from models.psla_weights import is_psla, translate_psla
from models.tensor_file import load_tensors
from models.tensor_names import Names, rename, rename_all
from models.tflite_file import read_tflite
from models.transformer_weights import (
    describe_mismatch,
    is_ced,
    is_transformer,
    translate_ced,
    translate_transformer,
)
from models.yamnet_weights import is_yamnet, read_keras, translate_yamnet

VGGISH_CONVOLUTIONS = {
    "features.0": "conv1.0",
    "features.3": "conv2.0",
    "features.6": "conv3_1.0",
    "features.8": "conv3_2.0",
    "features.11": "conv4_1.0",
    "features.13": "conv4_2.0",
}

DCASE_NAMES = (  # layer1_conv1.0.weight … new_fc1.0.weight … final.0.weight
    (re.compile(r"^layer\d+_(conv\w+)\."), r"\1."),
    (re.compile(r"^new_(fc\d)\.0\."), r"\1."),
    (re.compile(r"^final\.0\."), "classifier."),
)

CNN_LSTM_NAMES = ((re.compile(r"^fc\.0\."), "classifier."),)

MOBILENETV2_NAMES = (  # bw2col.1.weight … mv2.features.0.0.weight … final.3.weight
    (re.compile(r"^bw2col\."), "stem."),
    (re.compile(r"^mv2\.features\."), "features."),
    (re.compile(r"^final\.0\."), "fc."),
    (re.compile(r"^final\.2\."), "norm."),
    (re.compile(r"^final\.3\."), "classifier."),
)

RAW_RESNET_NAMES = (  # first_conv.weight … block0.conv_downsample.weight … fc2.weight
    (re.compile(r"^first_conv\."), "stem.0."),
    (re.compile(r"^first_bn\."), "stem.1."),
    (re.compile(r"^block(\d)\.conv_downsample\."), r"blocks.\1.projection."),
    (re.compile(r"^block(\d)\.conv(\d)\."), r"blocks.\1.conv\2."),
    (re.compile(r"^block(\d)\.bn(\d)\."), r"blocks.\1.norm\2."),
    (re.compile(r"^last_conv\."), "last.0."),
    (re.compile(r"^last_bn\."), "last.1."),
    (re.compile(r"^fc1\."), "fc."),
    (re.compile(r"^fc2\."), "classifier."),
)

CP_NAMES = (  # of CP-Mobile and CP-ResNet, with or without the prefix of Lightning
    (re.compile(r"^(model\.)?"), ""),
    (re.compile(r"^in_c\."), "stem."),
    (re.compile(r"^stages\.s\d\."), "blocks."),  # stages.s1.b1.block.0.0.weight …
    (re.compile(r"\.block\."), ".layers."),
    (re.compile(r"\.after_block_norm\."), ".response_norm."),
    (re.compile(r"^stage1\.block1\."), "blocks.0."),  # stage1.block1.conv1.weight …
    (re.compile(r"^stage1\.block2\."), "blocks.1."),
    (re.compile(r"^stage2\.block1\."), "blocks.2."),
    (re.compile(r"^stage3\.block1\."), "blocks.3."),
    (re.compile(r"\.bn(\d)\."), r".norm\1."),
    (re.compile(r"\.shortcut\.conv\."), ".projection.0."),
    (re.compile(r"\.shortcut\.bn\."), ".projection.1."),
    (re.compile(r"^feed_forward\."), "classifier."),
)

MN_NAMES = (  # features.4.block.2.conc_se_layers.0.fc1.weight … classifier.5.weight
    (re.compile(r"^model\."), ""),
    (re.compile(r"\.conc_se_layers\.0\."), "."),
    (re.compile(r"^classifier\.2\."), "fc.0."),  # of the mlp head; the other head has 0 and 1
    (re.compile(r"^classifier\.5\."), "classifier."),
)

DYMN_NAMES = (  # layers.3.exp_conv.residuals.0.weight … out_c.0.weight
    (re.compile(r"^model\."), ""),
    (re.compile(r"^in_c\."), "features.0."),
    (re.compile(r"^layers\.(\d+)\."), lambda found: f"features.{int(found[1]) + 1}."),
    (re.compile(r"^out_c\."), "features.16."),
    (re.compile(r"\.residuals\.0\."), ".attention."),
    (re.compile(r"\.exp_(conv\.|(?=norm\.))"), ".expand."),
    (re.compile(r"\.depth_(conv\.|(?=norm\.))"), ".depthwise."),
    (re.compile(r"\.proj_(conv\.|(?=norm\.))"), ".project."),
    (re.compile(r"\.depth_act\.coef_net\.0\."), ".relu.coefficients."),
    (re.compile(r"\.context_gen\.joint_conv\."), ".context.joint.0."),
    (re.compile(r"\.context_gen\.joint_norm\."), ".context.joint.1."),
    (re.compile(r"\.context_gen\.conv_f\."), ".context.frequency."),
    (re.compile(r"\.context_gen\.conv_t\."), ".context.time."),
    (re.compile(r"^classifier\.2\."), "fc.0."),
    (re.compile(r"^classifier\.5\."), "classifier."),
)
DYMN_CONSTANTS = (".depth_act.lambdas", ".depth_act.init_v")  # of its dynamic ReLU

WRAPPERS = ("module", "_orig_mod")  # in the names of DataParallel and torch.compile
ENTRIES = ("state_dict", "model_state_dict", "model")  # of a checkpoint with more than weights
LISTED = 3  # tensors of each kind that do not fit, in a message


def load_all(model: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Load this project's state dict or a published one, completely or not at all.

    Supported are the parameter names of torchvggish's VGGish (for dcase_net; only the convolutions
    are used), of the published urban sound tagging system (for dcase_net and dcase_small, all
    layers, or the convolutions only; for cnn_lstm with `time_first` off, and mobilenetv2), of the
    published specialist system (for raw_resnet), of AST, PaSST, CED, EfficientAT's MobileNetV3 and
    DyMN (for mn and dymn), PSLA (for efficientnet with CONVENTIONS = tensorflow), YAMNet, and of
    CP-Mobile and CP-ResNet of the published low-complexity scene systems.
    Raises UserError that names the first tensors that are missing, unexpected or of another shape;
    the model is then unchanged.
    """
    fill(model, to_model_names(model, state_dict))


def fill(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """As `load_all`, for weights by the names of `model`."""
    expected = model.state_dict()
    missing = [f"{name} is missing" for name in expected if name not in weights]
    unexpected = [f"{name} is unexpected" for name in weights if name not in expected]
    other = [
        describe_mismatch(name, weights[name].shape, tensor.shape)
        for name, tensor in expected.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    kinds = ((missing, "missing"), (unexpected, "unexpected"), (other, "of another shape"))
    if mismatches := [line for names, kind in kinds for line in first_lines(names, kind)]:
        raise UserError(f"the weights do not fit {type(model).__name__}: {'; '.join(mismatches)}")
    model.load_state_dict(weights)


def first_lines(lines: Sequence[str], kind: str) -> list[str]:
    """The first of many tensors, and how many more are missing, unexpected or of another shape."""
    more = len(lines) - LISTED
    return [*lines[:LISTED], *([f"{more} more are {kind}"] if more > 0 else [])]


def to_model_names(model: nn.Module, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`state_dict` by the names of `model`.

    Published weights of convolutions only are completed by the other layers of `model`.
    """
    own = model.state_dict()
    if state_dict.keys() != own.keys():
        own_names = plain_names(own)
        state_dict = {
            own_names.get(n, n): state_dict[t] for n, t in plain_names(state_dict).items()
        }
    if state_dict.keys() == own.keys():
        return dict(state_dict)
    weights = translate(state_dict, own)
    if is_cnn_lstm(state_dict) and getattr(model, "time_first", False):
        raise UserError("the published weights of cnn_lstm require TIME_FIRST = no")
    if weights.keys() != state_dict.keys() and all(name.startswith("conv") for name in weights):
        return {name: t for name, t in own.items() if not name.startswith("conv")} | weights
    return weights


def plain_names(names: Collection[str]) -> dict[str, str]:
    """Each name without what wrappers of models add, `module._orig_mod.fc.weight` -> `fc.weight`,
    and the name; the names as they are where two would become equal.
    """
    plain = {".".join(p for p in name.split(".") if p not in WRAPPERS): name for name in names}
    return plain if len(plain) == len(names) else {name: name for name in names}


def translate(state_dict: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published names to those of `own`; unknown names stay."""
    if is_vggish(state_dict):
        return translate_vggish(state_dict)
    if is_yamnet(state_dict):
        return translate_yamnet(state_dict, own)
    if is_psla(state_dict):
        return translate_psla(state_dict, own)
    if is_ced(state_dict):
        return translate_ced(state_dict)
    if is_transformer(state_dict):
        return translate_transformer(state_dict, own)
    if "conv_stem.weight" in state_dict:
        return translate_efficientnet(state_dict)
    if any(name.endswith("feed_forward.0.weight") for name in state_dict):
        return rename_and_transpose(state_dict, CP_NAMES)
    if any(".context_gen." in name for name in state_dict):
        return translate_dymn(state_dict, own)
    if any(".conc_se_layers." in name for name in state_dict):
        return rename_and_transpose(state_dict, MN_NAMES)
    if is_cnn_lstm(state_dict):
        return rename_all(state_dict, CNN_LSTM_NAMES)
    if "bw2col.1.weight" in state_dict:
        return translate_mobilenetv2(state_dict)
    if "first_conv.weight" in state_dict:
        return rename_all(state_dict, RAW_RESNET_NAMES)
    return rename_all(state_dict, DCASE_NAMES)


def is_vggish(state_dict: Mapping[str, Tensor]) -> bool:
    return all(f"{name}.weight" in state_dict for name in VGGISH_CONVOLUTIONS)


def translate_vggish(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The convolutions."""
    return {
        f"{ours}.{kind}": state_dict[f"{theirs}.{kind}"]
        for theirs, ours in VGGISH_CONVOLUTIONS.items()
        for kind in ("weight", "bias")
        if f"{theirs}.{kind}" in state_dict
    }


def is_cnn_lstm(state_dict: Mapping[str, Tensor]) -> bool:
    """Whether these are the names of the published system; `cnn_lstm` has no `fc`."""
    return "lstm.weight_ih_l0" in state_dict and "fc.0.weight" in state_dict


def translate_mobilenetv2(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate the published system, without the classifier of ImageNet."""
    weights = rename_all(state_dict, MOBILENETV2_NAMES)
    return {name: t for name, t in weights.items() if not name.startswith("mv2.classifier.")}


def translate_efficientnet(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate timm's EfficientNet, without the classifier; time is the width of its images."""
    return {
        f"features.{name}": tensor.transpose(2, 3) if tensor.ndim == 4 else tensor
        for name, tensor in state_dict.items()
        if not name.startswith("classifier.")
    }


def translate_dymn(
    state_dict: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Translate EfficientAT's DyMN, which has no temperature: that of the model is kept.

    Its four kernels are rows of (1, 1, 4, values), and its convolutions of sequences are those of
    images. A tensor of another size stays as it is.
    """
    weights = {"temperature": own["temperature"]} if "temperature" in own else {}
    for name, tensor in state_dict.items():
        if name.endswith(DYMN_CONSTANTS):
            continue
        expected = own.get(renamed := rename(name, DYMN_NAMES))
        if expected is not None and tensor.numel() == expected.numel():
            tensor = tensor.reshape(expected.shape)
        weights[renamed] = tensor.transpose(2, 3) if tensor.ndim == 4 else tensor
    return weights


def rename_and_transpose(state_dict: Mapping[str, Tensor], names: Names) -> dict[str, Tensor]:
    """Translate a network whose images have time as width."""
    return {
        rename(name, names): tensor.transpose(2, 3) if tensor.ndim == 4 else tensor
        for name, tensor in state_dict.items()
    }


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict of a .safetensors file, a file of torch.save or a Lightning checkpoint, and
    the weights of YAMNet's .tflite and .h5 files.

    A state dict may be one of the entries `ENTRIES` of a checkpoint, and its names may have what
    DataParallel and torch.compile add. A pickle with anything but tensors is rejected without
    loading, since that could execute code. Raises UserError for a file that is missing, damaged,
    rejected or not a state dict.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file of weights")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            weights: Any = load_file(path)
        elif path.suffix == ".tflite":
            weights = read_tflite(path.read_bytes())
        elif path.suffix == ".h5":
            weights = read_keras(path)
        else:
            weights = load_tensors(path, "weights")
    except (OSError, UserError):
        raise
    except Exception as error:  # a damaged file can raise almost anything
        raise UserError(f"{path}: cannot be read as weights: {reason_of(error)}") from error
    while isinstance(weights, Mapping) and (entry := entry_of(weights)):
        weights = weights[entry]
    if not isinstance(weights, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in weights.items()
    ):
        entries = list(map(str, weights))[:LISTED] if isinstance(weights, Mapping) else ()
        found = f"the entries {', '.join(entries)}" if entries else "something else"
        raise UserError(
            f"{path}: expected a state dict, tensors by their names, or one in "
            f"{', '.join(ENTRIES)}; found {found}"
        )
    return {name: weights[original] for name, original in plain_names(weights).items()}


def entry_of(checkpoint: Mapping[str, Any]) -> str | None:
    """The entry with the state dict of a model."""
    return next((name for name in ENTRIES if isinstance(checkpoint.get(name), Mapping)), None)
