"""street_scenes: ten synthesised scenes in stereo, so that scene recipes run without a download."""

from __future__ import annotations

from pathlib import Path

from data.datasets.tau_scenes import TauScenes


class StreetScenes(TauScenes):
    """600 synthesised clips of 4 s, laid out like TAU Urban Acoustic Scenes; demonstrations only.

    Ten scenes of 15 places each, in stereo, by several simulated devices: 400 clips of 100 places
    for training, 200 of 50 others for testing, 20 of these by a device that is absent from
    training. Some pairs share most of their sound sources: metro and tram, airport and
    shopping_mall, street_pedestrian and public_square.

    Source: data.synthesis. Licence: that of this program.
    Layout: as TauScenes, EDITION = 2019.
    """

    embedded = True
    clips_summary = "600 of 4 s, stereo"
    labels_summary = "ten scenes"
    how_to_get = "python make_mel.py synthesises it"
    licence = "synthesised by Soundstill, under its own licence"

    def __init__(self) -> None:
        super().__init__()
        self.clip_seconds = 4.0

    def download(self, root: Path) -> None:
        """Synthesise what is not below `root` yet; nothing is fetched. Raises UserError."""
        from data.synthesis.scene_corpus import synthesise

        synthesise(root)
