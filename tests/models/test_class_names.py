import zipfile

import pytest

from config import ConfigError
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


def test_yamnet_leaves_six_classes_of_audioset_out():
    names, of_yamnet = class_names("mn10_as"), class_names("yamnet")
    assert len(set(names)) == len(names) == PRETRAINED["mn10_as"].classes == 527
    assert [name for name in names if name in of_yamnet] == list(of_yamnet)
    assert (names[1], names[-1]) == ("Male speech, man speaking", "Field recording")


def test_the_classes_of_fsd50k_are_those_of_its_vocabulary_in_order():
    names = class_names("psla_fsd50k")
    assert len(names) == len(set(names)) == PRETRAINED["psla_fsd50k"].classes == 200
    assert names == tuple(sorted(names))
    assert (names[0], names[-1]) == ("Accelerating_and_revving_and_vroom", "Zipper_(clothing)")


@pytest.mark.parametrize("name", PRETRAINED)
def test_every_published_model_has_as_many_names_as_classes(name):
    assert len(class_names(name)) == PRETRAINED[name].classes


def test_a_wrong_name_is_an_error():
    with pytest.raises(ConfigError, match="found 'yamnets'; nearest: yamnet"):
        class_names("yamnets")
