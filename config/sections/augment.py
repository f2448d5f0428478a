"""[augment]: augmentation of training clips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from config.errors import ConfigError
from config.fields import key


@dataclass(frozen=True, slots=True, kw_only=True)
class Augment:
    """[augment]: disturbances of training clips, drawn once a clip and step for all that hear it.

    A key with _TEACHER, _SPECIALISTS or _STUDENT holds for the training of that role alone.
    """

    mixup_alpha: float = key(
        0.0, "alpha of Beta(alpha, alpha), the weight of a second clip; 0: none", low=0
    )
    mixup_prob: float = key(1.0, "share of the clips that are mixed", low=0, high=1)
    mixup_start_epoch: int = key(0, "epochs that pass before clips are mixed", low=0)
    roll_seconds: float = key(0.0, "s; largest circular shift in time", low=0)
    gain_db: float = key(0.0, "dB; largest change of level, up or down", low=0)
    time_mask_seconds: float = key(0.0, "s; longest stretch of time that is masked", low=0)
    frequency_mask_share: float = key(
        0.0, "largest share of the mel axis that is masked", low=0, high=0.9
    )
    mask_with: Literal["silence", "zero", "mean"] = key(
        "silence",
        "silence: the logarithm of nothing; zero: 0 after the logarithm, before NORMALISE; "
        "mean: 0 after NORMALISE",
    )
    warp_share: float = key(
        0.0,
        "largest stretch of the mel axis, up or down, as a share; 0.02 moves 15 kHz by 1 kHz, "
        "as PaSST's jitter of the upper edge, but drawn for each clip",
        low=0,
        high=0.5,
    )
    noise_db: float = key(
        0.0,
        "dB; highest level: each cell of a log-mel gets louder by 0 to a level that is drawn for "
        "each clip; 2 is PSLA's noise of 0.1 standard deviations, 4 AST's",
        low=0,
    )
    mixstyle_alpha: float = key(
        0.0,
        "alpha of Beta(alpha, alpha), the weight of a clip's own mean and std in each band, "
        "the rest being another clip's (Freq-MixStyle); 0: none",
        low=0,
    )
    mixstyle_prob: float = key(
        1.0,
        "share of the batches, or of the clips of AUGMENTED_VIEWS, whose styles are mixed",
        low=0,
        high=1,
    )
    impulse_responses: str = key(
        "", "folder of WAV files, the impulse responses of devices that clips are heard through"
    )
    impulse_response_prob: float = key(
        1.0, "share of the clips that are heard through one", low=0, high=1
    )
    impulse_response_devices: tuple[str, ...] = key(
        (), "devices whose clips alone are, such as a; empty: all"
    )
    crop_seconds: float = key(
        0.0,
        "s; length of the random stretch of each training clip that is heard, the whole clip in "
        "evaluation; 0: the whole clip",
        low=0,
    )

    def __post_init__(self) -> None:
        for name, default in (("mixup_prob", 1), ("mixup_start_epoch", 0), ("mixstyle_prob", 1)):
            alpha = f"{name.partition('_')[0]}_alpha"
            if (found := getattr(self, name)) != default and not getattr(self, alpha):
                raise ConfigError(
                    f"[augment] {name}", f"found {found:g}, but {alpha.upper()} = 0 mixes nothing"
                )
        for name, unset in (("impulse_response_prob", 1), ("impulse_response_devices", ())):
            if getattr(self, name) != unset and not self.impulse_responses:
                raise ConfigError(f"[augment] {name}", "wants IMPULSE_RESPONSES, which is empty")
        masks = self.time_mask_seconds or self.frequency_mask_share
        if self.mask_with != "silence" and not masks:
            raise ConfigError(
                "[augment] mask_with",
                f"found {self.mask_with!r}, but TIME_MASK_SECONDS and FREQUENCY_MASK_SHARE are 0",
            )
