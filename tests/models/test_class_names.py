import zipfile

import pytest

from config import ConfigError, UserError
from config.pretrained import PRETRAINED
from models.class_names import class_names
from tests.yamnet import LITERT, needs_yamnet


def test_the_names_of_yamnet():
    names = class_names("yamnet")
    assert len(names) == len(set(names)) == PRETRAINED["yamnet"].classes == 521
    assert names[0] == "Speech"
    assert names[-1] == "Field recording"
    assert class_names("yamnet_keras") == names


@needs_yamnet
def test_they_are_those_inside_the_published_file():
    with zipfile.ZipFile(LITERT) as archive:
        text = archive.read("yamnet_label_list.txt").decode()
    assert class_names("yamnet") == tuple(text.splitlines())


def test_a_name_without_a_list_or_a_wrong_one_is_an_error():
    with pytest.raises(UserError, match="mn10_as: the names of its 527 classes are not part"):
        class_names("mn10_as")
    with pytest.raises(ConfigError, match="found 'yamnets'; nearest: yamnet"):
        class_names("yamnets")
