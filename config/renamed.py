"""Keys by another name: earlier names, names of other tools, and of the first published system.

RENAMED maps section -> key -> the key to use, as KEY or [section] KEY, or why it is unused.
"""

from __future__ import annotations

UNUSED = "unused: "
_ONE_EXAMPLE = f"{UNUSED}a clip is one example, [data] CLIP_SECONDS long"

_TRAINING = {
    # earlier names
    "init_as": "LOAD_CLASSIFIER",
    "backbone_rate": "BACKBONE_LR_SCALE",
    "down_from_epoch": "RAMP_DOWN_START_EPOCH",
    "down_epochs": "RAMP_DOWN_EPOCHS",
    "down_to": "RAMP_DOWN_TO",
    "average_from_epoch": "SWA_START_EPOCH",
    "ensemble_from_epoch": "ENSEMBLE_START_EPOCH",
    "centre_rate": "CENTRE_LR",
    # other tools
    "arch": "MODEL",
    "backbone": "MODEL",
    "num_epochs": "EPOCHS",
    "max_epochs": "EPOCHS",
    "n_epochs": "EPOCHS",
    "lr": "LEARNING_RATE",
    "base_lr": "LEARNING_RATE",
    "learning_rate_backbone": "BACKBONE_LR_SCALE",
    "batchsize": "BATCH_SIZE",
    "bs": "BATCH_SIZE",
    "optimizer": "OPTIMISER",
    "opt": "OPTIMISER",
    "wd": "WEIGHT_DECAY",
    "betas": "ADAM_BETAS",
    "scheduler": "SCHEDULE",
    "lr_scheduler": "SCHEDULE",
    "warmup": "WARM_UP_EPOCHS",
    "warmup_epochs": "WARM_UP_EPOCHS",
    "warmup_steps": "WARM_UP_STEPS",
    "milestones": "STEP_EPOCHS",
    "gamma": "STEP_FACTOR",
    "swa": "SWA_START_EPOCH",
    "clip_grad": "GRADIENT_CLIP",
    "grad_clip": "GRADIENT_CLIP",
    "max_grad_norm": "GRADIENT_CLIP",
    "smoothing": "LABEL_SMOOTHING",
    "pretrained": "INIT",
    "checkpoint": "INIT",
    "weights": "INIT",
    "freeze_layers": "FREEZE",
    "softmax_temperature": "[distillation] SOFTMAX_TEMPERATURE",
    "temperature": "[distillation] SOFTMAX_TEMPERATURE",
    "alpha": "[coefficients], one key per loss",
    "device": "[run] DEVICE",
    "seed": "[run] SEEDS",
}

