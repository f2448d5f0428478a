"""Contradictions within a section."""

from dataclasses import replace

import pytest

from config import ConfigError, Mel
from tests.config.conftest import complaint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # 7500 Hz do not exist at 8000 samples a second
        (
            "[mel]\nSAMPLE_RATE = 8000",
            "[mel] mel_max_hz: expected mel_min_hz < mel_max_hz <= sample_rate / 2, found 125, "
            "7500 and 4000",
        ),
        (
            "[mel]\nSAMPLE_RATE_STUDENT = 8000",
            "[mel.student] mel_max_hz: expected mel_min_hz < mel_max_hz <= sample_rate / 2, "
            "found 125, 7500 and 4000",
        ),
        (
            "[mel.teacher]\nMEL_MIN_HZ = 7500",
            "[mel.teacher] mel_max_hz: expected mel_min_hz < mel_max_hz <= sample_rate / 2, "
            "found 7500, 7500 and 8000",
        ),
        # 0.025 s of 16 kHz are 400 samples
        (
            "[mel]\nFFT_SIZE = 399",
            "[mel] fft_size: found 399, expected 0 or at least the window, 400 samples",
        ),
        ("[mel]\nFRAMING = passt", "[mel] framing: found 'passt', but PRE_EMPHASIS is 0"),
        (
            "[mel]\nLOG_OFFSET_TEACHER = 0",
            "[mel.teacher] log_offset: digital silence has no logarithm: expected more than 0, "
            "or LOG_FLOOR",
        ),
        (
            "[mel.teacher]\nLOG_FLOOR = 1e-10",
            "[mel.teacher] log_floor: found 1e-10, but LOG_OFFSET is 0.01, not 0",
        ),
        ("[mel.teacher]\nTOP_DB = 80", "[mel.teacher] top_db: found 80, but LOG is natural"),
        # 0.0001 s of 4 kHz round to no sample at all
        (
            "[mel]\nSAMPLE_RATE = 4000\nMEL_MAX_HZ = 2000\nSTFT_HOP_LENGTH_SECONDS = 0.0001",
            "[mel] sample_rate: at 4000 Hz the window has 100 samples and the hop 0, expected at "
            "least 2 and 1",
        ),
        (
            "[mel]\nNUM_BANDS_STUDENT = 20\n[mel.student]\nNUM_BANDS = 32",
            "[mel] num_bands_student: found '20', but [mel.student] num_bands is '32'",
        ),
        ("[student]\nSCHEDULE = step", "[student] step_epochs: found none, but SCHEDULE is step"),
        (
            "[teacher]\nSCHEDULE = cosine\nEPOCHS = 4\nWARM_UP_EPOCHS = 5",
            "[teacher] warm_up_epochs: found 5, expected at most epochs, 4",
        ),
        (
            "[mel]\nNORMALISE = fixed\nMEAN = -4.2677",
            "[mel] std: found none, but NORMALISE is fixed",
        ),
        (
            "[mel]\nNORMALISE_TEACHER = fixed\nMEAN = -4.5\nSTD = 5",
            "[mel.student] mean: found -4.5, but NORMALISE is none",
        ),
        (
            "[mel]\nFRONT_END_TEACHER = waveform\nNORMALISE = bands",
            "[mel.teacher] normalise: found 'bands', but FRONT_END = waveform has none",
        ),
        ("[augment]\nMIXUP_PROB = 0.5", "[augment] mixup_prob: found 0.5, but MIXUP_ALPHA is 0"),
        (
            "[augment]\nMIXUP_ALPHA = 0.3\nWAVE_MIXUP_PROB = 0.5",
            "[augment] wave_mixup_prob: found 0.5, but WAVE_MIXUP_ALPHA is 0",
        ),
        (
            "[augment]\nMIXSTYLE_PROB = 0.4",
            "[augment] mixstyle_prob: found 0.4, but MIXSTYLE_ALPHA is 0",
        ),
        (
            "[augment]\nIMPULSE_RESPONSE_DEVICES = a",
            "[augment] impulse_response_devices: requires IMPULSE_RESPONSES, which is empty",
        ),
        (
            "[augment]\nMASK_WITH = mean",
            "[augment] mask_with: found 'mean', but TIME_MASK_SECONDS and FREQUENCY_MASK_SHARE "
            "are 0",
        ),
        (
            "[augment]\nMIXUP_START_EPOCH = 6",
            "[augment] mixup_start_epoch: found 6, but MIXUP_ALPHA is 0",
        ),
        (
            "[quantisation]\nPRECISIONS = int8\nEPOCHS = 3",
            "[quantisation] freeze_epochs: found 4, expected at most epochs, 3",
        ),
        ("[quantisation]\nEPOCHS = 4", "[quantisation] epochs: found 4, but PRECISIONS lacks int8"),
        ("[run]\nSEEDS = ,", "[run] seeds: found none, expected one or more"),
        (
            "[run]\nDEVICE = cdua",
            "[run] device: found 'cdua'; nearest: cuda (allowed: auto, cpu, cuda, cuda:1, mps)",
        ),
        ("[run]\nNAME = ../x", "[run] name: found '../x', expected the name of one folder"),
        (
            "[run]\nTEACHER_RUN = a/b",
            "[run] teacher_run: found 'a/b', expected the name of one folder",
        ),
        ("[run]\nNAME = ..", "[run] name: found '..', expected the name of one folder"),
        (
            "[specialists]\nBATCH_SIZE = 7",
            "[specialists] batch_size: found 7, expected an even number",
        ),
        (
            "[data]\nENHANCE_LABELS = teacher",
            "[data] ontology: is empty, but ENHANCE_LABELS requires it",
        ),
        (
            "[distillation]\nTEACHER_INPUT = clean\nAUGMENTED_VIEWS = 2",
            "[distillation] teacher_input: found 'clean', which computes outputs once and "
            "excludes AUGMENTED_VIEWS",
        ),
        (
            "[distillation]\nTEACHER_INPUT = clean\nTEACHER = online",
            "[distillation] teacher_input: found 'clean', which computes outputs once and "
            "excludes TEACHER = online",
        ),
        (
            "[ensembles]\nA = 2 *",
            "[ensembles] a: found '2 *', expected a system and its weight: 2 * student/ce+kd",
        ),
        (
            "[ensembles]\nA = teacher@seeds, student/kd",
            "[ensembles] a: found 'teacher@seeds, student/kd', expected @seeds behind every "
            "member or none",
        ),
        (
            "[ensembles]\nSPECIALIST_1 = teacher",
            "[ensembles] specialist_1: is the name of a role; choose another name",
        ),
        (
            "[matrix]\nA = MODEL",
            "[matrix] a: found 'MODEL', expected KEY=VALUE KEY=VALUE, such as MODEL=ast",
        ),
        ("[matrix]\nA = MODEL=ast\nCHAINS = A > b", "[matrix] chains: found 'b' (allowed: a)"),
        (
            "[run]\nLOGGER = none, wandb",
            "[run] logger: found none, wandb, expected loggers or none",
        ),
        (
            "[augment]\nMIXUP_DOMAIN = log",
            "[augment] mixup_domain: found log, but MIXUP_ALPHA is 0",
        ),
    ],
)
def test_a_contradiction_names_where_it_lies(ini, text, message):
    assert complaint(ini, text) == f"x.ini {message}"


