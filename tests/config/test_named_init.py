"""INIT by the name of a published model."""

import dataclasses

import pytest

from config import Mel, StudentMel, load
from config.pretrained import PRETRAINED
from tests.config.conftest import complaint

YAMNET = "[teacher]\nINIT = yamnet\n"


@pytest.mark.parametrize("role", ["teacher", "student"])
@pytest.mark.parametrize("name", PRETRAINED)
def test_a_name_brings_the_model_its_options_and_its_front_end(ini, name, role):
    found, named = ini(f"[{role}]\nINIT = {name}"), PRETRAINED[name]
    section = getattr(found, role)
    assert (section.init, section.model) == (name, named.model)
    assert section.options.keys() == named.options.keys() | named.classifier_options.keys()
    theirs = dataclasses.asdict(named.front_end or (StudentMel() if role == "student" else Mel()))
    assert dataclasses.asdict(found.mel_of(role)) == theirs
    assert section.load_classifier == named.has_classifier


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("EPOCHS = 0", "96"),
        ("LOAD_CLASSIFIER = yes", "96"),
        ("LOAD_CLASSIFIER = No", None),
        ("HEAD_FIT = logistic_regression\nFREEZE = backbone\nEPOCHS = 0", None),
        ("PATCH_FRAMES = 0", "0"),
        ("LOAD_CLASSIFIER = no\nPATCH_FRAMES = 48", "48"),
    ],
)
def test_the_published_classifier_brings_its_options_unless_they_are_set(ini, text, frames):
    assert ini(YAMNET + text).teacher.options.get("patch_frames") == frames


def test_the_other_role_keeps_its_own_front_end(ini):
    found = ini(YAMNET + "[mel]\nWINDOW_STUDENT = povey\n")
    assert found.student_mel == StudentMel(window="povey")
    assert found.teacher_mel == Mel(fft_size=512, log_offset=0.001)


def test_the_resolved_file_is_read_again(ini, tmp_path):
    found = ini(YAMNET)
    (tmp_path / "again.ini").write_text(found.to_ini())
    assert load(tmp_path / "again.ini") == found


@pytest.mark.parametrize(
    "same", ["MODEL = yamnet", "BATCH_NORM = 0", "WIDTH_MULT = 1", "DEPTH = 5", "EPOCHS = 3"]
)
def test_equal_values_and_other_keys_may_be_set(ini, same):
    key, _, text = same.lower().partition(" = ")
    found = ini(YAMNET + same).teacher
    assert getattr(found, key, found.options.get(key)) in (text, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "MODEL = mn",
            "x.ini [teacher] model: found mn, but INIT = yamnet of [teacher] requires yamnet",
        ),
        (
            "BATCH_NORM = yes",
            "x.ini [teacher] batch_norm: found yes, but INIT = yamnet of [teacher] requires no",
        ),
        (
            "[mel.teacher]\nNUM_BANDS = 128",
            "x.ini [mel.teacher] num_bands: found 128, but INIT = yamnet of [teacher] requires 64",
        ),
        (
            "[mel]\nLOG_OFFSET = 0.01",
            "x.ini [mel] log_offset: found 0.01, but INIT = yamnet of [teacher] requires 0.001; "
            "[mel] is for both roles: set the other one's in its own section",
        ),
    ],
)
def test_another_value_is_an_error_that_names_both(ini, text, message):
    assert complaint(ini, YAMNET + text) == message


def test_weights_of_imagenet_have_no_classifier_and_any_front_end(ini):
    text = "[teacher]\nINIT = dymn10_im\n"
    found = ini(text + "[mel]\nNUM_BANDS = 40")
    assert (found.teacher_mel.num_bands, found.teacher.options["kernel_temperature"]) == (
        40,
        "30.0",
    )
    assert complaint(ini, text + "LOAD_CLASSIFIER = yes") == (
        "x.ini [teacher] load_classifier: found yes, but INIT = dymn10_im of [teacher] requires no"
    )


def test_a_key_of_the_role_may_correct_one_of_both(ini):
    found = ini(YAMNET + "[mel]\nNUM_BANDS = 32\n[mel.teacher]\nNUM_BANDS = 64\n")
    assert (found.teacher_mel.num_bands, found.student_mel.num_bands) == (64, 32)


def test_a_value_of_another_type_is_reported_once(ini):
    message = complaint(ini, YAMNET + "[mel.teacher]\nNUM_BANDS = many")
    assert message == "x.ini [mel.teacher] num_bands: found 'many', expected a whole number"


def test_the_last_override_of_init_counts(ini):
    assert ini(YAMNET, "teacher.init=mn10_as").teacher.model == "mn"
    assert ini(YAMNET, "teacher.init=a.pth").teacher.model == "dcase_net"


def test_a_model_of_a_matrix_writes_its_keys_out(ini):
    matrix = ini("[matrix]\nY = INIT=yamnet EPOCHS=1\n").matrix
    words = matrix.overrides("y", "student")
    found = ini("", *words, "student.init=runs/other")
    assert found.student.model == "yamnet"
    assert found.student.options["batch_norm"] == "no"
    assert found.student_mel.log_offset == 0.001
    assert found.student.epochs == 1


def test_files_of_one_name_are_one_file():
    """The cache has one folder."""
    files = [named.file for named in PRETRAINED.values()]
    assert len(set(files)) == len(files)
    assert all("/" not in file and "?" not in file for file in files)