RENAMED = {
    "data": {
        "dataset_name": "DATASET",
        "path": "ROOT",
        "data_dir": "ROOT",
        "dataset_path": "ROOT",
        "duration": "CLIP_SECONDS",
        "clip_length": "CLIP_SECONDS",
        "fold": "FOLDS",
        "val": "HOLD_OUT",
        "val_split": "HOLD_OUT",
        "validation_split": "HOLD_OUT",
        "val_fraction": "HOLD_OUT",
        "sample_rate": "[mel] SAMPLE_RATE",
        "num_workers": "[run] WORKERS",
    },
    "mel": {
        "deviation": "STD",
        "sr": "SAMPLE_RATE",
        "sampling_rate": "SAMPLE_RATE",
        "n_mels": "NUM_BANDS",
        "num_mels": "NUM_BANDS",
        "num_mel_bins": "NUM_BANDS",
        "mel_bins": "NUM_BANDS",
        "n_fft": "FFT_SIZE",
        "nfft": "FFT_SIZE",
        "win_length": "STFT_WINDOW_LENGTH_SECONDS",
        "window_size": "STFT_WINDOW_LENGTH_SECONDS",
        "hop_length": "STFT_HOP_LENGTH_SECONDS",
        "hop_size": "STFT_HOP_LENGTH_SECONDS",
        "f_min": "MEL_MIN_HZ",
        "fmin": "MEL_MIN_HZ",
        "f_max": "MEL_MAX_HZ",
        "fmax": "MEL_MAX_HZ",
        "preemphasis": "PRE_EMPHASIS",
        "center": "FRAMING",
        "normalize": "NORMALISE",
        "normalization": "NORMALISE",
        "norm_mean": "MEAN",
        "norm_std": "STD",
        "num_frames": f"{UNUSED}[data] CLIP_SECONDS sets the number of frames",
        "embedding_size": f"{UNUSED}the model sets the size of its embedding",
        "example_window_seconds": _ONE_EXAMPLE,
        "example_hop_seconds": _ONE_EXAMPLE,
    },
    "teacher": _TRAINING,
    "student": _TRAINING,
    "specialists": {"lr": "LEARNING_RATE", "num_epochs": "EPOCHS"},
    "distillation": {
        "teacher_hears": "TEACHER_INPUT",
        "views": "AUGMENTED_VIEWS",
        "over_classes": "KD_REDUCTION",
        "losses": "VARIANTS",
        "temperature": "SOFTMAX_TEMPERATURE",
        "tau": "SOFTMAX_TEMPERATURE",
        "t": "SOFTMAX_TEMPERATURE",
        "alpha": "[coefficients], one key per loss",
        "kd_weight": "[coefficients] KD",
        "lambda": "[coefficients], one key per loss",
        "logit_standardization": "STANDARDISE_LOGITS",
        "standardize_logits": "STANDARDISE_LOGITS",
    },
    "augment": {
        "mixup": "MIXUP_ALPHA",
        "mixup_share": "MIXUP_PROB",
        "mixup_p": "MIXUP_PROB",
        "mixup_from_epoch": "MIXUP_START_EPOCH",
        "mixstyle": "MIXSTYLE_ALPHA",
        "freq_mixstyle": "MIXSTYLE_ALPHA",
        "mixstyle_share": "MIXSTYLE_PROB",
        "mixstyle_p": "MIXSTYLE_PROB",
        "impulse_response_share": "IMPULSE_RESPONSE_PROB",
        "dir_prob": "IMPULSE_RESPONSE_PROB",
        "specaugment": "TIME_MASK_SECONDS and FREQUENCY_MASK_SHARE",
        "spec_augment": "TIME_MASK_SECONDS and FREQUENCY_MASK_SHARE",
        "time_mask": "TIME_MASK_SECONDS",
        "time_mask_param": "TIME_MASK_SECONDS",
        "timem": "TIME_MASK_SECONDS",
        "freq_mask": "FREQUENCY_MASK_SHARE",
        "freq_mask_param": "FREQUENCY_MASK_SHARE",
        "freqm": "FREQUENCY_MASK_SHARE",
        "time_shift": "ROLL_SECONDS",
        "time_roll": "ROLL_SECONDS",
        "roll": "ROLL_SECONDS",
        "gain": "GAIN_DB",
        "noise": "NOISE_DB",
        "random_crop": "CROP_SECONDS",
    },
    "quantisation": {"hold_epochs": "FREEZE_EPOCHS", "lr": "LEARNING_RATE"},
    "budget": {"max_params": "MAX_BYTES", "max_parameters": "MAX_BYTES", "max_flops": "MAX_MACS"},
    "run": {
        "resident_gigabytes": "FEATURE_MEMORY_GB",
        "cache_gigabytes": "TEACHER_CACHE_GB",
        "seed": "SEEDS",
        "num_workers": "WORKERS",
        "gpu": "DEVICE",
        "amp": "PRECISION",
        "fp16": "PRECISION",
        "experiment": "NAME",
    },
}


SECTIONS = {
    "dataset": "data",
    "spectrogram": "mel",
    "features": "mel",
    "front_end": "mel",
    "audio": "mel",
    "distill": "distillation",
    "kd": "distillation",
    "augmentation": "augment",
    "specaugment": "augment",
    "loss": "coefficients",
    "losses": "coefficients",
    "weights": "coefficients",
    "loss_weights": "coefficients",
    "quantization": "quantisation",
    "training": "student",
    "train": "student",
    "model": "student",
    "experiment": "run",
    "general": "run",
    "ensemble": "ensembles",
    "specialist": "specialists",
}


def successor(section: str, name: str) -> str | None:
    """The message for a key of another name; None for a name that is not listed."""
    found = RENAMED.get(section.partition(".")[0], {}).get(name)
    if found is None:
        return None
    if found.startswith(UNUSED):
        return f"is not used: {found.removeprefix(UNUSED)}; delete it"
    return f"is called {found} here"


def renamed_section(name: str) -> str | None:
    """The message for a section of another name; None for a name that is not listed."""
    found = SECTIONS.get(name)
    return found and f"is called [{found}] here"