def test_what_looks_like_a_contradiction_and_is_none(ini):
    found = ini(
        "[mel]\nSAMPLE_RATE = 8000\nMEL_MAX_HZ_TEACHER = 4000\nMEL_MAX_HZ_STUDENT = 3800\n"
        "FFT_SIZE = 200\n"
        "[student]\nSCHEDULE = step\nSTEP_EPOCHS = 20, 40\n[run]\nDEVICE = cuda:1\n"
        "[distillation]\nTEACHER_WEIGHTS = 0.5, 0.5"
    )
    assert found.teacher_mel.mel_max_hz == 4000
    assert found.distillation.teacher_weights == (0.5, 0.5)
    for mask in ("TIME_MASK_SECONDS = 0.1", "FREQUENCY_MASK_SHARE = 0.1"):
        assert ini(f"[augment]\nMASK_WITH = mean\n{mask}").student_augment.mask_with == "mean"
    epochs = "PRECISIONS = int8\nEPOCHS = 4\nFREEZE_EPOCHS = 4"
    assert ini(f"[quantisation]\n{epochs}").quantisation.freeze_epochs == 4
    assert ini("[distillation]\nTEACHER_INPUT = clean").distillation.teacher_input == "clean"
    members = ini("[ensembles]\nA = teacher@seeds, a.safetensors").ensembles.members()
    assert members == {"a": {"teacher@seeds": 1.0, "a.safetensors": 1.0}}
    assert ini("[student]\nEPOCHS = 1000000000").student.epochs == 1e9
    assert ini("[mel]\nLOG = none\nLOG_OFFSET = 0").student_mel.log == "none"
    shortest = "SAMPLE_RATE = 8000\nMEL_MAX_HZ = 4000\nSTFT_WINDOW_LENGTH_SECONDS = 0.00025"
    assert ini(f"[mel]\n{shortest}").student_mel.stft_window_length_seconds == 0.00025
    for loggers in (("none",), ("wandb", "mlflow")):
        assert ini(f"[run]\nLOGGER = {', '.join(loggers)}").run.logger == loggers
    assert ini("[mel]\nFRONT_END = waveform\nSAMPLE_RATE = 8000").student_mel.sample_rate == 8000
    assert ini("[mel]\nFRONT_END = waveform\nNORMALISE = global").student_mel.normalise == "global"


def test_a_front_end_that_is_built_by_hand_is_checked_too():
    with pytest.raises(ConfigError, match=r"\[mel\] channels: found 3, expected 1 to 2"):
        Mel(channels=3)
    with pytest.raises(ConfigError, match=r"\[mel\] mel_max_hz: expected"):
        replace(Mel(), sample_rate=8000)
