"""config.ini as the user writes it: values, overrides and error messages."""

import re
import typing
from pathlib import Path

import pytest

import config
from config import ConfigError, load
from config.sections import SECTIONS
from tests.config.conftest import complaint

ROOT = Path(config.__file__).parents[1]


def test_an_empty_file_gives_the_defaults_and_its_own_name_to_the_run(ini):
    found = ini("")
    assert found.data == config.Data()
    assert (found.teacher_mel.num_bands, found.student_mel.num_bands) == (64, 20)
    assert (found.teacher.model, found.student.model) == ("dcase_net", "dcase_small")
    assert found.distillation.variants == ()
    assert found.coefficients == {}
    assert found.run == config.Run(name="x")


def test_each_type_of_value(ini):
    found = ini(
        """
        [data]
        ROOT = /data/Straße 1 = 100 %  # a comment
        FOLDS = 1, 3
        HOLD_OUT = 2e-1
        PROTOCOL = Paper
        [student]
        EPOCHS = 7  ; another
        [distillation]
        VARIANTS = ce,
            ce+kd,
            ce+kd+sp
        SQUARED_TEMPERATURE = On
        [coefficients]
        KD = 1.5
        sp = 10
        [run]
        NAME = c#1
        """.replace("\n        ", "\n")
    )
    assert found.data.root == "/data/Straße 1 = 100 %"
    assert found.data.folds == (1, 3)
    assert found.data.hold_out == 0.2
    assert found.data.protocol == "paper"
    assert found.student.epochs == 7
    assert found.distillation.variants == ("ce", "ce+kd", "ce+kd+sp")
    assert found.distillation.squared_temperature is True
    assert found.coefficients == {"kd": 1.5, "sp": 10.0}
    assert found.run.name == "c#1"


def test_mel_holds_for_both_roles_and_a_role_has_the_last_word(ini):
    found = ini(
        "[mel]\nSAMPLE_RATE = 32000\nMEL_MAX_HZ_STUDENT = 8000\n[mel.teacher]\nSAMPLE_RATE = 44100"
    )
    assert (found.teacher_mel.sample_rate, found.student_mel.sample_rate) == (44100, 32000)
    assert (found.teacher_mel.mel_max_hz, found.student_mel.mel_max_hz) == (7500, 8000)
    assert (found.teacher_mel.num_bands, found.student_mel.num_bands) == (64, 20)


def test_a_disturbance_may_belong_to_one_role(ini):
    found = ini(
        "[augment]\nROLL_SECONDS = 1\nMIXUP_ALPHA_TEACHER = 0.1\n[augment.student]\nGAIN_DB = 3"
    )
    told = {role: found.augment_of(role) for role in ("teacher", "specialist_2", "student")}
    assert {role: own.mixup_alpha for role, own in told.items()} == {
        "teacher": 0.1,
        "specialist_2": 0.0,
        "student": 0.0,
    }
    assert {own.roll_seconds for own in told.values()} == {1.0}
    assert told["student"].gain_db == found.augment_of("student@int8").gain_db == 3
    assert found.augment_of("teacher").gain_db == 0


@pytest.mark.parametrize("override", ["mel.student.num_bands=32", "mel.num_bands_student = 32"])
def test_an_override_of_a_role_beats_the_suffixed_key_of_the_file(ini, override):
    found = ini("[mel]\nNUM_BANDS_TEACHER = 128\nNUM_BANDS_STUDENT = 40", override)
    assert (found.teacher_mel.num_bands, found.student_mel.num_bands) == (128, 32)


def test_overrides_beat_the_file_and_the_last_one_wins(ini):
    found = ini(
        "[student]\nEPOCHS = 1",
        "student.epochs=2",
        "STUDENT.EPOCHS = 3",
        "data.root=a=b",
        "coefficients.kd=2",
        "student.width_mult=0.5",
    )
    assert found.student.epochs == 3
    assert found.data.root == "a=b"
    assert found.coefficients == {"kd": 2.0}
    assert found.student.options == {"width_mult": "0.5"}


