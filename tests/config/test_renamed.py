"""Keys by another name are named with the one to use."""

import inspect
import re

import pytest

import config
from config import Mel
from config.renamed import RENAMED, UNUSED
from data.datasets import DATASETS
from models import MODELS
from tests.config.conftest import complaint

REFERENCE = """
[mel]
NUM_FRAMES=96
NUM_BANDS_TEACHER=64
NUM_BANDS_STUDENT=20
EMBEDDING_SIZE=128
SAMPLE_RATE=16000
STFT_WINDOW_LENGTH_SECONDS=0.025
STFT_HOP_LENGTH_SECONDS=0.010
MEL_MIN_HZ=125
MEL_MAX_HZ=7500
LOG_OFFSET=0.01
EXAMPLE_WINDOW_SECONDS=0.96
EXAMPLE_HOP_SECONDS=0.96
[teacher]
MODEL=mobilenetv2
LEARNING_RATE=1e-4
WIDTH_MULT=1.0
EPOCHS=50
[student]
MODEL=mobilenetv2
WIDTH_MULT=0.0005
LEARNING_RATE=1e-4
SOFTMAX_TEMPERATURE=2
EPOCHS=50
[coefficients]
BCE=1.5
KD=1.5
SP=10
"""


def test_all_keys_of_the_first_system_are_listed_at_once_with_their_successors(ini):
    first, *lines = complaint(ini, REFERENCE).splitlines()
    assert first == "x.ini: 5 problems"
    one_example = "is not used: a clip is one example, [data] CLIP_SECONDS long; delete it"
    assert dict(line.split(": ", 1) for line in lines) == {
        "  x.ini [mel] num_frames": "is not used: [data] CLIP_SECONDS sets the number of "
        "frames; delete it",
        "  x.ini [mel] embedding_size": "is not used: the model sets the size of its embedding; "
        "delete it",
        "  x.ini [mel] example_window_seconds": one_example,
        "  x.ini [mel] example_hop_seconds": one_example,
        "  x.ini [student] softmax_temperature": "is called [distillation] SOFTMAX_TEMPERATURE "
        "here",
    }


def test_the_first_systems_file_works_without_them(ini):
    fixed = re.sub(r"(?m)^(NUM_FRAMES|EMBEDDING|EXAMPLE|SOFTMAX).*\n", "", REFERENCE)
    found = ini(fixed + "[distillation]\nSOFTMAX_TEMPERATURE = 2\n")
    assert (found.teacher_mel, found.student_mel) == (Mel(), config.StudentMel())
    assert found.student.options == {"width_mult": "0.0005"}
    assert found.distillation.softmax_temperature == 2.0
    assert found.coefficients == {"bce": 1.5, "kd": 1.5, "sp": 10.0}


OPTIONS = {
    name
    for table in (MODELS, DATASETS)
    for constructor in table.values()
    for name, parameter in inspect.signature(constructor).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY
}


@pytest.mark.parametrize("section", RENAMED)
def test_every_successor_exists_and_no_renamed_key_is_one(section):
    for old, new in RENAMED[section].items():
        assert old not in OPTIONS
        assert old not in config.key_fields(config.SECTIONS[section])
        if new.startswith(UNUSED):
            continue
        for name in re.findall(r"\b[A-Z][A-Z_]+\b", new.replace("[coefficients] KD", "")):
            there = re.match(r"\[(\w+)\]", new)
            kind = config.SECTIONS[there[1] if there else section]
            assert name.lower() in config.key_fields(kind), f"{old}: {new}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[mel]\nN_MELS = 128", "[mel] n_mels: is called NUM_BANDS here"),
        ("[mel]\nDEVIATION_STUDENT = 5", "[mel] deviation_student: is called STD here"),
        ("[student]\nLR = 1e-3", "[student] lr: is called LEARNING_RATE here"),
        ("[student]\nOPTIMIZER = sgd", "[student] optimizer: is called OPTIMISER here"),
        ("[teacher]\nINIT_AS = start", "[teacher] init_as: is called LOAD_CLASSIFIER here"),
        ("[distillation]\nTEACHER_HEARS = same", "teacher_hears: is called TEACHER_INPUT here"),
        ("[augment]\nMIXUP_STUDENT = 0.3", "[augment] mixup_student: is called MIXUP_ALPHA here"),
        ("[augment]\nSPECAUGMENT = yes", "TIME_MASK_SECONDS and FREQUENCY_MASK_SHARE here"),
        ("[data]\nVAL_SPLIT = 0.1", "[data] val_split: is called HOLD_OUT here"),
        ("[loss]\nKD = 1", "[loss] kd: is called [coefficients] here"),
        ("[quantization]\nEPOCHS = 1", "[quantization] epochs: is called [quantisation] here"),
    ],
)
def test_the_fields_other_names_are_answered_with_ours(ini, text, message):
    assert complaint(ini, text).endswith(message)


def test_the_options_of_an_own_module_have_any_name(ini):
    found = ini("[teacher]\nMODEL = my_teacher.py:build\nWEIGHTS = my.pt\n")
    assert found.teacher.options == {"weights": "my.pt"}
