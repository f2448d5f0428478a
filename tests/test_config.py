"""config.ini as the user writes it: what is read, what is refused and in which words."""

import pickle
import re
import subprocess
import sys
import typing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import NoneType
from typing import Literal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import config
from config import Config, ConfigError, Mel, UserError, load
from config.fields import cast

ROOT = Path(config.__file__).parents[1]


@pytest.fixture
def ini(tmp_path, monkeypatch):
    """Writes x.ini into the working folder and loads it, with overrides."""
    monkeypatch.chdir(tmp_path)

    def read(text: str, *overrides: str) -> Config:
        Path("x.ini").write_text(text, encoding="utf-8")
        return load(Path("x.ini"), overrides)

    return read


def complaint(ini, text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        ini(text, *overrides)
    assert caught.value.exit_status == 2
    return str(caught.value)


# What is read -----------------------------------------------------------------------------------


def test_an_empty_file_gives_the_defaults_and_its_own_name_to_the_run(ini):
    found = ini("")
    assert found.data == config.Data()
    assert (found.teacher_mel.num_bands, found.student_mel.num_bands) == (64, 20)
    assert (found.teacher.model, found.student.model) == ("dcase_net", "dcase_small")
    assert found.distillation.variants == ("bce", "bce+kd", "bce+kd+sp")
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


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("yes", bool, True),
        ("TRUE", bool, True),
        ("0", bool, False),
        ("off", bool, False),
        ("-3", int, -3),
        ("1e-4", float, 1e-4),
        ("2", float, 2.0),
        ("x y", str, "x y"),
        ("", str, ""),
        ("V2", Literal["v1", "v2"], "v2"),
        ("2", Literal[1, 2], 2),
        ("Hann", Literal["Hann", "none"], "Hann"),
        ("", tuple[int, ...], ()),
        ("1, 2,3,", tuple[int, ...], (1, 2, 3)),
        ("a b, c", tuple[str, ...], ("a b", "c")),
        ("3, 5", tuple[int, int], (3, 5)),
        ("", int | None, None),
        ("4", int | None, 4),
        ("", tuple[int, int] | None, None),
        ("4, 4", tuple[int, int] | None, (4, 4)),
    ],
)
def test_cast(text, hint, value):
    found = cast(text, hint, "[x] y")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "hint", "message"),
    [
        ("ja", bool, "found 'ja', want yes or no"),
        ("8.0", int, "found '8.0', want a whole number"),
        ("", int, "found '', want a whole number"),
        ("1,5", float, "found '1,5', want a number"),
        ("nan", float, "found 'nan', want a number"),
        ("inf", float, "found 'inf', want a number"),
        ("power2", Literal["magnitude", "power"], "nearest: power (allowed: magnitude, power)"),
        ("qq", Literal["magnitude", "power"], "found 'qq' (allowed: magnitude, power)"),
        ("1, x", tuple[int, ...], "found 'x', want a whole number"),
        ("1", tuple[int, int], "found '1', want 2 values"),
        ("x", int | None, "found 'x', want a whole number"),
    ],
)
def test_cast_refuses(text, hint, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        cast(text, hint, "[x] y")
    assert str(caught.value).startswith("[x] y: found ")


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
    assert told["student"].gain_db == 3
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


# What is refused --------------------------------------------------------------------------------


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
        ("[run]\nSEEDS = a", "x.ini [run] seeds: found 'a', want a whole number"),
        ("[teacher]\nBATCH_SIZE = 0", "x.ini [teacher] batch_size: found 0, want at least 1"),
        ("[data]\nHOLD_OUT = 0.6", "x.ini [data] hold_out: found 0.6, want 0 to 0.5"),
        ("[data]\nFOLDS = 1, 0", "x.ini [data] folds: found 0, want at least 1"),
        ("[data]\nFOLDS = 1, 2, 1", "x.ini [data] folds: found 1, 2, 1, want each only once"),
        ("[mel]\nCHANNELS = 3", "x.ini [mel] channels: found 3, want 1 to 2"),
        ("[mel]\nCHANNELS_STUDENT = 3", "x.ini [mel] channels_student: found 3, want 1 to 2"),
        ("[mel.student]\nCHANNELS = 3", "x.ini [mel.student] channels: found 3, want 1 to 2"),
        (
            "[data]\nPROTOCOL = papre",
            "x.ini [data] protocol: found 'papre'; nearest: paper (allowed: held_out, paper)",
        ),
        ("[coefficients]\nKD = high", "x.ini [coefficients] kd: found 'high', want a number"),
        ("[coefficients]\nKD = -1", "x.ini [coefficients] kd: found -1, want at least 0"),
        (
            "[student]\nMODEL = dcase_small\n  EPOCHS = 3",
            "x.ini [student] model: goes on in the indented line 'EPOCHS = 3'",
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
        ("epochs=3", "want section.key=value, such as student.epochs=20"),
        ("student.epochs", "want section.key=value"),
        (".epochs=1", "want section.key=value"),
        ("student.=1", "want section.key=value"),
        ("student.epochs=x", "found 'x', want a whole number"),
        ("student.epochs=-1", "found -1, want at least 0"),
        ("studnet.epochs=3", "no such section; nearest: student"),
        ("mel.bands=3", "no such key; nearest: num_bands"),
        ("mel.num_band_student=3", "no such key; nearest: num_bands"),
        ("data.root=/my #1 folder", "without the ' #' or ' ;' that starts a comment"),
        ("data.root=;", "without the ' #' or ' ;' that starts a comment"),
        ("data.root=a\nb", "want one line"),
    ],
)
def test_a_wrong_override_is_quoted_as_it_was_typed(ini, override, message):
    found = complaint(ini, "", override)
    assert found.startswith(f"--set {override}: ")
    assert message in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # 7500 Hz do not exist at 8000 samples a second
        (
            "[mel]\nSAMPLE_RATE = 8000",
            "x.ini [mel] mel_max_hz: want mel_min_hz < mel_max_hz <= sample_rate / 2, "
            "found 125, 7500 and 4000",
        ),
        ("[mel]\nSAMPLE_RATE_STUDENT = 8000", "x.ini [mel.student] mel_max_hz: want mel_min_hz <"),
        ("[mel.teacher]\nMEL_MIN_HZ = 7500", "x.ini [mel.teacher] mel_max_hz: want mel_min_hz <"),
        # 0.025 s of 16 kHz are 400 samples
        (
            "[mel]\nFFT_SIZE = 399",
            "x.ini [mel] fft_size: found 399, want 0 or at least the window,",
        ),
        ("[mel]\nFRAMING = passt", "x.ini [mel] framing: found 'passt', but PRE_EMPHASIS is 0"),
        ("[mel]\nLOG_OFFSET_TEACHER = 0", "x.ini [mel.teacher] log_offset: digital silence has no"),
        # 0.0001 s of 4 kHz round to no sample at all
        (
            "[mel]\nSAMPLE_RATE = 4000\nMEL_MAX_HZ = 2000\nSTFT_HOP_LENGTH_SECONDS = 0.0001",
            "x.ini [mel] sample_rate: 4000 Hz makes the window 100 and the hop 0 samples",
        ),
        (
            "[mel]\nNUM_BANDS_STUDENT = 20\n[mel.student]\nNUM_BANDS = 32",
            "x.ini [mel] num_bands_student: found '20', but [mel.student] num_bands is '32'",
        ),
        ("[student]\nSCHEDULE = step", "x.ini [student] step_epochs: found none, which schedule ="),
        (
            "[teacher]\nSCHEDULE = cosine\nEPOCHS = 4\nWARM_UP_EPOCHS = 5",
            "x.ini [teacher] warm_up_epochs: found 5, want at most epochs, 4",
        ),
        (
            "[mel]\nNORMALISE = fixed\nMEAN = -4.2677",
            "x.ini [mel] std: found none, but NORMALISE is fixed",
        ),
        (
            "[mel]\nNORMALISE_TEACHER = fixed\nMEAN = -4.5\nSTD = 5",
            "x.ini [mel.student] mean: found -4.5, but NORMALISE is none",
        ),
        (
            "[augment]\nMIXUP_PROB = 0.5",
            "x.ini [augment] mixup_prob: found 0.5, but MIXUP_ALPHA = 0 mixes nothing",
        ),
        (
            "[augment]\nMIXSTYLE_PROB = 0.4",
            "x.ini [augment] mixstyle_prob: found 0.4, but MIXSTYLE_ALPHA = 0 mixes nothing",
        ),
        (
            "[augment]\nIMPULSE_RESPONSE_DEVICES = a",
            "x.ini [augment] impulse_response_devices: wants IMPULSE_RESPONSES, which is empty",
        ),
        (
            "[augment]\nMASK_WITH = mean",
            "x.ini [augment] mask_with: found 'mean', but TIME_MASK_SECONDS and "
            "FREQUENCY_MASK_SHARE are 0",
        ),
        (
            "[augment]\nMIXUP_START_EPOCH = 6",
            "x.ini [augment] mixup_start_epoch: found 6, but MIXUP_ALPHA = 0 mixes nothing",
        ),
        ("[distillation]\nVARIANTS =", "x.ini [distillation] variants: found none, want one or "),
        ("[run]\nSEEDS = ,", "x.ini [run] seeds: found none, want one or more"),
        ("[run]\nDEVICE = cdua", "x.ini [run] device: found 'cdua'; nearest: cuda (allowed: auto,"),
        ("[run]\nNAME = ../x", "x.ini [run] name: found '../x', want the name of one folder"),
        ("[run]\nNAME = ..", "x.ini [run] name: found '..', want the name of one folder"),
    ],
)
def test_a_contradiction_names_where_it_lies(ini, text, message):
    found = complaint(ini, text)
    assert found.startswith(message)
    assert "\n" not in found


