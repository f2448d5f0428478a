"""tau_scenes with REASSEMBLE: trained on clips cut out of recordings, evaluated on the slices."""

from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import config
import make_mel
import train_student
import train_teacher
from config import ConfigError
from data.features.front_end import FrontEnd
from data.features.mel_cache import MelCache, cache_folder, recordings_folder
from tests.data.datasets.test_tau_scenes import row, write
from training.experiment import Experiment
from training.fold import open_fold
from training.inputs import build_batches, build_replay
from training.role import STUDENT, TEACHER, Role
from training.stages import train_students, train_teachers
from training.steps import OnlineTeacher
from training.teacher_cache import CachedTeacher
from training.teachers import build_teacher, read_teacher

RATE, HOP = 8000, 80
TRAIN = [("bus", "lyon-1", 1, "a"), ("tram", "oslo-2", 2, "a"), ("tram", "oslo-2", 2, "s1")]
TEST = [("bus", "rome-3", 3, "a"), ("tram", "kyiv-4", 4, "s4")]
SETTINGS = f"""
[data]
DATASET = tau_scenes
EDITION = 2022_mobile
REASSEMBLE = yes
HOLD_OUT = 0
[mel]
SAMPLE_RATE = {RATE}
MEL_MAX_HZ = 4000
NUM_BANDS_TEACHER = 16
NUM_BANDS_STUDENT = 12
NORMALISE = bands
[teacher]
MODEL = dcase_small
WIDTH_MULT = 0.25
EPOCHS = 1
[student]
MODEL = dcase_small
WIDTH_MULT = 0.25
EPOCHS = 2
[augment]
MIXUP_ALPHA = 0.3
TIME_MASK_SECONDS = 0.2
[distillation]
VARIANTS = ce+kd
TEACHER = cached
AUGMENTED_VIEWS = 2
[run]
DEVICE = cpu
WORKERS = 1
"""
PLAIN = ("augment.mixup_alpha=0", "augment.time_mask_seconds=0")
ONLINE = ("distillation.augmented_views=0", "distillation.teacher=online")


def load(*overrides):
    return config.load(Path("config.ini"), overrides)


def run(script, *overrides):
    flags = ("--download", ""), ("--dry-run", ""), ("--overwrite", ""), ("--study", "")
    script.main(config.script_parser("", *flags).parse_args([]), load(*overrides))


