"""street_sounds: the embedded data set, synthesised: no download is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from data.datasets.sonyc_ust import SonycUst


class StreetSounds(SonycUst):
    """1100 synthesised clips of 4 s, tagged like SONYC-UST v1; scores on it are demonstrations.

    600 train clips from 12 sensors have three noisy volunteers each; 200 validate clips from 3 and
    300 test clips from 5 other sensors have a verified row.

    Source: data.synthesis. Licence: that of this program.
    Layout: as SonycUst, VERSION = v1.

    Options: level and labels as in SonycUst.
    """

    clip_seconds = 4.0
    embedded = True
    clips_summary = "1100 of 4 s"
    labels_summary = "8 coarse or 29 fine tags"
    how_to_get = "python make_mel.py synthesises it"
    licence = "synthesised by Soundstill, under its own licence"

    def __init__(
        self,
        *,
        level: Literal["coarse", "fine"] = "coarse",
        labels: Literal["union", "majority", "mean"] = "union",
    ) -> None:
        super().__init__(level=level, labels=labels)

    def download(self, root: Path) -> None:
        """Synthesise what is not below `root` yet; nothing is fetched. Raises UserError."""
        from data.synthesis.corpus import synthesise

        synthesise(root)