def test_what_looks_like_a_contradiction_and_is_none(ini):
    found = ini(
        "[mel]\nSAMPLE_RATE = 8000\nMEL_MAX_HZ_TEACHER = 4000\nMEL_MAX_HZ_STUDENT = 3800\n"
        "FFT_SIZE = 200\n"
        "[student]\nSCHEDULE = step\nSTEP_EPOCHS = 20, 40\n[run]\nDEVICE = cuda:1\n"
        "[distillation]\nTEACHER_WEIGHTS = 0.5, 0.5"
    )
    assert found.teacher_mel.mel_max_hz == 4000
    assert found.distillation.teacher_weights == (0.5, 0.5)
    assert ini("[mel]\nFRONT_END = waveform\nSAMPLE_RATE = 8000").student_mel.sample_rate == 8000


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


def test_the_first_systems_keys_are_all_named_at_once_with_their_successors(ini):
    first, *lines = complaint(ini, REFERENCE).splitlines()
    assert first == "x.ini: 5 problems"
    one_example = "nothing reads it: a clip is one example, [data] CLIP_SECONDS long; delete it"
    assert dict(line.split(": ", 1) for line in lines) == {
        "  x.ini [mel] num_frames": "nothing reads it: [data] CLIP_SECONDS sets the frames; "
        "delete it",
        "  x.ini [mel] embedding_size": "nothing reads it: the model sets the size of its "
        "embedding; delete it",
        "  x.ini [mel] example_window_seconds": one_example,
        "  x.ini [mel] example_hop_seconds": one_example,
        "  x.ini [student] softmax_temperature": "it is [distillation] SOFTMAX_TEMPERATURE now",
    }


