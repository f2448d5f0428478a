"""Mel spectrograms on axes of seconds and kilohertz, overlaid with feature maps of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from config import Mel
from data.features.front_end import band_centres
from report.drawing import HEATMAP

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN_HZ = (250, 1000, 4000, 16000)
MAX_FRAMES = 240  # about the pixels of a picture
MAX_OPACITY = 0.85  # of a map over the mel


def draw_mel(axes: Axes, image: np.ndarray, settings: Mel, seconds: float) -> None:
    """`image` is (T, F), drawn in HEATMAP, or (T, F, 3) of colours."""
    axes.imshow(
        np.swapaxes(image, 0, 1),
        origin="lower",
        aspect="auto",
        extent=(0, seconds, -0.5, image.shape[1] - 0.5),
        cmap=HEATMAP,
        interpolation="none",
    )
    centres = band_centres(settings).numpy()
    ticks = [hz for hz in SHOWN_HZ if centres[0] <= hz <= centres[-1]]
    places = np.interp(ticks, centres, np.arange(len(centres)))
    axes.set_yticks(places, [f"{hz / 1000:g}" for hz in ticks], size=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(False)
    axes.set_xlabel("s", size=8, labelpad=1)
    axes.set_ylabel("kHz", size=8, labelpad=1)


def downsampled(mel: np.ndarray) -> np.ndarray:
    """Means of neighbouring frames that share a pixel: (T, F) -> (at most MAX_FRAMES, F)."""
    count = min(MAX_FRAMES, len(mel))
    starts = np.linspace(0, len(mel), count, endpoint=False).astype(int)
    return np.add.reduceat(mel, starts) / np.diff([*starts, len(mel)])[:, None]


def overlaid(mel: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """A map in colours over the mel in grey: (T, F), (T, F) in [0, 1] -> (T, F, 3) in [0, 1]."""
    import matplotlib

    grey = 0.75 * scaled(mel)[..., None].repeat(3, axis=2)
    colours = matplotlib.colormaps["plasma"](strength)[..., :3]
    opaque = MAX_OPACITY * strength[..., None]
    return (1 - opaque) * grey + opaque * colours


def on_mel(feature_map: np.ndarray, source: Mel, shown: Mel, frames: int) -> np.ndarray:
    """A feature map resampled to the grid of a mel: (C, T', F') -> (frames, shown bands) in [0, 1].

    The mean magnitude over channels, interpolated linearly between the centres of its cells and
    scaled to [0, 1]. `source` is the front end of the model's input, `shown` that of the mel in the
    picture; their bands are matched in hertz.
    """
    from scipy.ndimage import map_coordinates

    mean = np.abs(feature_map).mean(axis=0)
    own, target = band_centres(source).numpy(), band_centres(shown).numpy()
    share = (np.interp(target, own, np.arange(len(own))) + 0.5) / len(own)
    times = (np.arange(frames) + 0.5) / frames * mean.shape[0] - 0.5
    grid = np.meshgrid(times, share * mean.shape[1] - 0.5, indexing="ij")
    return scaled(map_coordinates(mean, grid, order=1, mode="nearest"))


def scaled(values: np.ndarray) -> np.ndarray:
    """Min-max normalised to [0, 1]; 0 where all values are equal."""
    extent = np.ptp(values)
    return (values - values.min()) / (extent if extent > 0 else 1)
