"""Every data set by its name in config.ini. A new one is one file here and one line below."""

from pathlib import Path

from config import Data, choose, constructor_options
from data.datasets.audioset import AudioSet
from data.datasets.cochlscene import CochlScene
from data.datasets.csv_folder import CsvFolder
from data.datasets.esc50 import Esc10, Esc50
from data.datasets.folder import Folder
from data.datasets.fsd50k import Fsd50k
from data.datasets.sonyc_ust import SonycUst
from data.datasets.street_scenes import StreetScenes
from data.datasets.street_sounds import StreetSounds
from data.datasets.tau_scenes import TauScenes
from data.datasets.urbansound8k import UrbanSound8k
from data.tables.clips import Dataset

DATASETS: dict[str, type[Dataset]] = {
    "audioset": AudioSet,
    "cochlscene": CochlScene,
    "csv_folder": CsvFolder,
    "esc10": Esc10,
    "esc50": Esc50,
    "folder": Folder,
    "fsd50k": Fsd50k,
    "sonyc_ust": SonycUst,
    "street_scenes": StreetScenes,
    "street_sounds": StreetSounds,
    "tau_scenes": TauScenes,
    "urbansound8k": UrbanSound8k,
}


def build_dataset(data: Data) -> Dataset:
    """The data set of [data] with its options. Raises ConfigError for unknown ones."""
    constructor = choose("[data] dataset", DATASETS, data.dataset)
    return constructor(**constructor_options("[data]", data, constructor))


def root_of(data: Data) -> Path:
    """The folder of its recordings."""
    return Path(data.root or f"audio/{data.dataset}").expanduser()