def test_the_first_systems_file_works_once_mended(ini):
    mended = re.sub(r"(?m)^(NUM_FRAMES|EMBEDDING|EXAMPLE|SOFTMAX).*\n", "", REFERENCE)
    found = ini(mended + "[distillation]\nSOFTMAX_TEMPERATURE = 2\n")
    assert (found.teacher_mel, found.student_mel) == (Mel(), config.StudentMel())
    assert found.student.options == {"width_mult": "0.0005"}
    assert found.distillation.softmax_temperature == 2.0
    assert found.coefficients == {"bce": 1.5, "kd": 1.5, "sp": 10.0}


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


def test_a_front_end_that_is_built_by_hand_is_checked_too():
    with pytest.raises(ConfigError, match=r"\[mel\] channels: found 3, want 1 to 2"):
        Mel(channels=3)
    with pytest.raises(ConfigError, match=r"\[mel\] mel_max_hz: want"):
        replace(Mel(), sample_rate=8000)


def test_an_error_survives_the_way_back_from_a_worker_process():
    error = pickle.loads(pickle.dumps(ConfigError("[run] seeds", "found none")))
    assert (type(error), str(error)) == (ConfigError, "[run] seeds: found none")


# The options of a constructor -------------------------------------------------------------------


class Sample:
    def __init__(
        self,
        *,
        num_classes: int,
        input_shape: tuple[int, int, int],
        width_mult: float = 1.0,
        stages: tuple[int, ...] = (1, 1),
        reading: Literal["time", "reshaped"] = "time",
        head: int | None = None,
        bias: bool = True,
    ) -> None:
        pass


