"""Every data set by its name in config.ini. A new one is one file here and one line below."""

from data.clips import Dataset

DATASETS: dict[str, type[Dataset]] = {}
