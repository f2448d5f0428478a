"""[augment]: augmentation of training clips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from config.errors import ConfigError
from config.fields import key


@dataclass(frozen=True, slots=True, kw_only=True)
class Augment:
    """[augment]: augmentation of training clips, sampled once per clip and step for all roles.

    A key that ends in _TEACHER, _SPECIALISTS or _STUDENT applies to the training of that role only.
    """

    mixup_alpha: float = key(0.0, "alpha of Beta(alpha, alpha), the mixup weight; 0: off", low=0)
    mixup_prob: float = key(1.0, "probability that a clip is mixed", low=0, high=1)
    mixup_start_epoch: int = key(0, "epochs before mixup starts", low=0)
    mixup_domain: Literal["linear", "log"] = key(
        "linear",
        "what mixup mixes; linear: amplitudes, as of waveforms; log: log-mels, as PaSST and "
        "EfficientAT do",
    )
    wave_mixup_alpha: float = key(
        0.0,
        "alpha of the weight of a first mixup, of amplitudes, as of waveforms; that of MIXUP_ALPHA "
        "mixes its mixtures; 0: off",
        low=0,
    )
    wave_mixup_prob: float = key(
        1.0, "probability that the first mixup mixes a clip", low=0, high=1
    )
    roll_seconds: float = key(0.0, "s; maximum circular shift in time", low=0)
    gain_db: float = key(0.0, "dB; maximum gain, positive or negative", low=0, high=200)
    time_mask_seconds: float = key(0.0, "s; maximum length of the time mask", low=0)
    frequency_mask_share: float = key(
        0.0, "maximum width of the frequency mask, as a fraction of the mel axis", low=0, high=0.9
    )
    mask_with: Literal["silence", "zero", "mean"] = key(
        "silence",
        "value of masked cells; silence: the logarithm of LOG_OFFSET; zero: 0 before NORMALISE; "
        "mean: 0 after NORMALISE",
    )
    warp_share: float = key(
        0.0,
        "maximum relative warp of the mel axis; 0.02 moves 15 kHz by 1 kHz, as PaSST's jitter of "
        "the upper edge, but sampled per clip",
        low=0,
        high=0.5,
    )
    noise_db: float = key(
        0.0,
        "dB; maximum level of the uniform noise added to each log-mel cell, sampled per clip; 2 is "
        "PSLA's noise of 0.1 standard deviations, 4 AST's",
        low=0,
        high=200,
    )
    mixstyle_alpha: float = key(
        0.0,
        "alpha of Beta(alpha, alpha), the Freq-MixStyle weight of a clip's own mean and std per "
        "band, mixed with those of another clip; 0: off",
        low=0,
    )
    mixstyle_prob: float = key(
        1.0,
        "probability of Freq-MixStyle per batch, or per clip with AUGMENTED_VIEWS",
        low=0,
        high=1,
    )
    impulse_responses: str = key(
        "", "folder of WAV files: impulse responses of devices, convolved with clips"
    )
    impulse_response_prob: float = key(
        1.0, "probability that a clip is convolved with one", low=0, high=1
    )
    impulse_response_devices: tuple[str, ...] = key(
        (), "recording devices whose clips are convolved, such as a; empty: all"
    )
    crop_seconds: float = key(
        0.0,
        "s; length of a random crop of each training clip; evaluation is on the full clip; 0: off",
        low=0,
    )

    def __post_init__(self) -> None:
        for name, default, alpha in (
            ("mixup_prob", 1, "mixup_alpha"),
            ("mixup_start_epoch", 0, "mixup_alpha"),
            ("wave_mixup_prob", 1, "wave_mixup_alpha"),
            ("mixstyle_prob", 1, "mixstyle_alpha"),
        ):
            if (found := getattr(self, name)) != default and not getattr(self, alpha):
                raise ConfigError(f"[augment] {name}", f"found {found:g}, but {alpha.upper()} is 0")
        if self.mixup_domain != "linear" and not self.mixup_alpha:
            raise ConfigError("[augment] mixup_domain", "found log, but MIXUP_ALPHA is 0")
        for name, unset in (("impulse_response_prob", 1), ("impulse_response_devices", ())):
            if getattr(self, name) != unset and not self.impulse_responses:
                raise ConfigError(f"[augment] {name}", "requires IMPULSE_RESPONSES, which is empty")
        masks = self.time_mask_seconds or self.frequency_mask_share
        if self.mask_with != "silence" and not masks:
            raise ConfigError(
                "[augment] mask_with",
                f"found {self.mask_with!r}, but TIME_MASK_SECONDS and FREQUENCY_MASK_SHARE are 0",
            )