def build(width_mult: float, *, bias: bool = True, **others: int) -> None:
    """A function serves as well as a class; its positional parameters are not options."""


def test_constructor_options_have_the_constructors_types():
    texts = {"width_mult": "2", "stages": "8, 8", "reading": "Reshaped", "head": "", "bias": "no"}
    options = config.constructor_options("[student]", config.Student(options=texts), Sample)
    wanted = {"width_mult": 2.0, "stages": (8, 8), "reading": "reshaped", "head": None}
    assert options == {**wanted, "bias": False}
    assert type(options["width_mult"]) is float
    one = config.Student(options={"bias": "yes"})
    assert config.constructor_options("[student]", one, build) == {"bias": True}
    assert config.constructor_options("[data]", config.Data(), object) == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width_mlt": "2"}, "[student] width_mlt: Sample has no such key; nearest: width_mult (a"),
        (
            {"lerning_rate": "2"},
            "[student] lerning_rate: Sample has no such key; nearest: learning",
        ),
        ({"seeds": "2"}, "[student] seeds: Sample has no such key here, but in [run]"),
        ({"num_classes": "2"}, "[student] num_classes: Sample has no such key"),
        ({"input_shape": "1,2,3"}, "[student] input_shape: Sample has no such key"),
        ({"width_mult": "wide"}, "[student] width_mult: found 'wide', want a number"),
        ({"reading": "tme"}, "[student] reading: found 'tme'; nearest: time (allowed: reshaped, t"),
    ],
)
def test_constructor_options_refuse(options, message):
    with pytest.raises(ConfigError) as caught:
        config.constructor_options("[student]", config.Student(options=options), Sample)
    assert str(caught.value).startswith(message)


def test_constructor_options_name_all_problems():
    section = config.Student(options={"a": "1", "bias": "2", "head": "3"})
    with pytest.raises(ConfigError) as caught:
        config.constructor_options("[student]", section, Sample)
    first, *lines = str(caught.value).splitlines()
    assert first == "[student]: 2 problems"
    assert [line.split(":")[0] for line in lines] == ["  [student] a", "  [student] bias"]


def test_choose():
    assert config.choose("[student] model", {"a": 1, "b": 2}, "b") == 2
    with pytest.raises(ConfigError) as caught:
        config.choose("[student] model", {"dcase_net": 1, "cnn_lstm": 2}, "dcasenet")
    assert str(caught.value) == (
        "[student] model: found 'dcasenet'; nearest: dcase_net (allowed: cnn_lstm, dcase_net)"
    )


# There and back ---------------------------------------------------------------------------------