def sweep(number):
    """Ten seconds, in each of which another range of the spectrum sounds."""
    seconds = np.arange(10 * RATE) / RATE
    noise = 0.05 * np.random.default_rng(number).standard_normal(len(seconds))
    return 0.4 * np.sin(2 * np.pi * (200 + 160 * seconds) * seconds) + noise


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Three recordings to train on and two to test on, after the three scripts."""
    folder = tmp_path_factory.mktemp("reassembled")
    root, segments = folder / "audio/tau_scenes", TRAIN + TEST
    rows = [row(*segment, part) for segment in segments for part in range(10)]
    write(root, rows, range(30), range(30, 50))
    for number, segment in enumerate(segments):
        for part, second in enumerate(np.split(sweep(number), 10)):
            soundfile.write(root / row(*segment, part).partition("\t")[0], second, RATE)
    (folder / "config.ini").write_text(SETTINGS)
    with chdir(folder):
        for script in (make_mel, train_teacher, train_student):
            run(script)
        yield folder


def recording_of(number):
    """A recording on the disk, slice by slice."""
    segment, root = TRAIN[number], Path("audio/tau_scenes")
    parts = [root / row(*segment, part).partition("\t")[0] for part in range(10)]
    return np.concatenate([soundfile.read(part, dtype="float32")[0] for part in parts])


def test_a_second_cache_contains_the_full_training_recordings(place, capsys):
    for role, bands in (("teacher", 16), ("student", 12)):
        slices = MelCache.open(cache_folder(load(), role))
        full = MelCache.open(recordings_folder(load(), role))
        assert (len(slices), slices.shape) == (50, (1, 98, bands))
        assert (len(full), full.shape) == (3, (1, 998, bands))
        names = ["bus-lyon-1-1-a", "tram-oslo-2-2-a", "tram-oslo-2-2-s1"]
        assert full.table.ids[:].tolist() == names
        front_end = FrontEnd(load().mel_of(role))
        mels = front_end(torch.from_numpy(np.stack([recording_of(k) for k in range(3)]))[:, None])
        torch.testing.assert_close(full.read_all().float(), mels, rtol=2e-3, atol=2e-3)
    run(make_mel)
    printed = capsys.readouterr().out
    assert f"{full.folder}: 3 clips of 1x998x12, 0.01 h\n" in printed
    assert printed.endswith("already complete\nnext: python train_teacher.py\n")
    audio = Path("audio/tau_scenes/audio/tram-oslo-2-2-9-a.wav")
    audio.write_bytes(audio.read_bytes())  # another modification time makes it another file
    run(make_mel)
    printed = capsys.readouterr().out
    assert "50 clips read in" in printed
    assert "3 clips read in" in printed


def test_training_crops_straddle_slices_and_evaluation_takes_the_slices(place):
    found = open_fold(Experiment.open(load(*PLAIN, *ONLINE), "teacher", "student"), 0)
    recording = found.table.columns["recording"][:].tolist()
    names = sorted(set(recording) - {""})
    for role in ("teacher", "student"):
        view, front_end = found.features[role], FrontEnd(found.config.mel_of(role))
        batches = [
            b for e in range(2) for b in build_batches(found, Role(role), 0, [role]).epoch(e)
        ]
        rows = torch.cat([batch.rows for batch in batches])
        assert sorted(rows[:30].tolist()) == found.split.train.tolist(), "each slice once an epoch"
        crops = torch.cat([batch.inputs[role] for batch in batches]) * view.std + view.mean
        assert crops.shape[1:] == view.shape == (1, 98, front_end.settings.num_bands)
        starts = []
        for own, crop in zip(rows.tolist(), crops, strict=True):
            wave = torch.from_numpy(recording_of(names.index(recording[own])))
            full = front_end(wave[None, None])[0]
            (start,) = torch.isclose(full, crop[:, :1], rtol=1e-2, atol=1e-2).all(2)[0].nonzero()
            cut = wave[start * HOP :][:RATE]
            mel = front_end(cut[None, None])[0]
            torch.testing.assert_close(crop, mel, rtol=2e-3, atol=2e-3)
            starts.append(int(start))
        assert sum(start % 100 > 2 for start in starts) > 50, "frames of two slices"
        assert min(starts) < 100
        assert max(starts) > 800
        plain = MelCache.open(cache_folder(found.config, role)).read_all().float()
        scaled = (plain - view.mean) / view.std
        assert torch.equal(view[torch.arange(50)], scaled)


def test_untrained_models_predict_the_same_without_the_option(place):
    predictions = {}
    for reassemble in ("yes", "no"):
        untrained = "teacher.epochs=0", "student.epochs=0", f"run.name={reassemble}", *ONLINE
        settings = load(*untrained, f"data.reassemble={reassemble}")
        if reassemble == "no":
            run(make_mel, "data.reassemble=no")
        train_teachers(settings)
        train_students(settings)
        files = sorted(Path("runs", reassemble).rglob("predictions.csv"))
        predictions[reassemble] = [path.read_bytes() for path in files]
    assert len(predictions["yes"]) == 2
    assert predictions["yes"] == predictions["no"]


def test_cached_outputs_are_those_of_the_replayed_crops(place):
    found = open_fold(Experiment.open(load(), "teacher", "student"), 0)
    replay = build_replay(found, 0)
    cached = build_teacher(found, TEACHER, 0, "ce+kd", replay, lambda model: model)
    assert isinstance(cached, CachedTeacher)
    online = OnlineTeacher(read_teacher(found, TEACHER, 0))
    for epoch in range(2):
        for batch in build_batches(found, STUDENT, 0, ("teacher", "student"), replay).epoch(epoch):
            wanted = online.outputs(batch)["logits"]
            torch.testing.assert_close(cached.outputs(batch)["logits"], wanted)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            (*ONLINE, "distillation.teacher=auto", "distillation.teacher_input=clean"),
            "teacher_input: found 'clean', but .data. REASSEMBLE crops the student",
        ),
        (
            (*PLAIN, "distillation.augmented_views=0"),
            "'cached', but .* REASSEMBLE changes each clip in every",
        ),
        (("data.clip_seconds=12",), r"\[data\] clip_seconds: found 12, but a recording is 10 s"),
    ],
)
def test_settings_that_do_not_fit_are_errors_before_any_cache_is_read(place, settings, message):
    with pytest.raises(ConfigError, match=message):
        Experiment.open(load("data.root=nowhere", *settings), "teacher", "student")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.on_bad_audio=skip", "on_bad_audio: found 'skip', but REASSEMBLE requires every"),
        ("data.edition=2019", "reassemble: found yes, but the recordings of edition 2019 are not"),
        ("data.dataset=street_scenes", "edition: street_scenes has no such key"),
    ],
)
def test_make_mel_rejects_data_that_cannot_be_reassembled(place, setting, message):
    with pytest.raises(ConfigError, match=rf"\[data\] {message}"):
        run(make_mel, setting)