def test_a_byte_order_mark_is_no_part_of_the_first_section(ini):
    assert ini("\ufeff[student]\nEPOCHS = 3").student.epochs == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[studnet]\nEPOCHS = 1",
            "x.ini [studnet] epochs: no such section; nearest: student (allowed: augment, ",
        ),
        ("[studnet]", "x.ini [studnet]: no such section; nearest: student"),
        ("[DEFAULT]\nEPOCHS = 1", "x.ini [DEFAULT] epochs: no such section"),
        ("[mel]\nNUM_BAND = 3", "x.ini [mel] num_band: no such key; nearest: num_bands (allowed: "),
        ("[mel]\nNUM_BAND_TEACHER = 3", "x.ini [mel] num_band_teacher: no such key; nearest: num_"),
        ("[mel.teacher]\nNUM_BAND = 3", "x.ini [mel.teacher] num_band: no such key; nearest: num_"),
        ("[augment]\nSEEDS = 3", "x.ini [augment] seeds: no such key here, but in [run] (allowed:"),
        ("[run]\nSEEDS = a", "x.ini [run] seeds: found 'a', expected a whole number"),
        ("[teacher]\nBATCH_SIZE = 0", "x.ini [teacher] batch_size: found 0, expected 1 to 100000"),
        ("[data]\nHOLD_OUT = 0.6", "x.ini [data] hold_out: found 0.6, expected 0 to 0.5"),
        ("[data]\nFOLDS = 1, 0", "x.ini [data] folds: found 0, expected at least 1"),
        ("[data]\nFOLDS = 1, 2, 1", "x.ini [data] folds: found 1, 2, 1, expected no duplicates"),
        ("[mel]\nCHANNELS = 3", "x.ini [mel] channels: found 3, expected 1 to 2"),
        ("[mel]\nCHANNELS_STUDENT = 3", "x.ini [mel] channels_student: found 3, expected 1 to 2"),
        ("[mel.student]\nCHANNELS = 3", "x.ini [mel.student] channels: found 3, expected 1 to 2"),
        (
            "[data]\nPROTOCOL = papre",
            "x.ini [data] protocol: found 'papre'; nearest: paper (allowed: held_out, paper)",
        ),
        ("[coefficients]\nKD = high", "x.ini [coefficients] kd: found 'high', expected a number"),
        ("[student]\nLEARNING_RATE = 1e38", "learning_rate: found 1e+38, expected 0 to 1000"),
        ("[student]\nBATCH_SIZE = 1e40", "batch_size: found '1e40', expected a whole number"),
        ("[mel]\nFFT_SIZE = 100000000", "fft_size: found 100000000, expected 0 to 1e+06"),
        ("[distillation]\nAUGMENTED_VIEWS = 1000000000", "expected 0 to 10000"),
        ("[data]\nCLIP_SECONDS = 1e308", "clip_seconds: found 1e+308, expected 0 to 3600"),
        ("[run]\nSEEDS = 0, 20000000000000", "seeds: found 20000000000000, expected 0 to 1e+09"),
        ("[student]\nEPOCHS = 2000000000", "epochs: found 2000000000, expected at most 1e+09"),
        ("[mel]\nNORMALISE = fixed\nMEAN = -1e10\nSTD = 1", "mean: found -10000000000.0, expected"),
        (
            "[coefficients]\nKD = 1e38",
            "x.ini [coefficients] kd: found 1e+38, expected at most",
        ),
        ("[ensembles]\nA = 9999999999 * teacher, student/kd", "found '9999999999 * teacher', expe"),
        ("[coefficients]\nKD = -1", "x.ini [coefficients] kd: found -1, expected at least 0"),
        (
            "[student]\nMODEL = dcase_small\n  EPOCHS = 3",
            "x.ini [student] model: continues in the indented line 'EPOCHS = 3'",
        ),
        ("NAME = a", "x.ini: File contains no section headers"),
        ("just some\ntext", "x.ini: File contains no section headers"),
        ("[run]\nNAME", "x.ini: Source contains parsing errors: 'x.ini' [line 2]: 'NAME"),
        ("[run]\nNAME = a\nname = b", "[line 3]: option 'name' in section 'run' already exists"),
        ("[run]\n[data]\n[run]", "[line 3]: section 'run' already exists"),
    ],
)
def test_refused_in_one_line_that_names_file_section_and_key(ini, text, message):
    found = complaint(ini, text)
    assert message in found
    assert found.startswith("x.ini")
    assert "\n" not in found


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs=3", "expected section.key=value, such as student.epochs=20"),
        ("student.epochs", "expected section.key=value"),
        (".epochs=1", "expected section.key=value"),
        ("student.=1", "expected section.key=value"),
        ("student.epochs=x", "found 'x', expected a whole number"),
        ("student.epochs=-1", "found -1, expected at least 0"),
        ("studnet.epochs=3", "no such section; nearest: student"),
        ("mel.bands=3", "no such key; nearest: num_bands"),
        ("mel.num_band_student=3", "no such key; nearest: num_bands"),
        ("data.root=/my #1 folder", "without the ' #' or ' ;' that starts a comment"),
        ("data.root=;", "without the ' #' or ' ;' that starts a comment"),
        ("data.root=a\nb", "expected one line"),
    ],
)
def test_a_wrong_override_is_quoted_as_it_was_typed(ini, override, message):
    found = complaint(ini, "", override)
    assert found.startswith(f"--set {override}: ")
    assert message in found


def test_all_problems_of_file_and_command_line_come_in_one_message(ini):
    found = complaint(ini, "[mel]\nNUM_BAND = 1\n[student]\nEPOCHS = x\n[a]\nb = c", "run.seeds=x")
    first, *lines = found.splitlines()
    assert first == "x.ini: 4 problems"
    places = {line.split(": ")[0] for line in lines}
    assert places == {
        "  x.ini [mel] num_band",
        "  x.ini [student] epochs",
        "  x.ini [a] b",
        "  --set run.seeds=x",
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.write_bytes(b"[run]\nNAME = \xff\xfe"), "can't decode byte"),
    ],
    ids=["missing", "folder", "not text"],
)
def test_a_file_that_cannot_be_read(tmp_path, make, message):
    path = tmp_path / "y.ini"
    make(path)
    with pytest.raises(ConfigError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")


NUMBERS = [
    (section, name)
    for section, kind in SECTIONS.items()
    for name, hint in typing.get_type_hints(kind).items()
    if {int, float} & {hint, *typing.get_args(hint)}
]


@pytest.mark.parametrize(("section", "name"), NUMBERS)
def test_every_number_has_a_limit(ini, section, name):
    for huge in ("1" + "0" * 40, "1" + "0" * 400):
        found = complaint(ini, f"[{section}]\n{name} = {huge}")
        assert re.search(rf"x\.ini \[{section}\] {name}: found '?1.*, expected ", found)
