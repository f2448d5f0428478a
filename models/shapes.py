"""Checks of input shapes and options before a model is built, and rounding of widths."""

from config import ConfigError

MIN_CHANNELS = 8


def check_mel_shape(
    model: str, input_shape: tuple[int, ...], *, frames: int, bands: int
) -> tuple[int, int, int]:
    """`input_shape` as (channels, frames, bands). Raises ConfigError if it is smaller."""
    found = " x ".join(map(str, input_shape))
    if len(input_shape) != 3:
        raise ConfigError(
            model, f"requires a mel of channels x frames x bands, found an input of {found}"
        )
    if input_shape[0] < 1 or input_shape[1] < frames or input_shape[2] < bands:
        raise ConfigError(
            model,
            f"requires at least {frames} frames and {bands} bands, found an input of {found}",
        )
    return input_shape


def check_waveform_shape(
    model: str, input_shape: tuple[int, ...], *, samples: int
) -> tuple[int, int]:
    """`input_shape` as (channels, samples). Raises ConfigError if it is smaller."""
    found = " x ".join(map(str, input_shape))
    if len(input_shape) != 2:
        raise ConfigError(
            model, f"requires a waveform of channels x samples, found an input of {found}"
        )
    if input_shape[0] < 1 or input_shape[1] < samples:
        raise ConfigError(model, f"requires at least {samples} samples, found an input of {found}")
    return input_shape


def check_positive(model: str, name: str, value: float) -> None:
    """Raises ConfigError unless 0 < value < infinity."""
    if not 0 < value < float("inf"):
        raise ConfigError(f"{model} {name}", f"found {value:g}, expected more than 0")


def check_at_least(model: str, least: int, **values: int) -> None:
    """Raises ConfigError that names the first value below `least`."""
    for name, value in values.items():
        if value < least:
            raise ConfigError(f"{model} {name}", f"found {value}, expected at least {least}")


def scale_channels(channels: int, width_mult: float) -> int:
    """`channels` times `width_mult`, at least 8."""
    return max(MIN_CHANNELS, round(channels * width_mult))


def multiple_of_8(channels: float) -> int:
    """The nearest multiple of 8, at least 8; the next one where more than a tenth would be lost.

    Source: MobileNetV2's published code; most mobile networks round their widths so.
    """
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