lines = st.text(max_size=12).filter(
    lambda text: text == text.strip() and not re.search(r"(^|\s)[#;]|[\r\n]", text)
)
items = lines.filter(lambda text: text and "," not in text)
names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
members = st.lists(st.sampled_from(["teacher", "2 * student/ce+kd", "runs/a/b"]), min_size=1)
members = members.map(", ".join)
SPECIAL = {
    "device": st.sampled_from(["auto", "cpu", "mps", "cuda", "cuda:3"]),
    "name": names,
    **dict.fromkeys(("teachers", "students", "chains"), st.just(())),
    "adam_betas": st.tuples(st.floats(0, 0.9), st.floats(0, 0.9)),
    "warm_up_epochs": st.integers(0, 3),
    "warm_up_steps": st.sampled_from([0, 100]),
    "swa_start_epoch": st.integers(0, 3),
    "ensemble_start_epoch": st.integers(0, 3),
}


def values_of(f, hint):
    """What a key may be, from its type and its range."""
    low, high = f.metadata["low"], f.metadata["high"]
    if f.name in SPECIAL:
        return SPECIAL[f.name]
    if typing.get_origin(hint) is Literal:
        return st.sampled_from(typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        kind, *_ = typing.get_args(hint)
        numbers = {int: st.integers(low, high), float: st.floats(low, 1e9)}
        named = st.sampled_from(typing.get_args(kind) or [""])
        one = (numbers | {str: items}).get(kind, named)
        return st.lists(one, max_size=3, unique=True).map(tuple)
    some = set(typing.get_args(hint)) - {NoneType}
    if typing.get_args(hint):
        return st.none() | values_of(f, *some)
    return {
        bool: st.booleans(),
        int: st.integers(low, high),
        float: st.floats(low, high, allow_nan=False, allow_infinity=False),
        str: lines,
    }[hint]


@st.composite
def sections(draw, kind):
    """A section with some keys set, fewer of them where they contradict one another."""
    hints = typing.get_type_hints(kind)
    known = config.key_fields(kind)
    chosen = draw(st.sets(st.sampled_from(sorted(known)), max_size=5))
    values = {}
    if "options" in hints:
        unknown = names.filter(lambda name: name not in known and name != "softmax_temperature")
        text = {config.Ensembles: members, config.Matrix: st.just("MODEL=ast")}.get(kind, lines)
        values["options"] = draw(st.dictionaries(unknown, text, max_size=2))
    values |= {name: draw(values_of(known[name], hints[name])) for name in sorted(chosen)}
    while True:
        try:
            return kind(**values)
        except ConfigError:
            values.popitem()


configs = st.builds(
    Config,
    data=sections(config.Data),
    teacher_mel=sections(Mel),
    student_mel=sections(config.StudentMel),
    teacher=sections(config.Teacher),
    student=sections(config.Student),
    specialists=sections(config.Specialists),
    distillation=sections(config.Distillation),
    coefficients=st.dictionaries(names, st.floats(0, 1e6), max_size=3),
    teacher_augment=sections(config.Augment),
    specialists_augment=sections(config.Augment),
    student_augment=sections(config.Augment),
    ensembles=sections(config.Ensembles),
    matrix=sections(config.Matrix),
    quantisation=sections(config.Quantisation),
    budget=sections(config.Budget),
    run=sections(config.Run),
)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(configs)
def test_the_resolved_file_gives_the_same_configuration(wanted):
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{wanted.run.name or 'unnamed'}.ini"
        path.write_text(wanted.to_ini(), encoding="utf-8")
        found = load(path)
    if not wanted.run.name:
        wanted = replace(wanted, run=replace(wanted.run, name="unnamed"))
    assert found == wanted


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.text(max_size=10), st.sampled_from(["data.root", "student.init", "teacher.kind"]))
def test_an_override_that_is_accepted_survives_the_resolved_file(text, where):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a #1.ini"
        path.touch()
        try:
            wanted = load(path, [f"{where}={text}"])
        except ConfigError:
            assume(False)
        path.write_text(wanted.to_ini(), encoding="utf-8")
        assert load(path) == wanted


# The scripts ------------------------------------------------------------------------------------


def python(*arguments, folder=ROOT):
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=folder, capture_output=True, text=True
    )


