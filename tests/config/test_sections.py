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
            "x.ini [mel] mel_max_hz: expected mel_min_hz < mel_max_hz <= sample_rate / 2, "
            "found 125, 7500 and 4000",
        ),
        (
            "[mel]\nSAMPLE_RATE_STUDENT = 8000",
            "x.ini [mel.student] mel_max_hz: expected mel_min_hz <",
        ),
        (
            "[mel.teacher]\nMEL_MIN_HZ = 7500",
            "x.ini [mel.teacher] mel_max_hz: expected mel_min_hz <",
        ),
        # 0.025 s of 16 kHz are 400 samples
        (
            "[mel]\nFFT_SIZE = 399",
            "x.ini [mel] fft_size: found 399, expected 0 or at least the window,",
        ),
        ("[mel]\nFRAMING = passt", "x.ini [mel] framing: found 'passt', but PRE_EMPHASIS is 0"),
        ("[mel]\nLOG_OFFSET_TEACHER = 0", "x.ini [mel.teacher] log_offset: digital silence has no"),
        (
            "[mel.teacher]\nLOG_FLOOR = 1e-10",
            "x.ini [mel.teacher] log_floor: found 1e-10, but LOG_OFFSET is 0.01, not 0",
        ),
        (
            "[mel.teacher]\nTOP_DB = 80",
            "x.ini [mel.teacher] top_db: found 80, but LOG is natural",
        ),
        # 0.0001 s of 4 kHz round to no sample at all
        (
            "[mel]\nSAMPLE_RATE = 4000\nMEL_MAX_HZ = 2000\nSTFT_HOP_LENGTH_SECONDS = 0.0001",
            "x.ini [mel] sample_rate: at 4000 Hz the window has 100 samples and the hop 0",
        ),
        (
            "[mel]\nNUM_BANDS_STUDENT = 20\n[mel.student]\nNUM_BANDS = 32",
            "x.ini [mel] num_bands_student: found '20', but [mel.student] num_bands is '32'",
        ),
        ("[student]\nSCHEDULE = step", "x.ini [student] step_epochs: found none, but SCHEDULE is"),
        (
            "[teacher]\nSCHEDULE = cosine\nEPOCHS = 4\nWARM_UP_EPOCHS = 5",
            "x.ini [teacher] warm_up_epochs: found 5, expected at most epochs, 4",
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
            "x.ini [augment] mixup_prob: found 0.5, but MIXUP_ALPHA is 0",
        ),
        (
            "[augment]\nMIXUP_ALPHA = 0.3\nWAVE_MIXUP_PROB = 0.5",
            "x.ini [augment] wave_mixup_prob: found 0.5, but WAVE_MIXUP_ALPHA is 0",
        ),
        (
            "[augment]\nMIXSTYLE_PROB = 0.4",
            "x.ini [augment] mixstyle_prob: found 0.4, but MIXSTYLE_ALPHA is 0",
        ),
        (
            "[augment]\nIMPULSE_RESPONSE_DEVICES = a",
            "x.ini [augment] impulse_response_devices: requires IMPULSE_RESPONSES, which is empty",
        ),
        (
            "[augment]\nMASK_WITH = mean",
            "x.ini [augment] mask_with: found 'mean', but TIME_MASK_SECONDS and "
            "FREQUENCY_MASK_SHARE are 0",
        ),
        (
            "[augment]\nMIXUP_START_EPOCH = 6",
            "x.ini [augment] mixup_start_epoch: found 6, but MIXUP_ALPHA is 0",
        ),
        (
            "[quantisation]\nPRECISIONS = int8\nEPOCHS = 3",
            "x.ini [quantisation] freeze_epochs: found 4, expected at most epochs, 3",
        ),
        (
            "[quantisation]\nEPOCHS = 4",
            "x.ini [quantisation] epochs: found 4, but PRECISIONS lacks int8",
        ),
        ("[run]\nSEEDS = ,", "x.ini [run] seeds: found none, expected one or more"),
        ("[run]\nDEVICE = cdua", "x.ini [run] device: found 'cdua'; nearest: cuda (allowed: auto,"),
        ("[run]\nNAME = ../x", "x.ini [run] name: found '../x', expected the name of one folder"),
        (
            "[run]\nTEACHER_RUN = a/b",
            "x.ini [run] teacher_run: found 'a/b', expected the name of one",
        ),
        ("[run]\nNAME = ..", "x.ini [run] name: found '..', expected the name of one folder"),
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
    for mask in ("TIME_MASK_SECONDS = 0.1", "FREQUENCY_MASK_SHARE = 0.1"):
        assert ini(f"[augment]\nMASK_WITH = mean\n{mask}").student_augment.mask_with == "mean"
    epochs = "PRECISIONS = int8\nEPOCHS = 4\nFREEZE_EPOCHS = 4"
    assert ini(f"[quantisation]\n{epochs}").quantisation.freeze_epochs == 4
    assert ini("[mel]\nFRONT_END = waveform\nSAMPLE_RATE = 8000").student_mel.sample_rate == 8000


def test_a_front_end_that_is_built_by_hand_is_checked_too():
    with pytest.raises(ConfigError, match=r"\[mel\] channels: found 3, expected 1 to 2"):
        Mel(channels=3)
    with pytest.raises(ConfigError, match=r"\[mel\] mel_max_hz: expected"):
        replace(Mel(), sample_rate=8000)