SCRIPT = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import config

def main(arguments, found):
    what = found.data.root
    if what == "user":
        raise config.UserError("clip a.wav: truncated")
    if what == "config":
        raise config.ConfigError("[student] model", "found 'x'")
    if what == "option":
        raise config.ConfigError("--download", "street_sounds has nothing to download")
    if what == "file":
        open("missing.wav")
    if what == "interrupt":
        raise KeyboardInterrupt
    if what == "bug":
        raise ZeroDivisionError
    print(found.student.epochs, arguments.download)

config.run_script(main, config.script_parser("Does it.", ("--download", "fetch it first")))
"""


@pytest.fixture
def script(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "config.ini").write_text("[student]\nEPOCHS = 3\n")
    return lambda *arguments: python("script.py", *arguments, folder=tmp_path)


def test_a_script_that_does_its_work(script):
    done = script("--download", "--set", "student.epochs=4", "--set", "run.seeds=1, 2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "4 True\n", "")
    done = script()
    assert (done.returncode, done.stdout) == (0, "3 False\n")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["data.root=user"], 1, "clip a.wav: truncated"),
        (["data.root=config"], 2, "config.ini [student] model: found 'x'"),
        (["data.root=option"], 2, "--download: street_sounds has nothing to download"),
        (["data.root=file"], 1, "[Errno 2] No such file or directory: 'missing.wav'"),
        (["data.root=interrupt"], 130, "stopped; start it again and it goes on from here"),
        (["student.epochs=x"], 2, "--set student.epochs=x: found 'x', want a whole number"),
        (["student.epochs=1", "--config", "no.ini"], 2, "no.ini: No such file or directory"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_status(script, arguments, status, message):
    done = script("--set", *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr == f"script.py: {message}\n"


def test_debug_shows_the_traceback_too(script):
    done = script("--debug", "--set", "data.root=user")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("\nscript.py: clip a.wav: truncated\n")


def test_a_bug_is_not_dressed_up_as_the_users_mistake(script):
    done = script("--set", "data.root=bug")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize("arguments", [["--dowload"], ["--down"], ["x.ini"], ["--set"]])
def test_a_wrong_command_line_is_status_2(script, arguments):
    done = script(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: script.py")
    assert "Traceback" not in done.stderr


def test_help_says_where_the_keys_are(script):
    done = script("--help")
    assert done.returncode == 0
    for text in ("Does it.", "--config", "--set", "--debug", "fetch it first", "python -m config"):
        assert text in done.stdout


def test_config_imports_nothing_heavy():
    done = python("-c", "import sys, config; print(*sys.modules)")
    assert done.returncode == 0
    heavy = {"torch", "numpy", "pandas", "scipy", "yaml", "asyncio", "multiprocessing"}
    assert not heavy & set(done.stdout.split())


def test_config_as_a_script_prints_a_row_for_every_key():
    done = python("-m", "config")
    assert done.returncode == 0
    head, rule, *rows = done.stdout.splitlines()
    assert head == "| section | key | default | meaning |"
    assert rule == "| --- | --- | --- | --- |"
    cells = [[cell.strip() for cell in row.strip("|").split(" | ", 3)] for row in rows]
    listed = {(name, row[1]) for row in cells for name in row[0].split()}
    for name, kind in config.SECTIONS.items():
        for key_name in config.key_fields(kind):
            assert (f"[{name}]", key_name.upper()) in listed
    by_key = {(row[0], row[1]): row for row in cells}
    assert by_key["[mel.student]", "NUM_BANDS"][2] == "20"
    assert by_key["[mel] [mel.teacher]", "NUM_BANDS"][2] == "64"
    assert by_key["[data]", "HOLD_OUT"][2:] == [
        "0.15",
        "share of the training groups (sensors, recordings) that choose the epoch where the data "
        "set has no split for it; 0: the last epoch is kept (0 to 0.5)",
    ]


def test_user_errors_are_status_1():
    assert UserError("x").exit_status == 1
    assert issubclass(ConfigError, UserError)
