import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import config
import make_mel
from config import ConfigError, UserError
from data.atomic_write import unfinished
from data.features import cache_writer, ffmpeg
from data.features.decode import decode
from data.features.front_end import mel_filters
from data.features.mel_cache import MelCache, cache_folder
from data.lock import InUse
from data.synthesis.scene_corpus import synthesise
from data.tables.splits import split_clips
from tests.contents import contents
from tests.data.datasets.test_audioset import write_tables

HERE = Path(make_mel.__file__).parent
CLIPS = 600
SETTINGS = """
[data]
DATASET = csv_folder
ROOT = sounds
CLIP_SECONDS = 0.25
[mel]
NUM_BANDS_TEACHER = 16
NUM_BANDS_STUDENT = 5
[teacher]
MODEL = yamnet
WIDTH_MULT = 0.1
BATCH_NORM = no
[student]
MODEL = yamnet
WIDTH_MULT = 0.1
BATCH_NORM = no
"""
# The script with small shards, so that a run has many.
SCRIPT = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
import config, make_mel

def main(*arguments):
    from data.features import cache_writer, ffmpeg
    cache_writer.SHARD_BYTES = 12_000  # 16 clips of the teacher
    make_mel.main(*arguments)

if __name__ == "__main__":
    config.run_script(main, make_mel.parser())
"""


def folder_of(place, clips, seconds=0.25):
    (place / "config.ini").write_text(SETTINGS)
    (place / "script.py").write_text(SCRIPT)
    (place / "sounds").mkdir()
    generator, lines = np.random.default_rng(0), ["filename,label,split"]
    for n in range(clips):
        samples = generator.uniform(-0.5, 0.5, round(seconds * 22_050))
        soundfile.write(place / "sounds" / f"{n:03d}.wav", samples, 22_050)
        lines.append(f"{n:03d}.wav,{'ab'[n % 2]},{'test' if n % 3 == 2 else 'train'}")
    (place / "sounds" / "clips.csv").write_text("\n".join(lines))
    return place


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return folder_of(tmp_path, 6)


def load(*overrides):
    return config.load(Path("config.ini"), ("run.workers=1", *overrides))


def make(*overrides):
    make_mel.main(make_mel.parser().parse_args([]), load(*overrides))


def differences(found, wanted):
    """A short description of the differences of two folders' contents."""
    differing = {name: "is in one alone" for name in found.keys() ^ wanted.keys()}
    for name in found.keys() & wanted.keys():
        if found[name] != wanted[name] and name.endswith(".npy"):
            pair = [np.load(io.BytesIO(data[name])).astype(np.float64) for data in (found, wanted)]
            gap = np.abs(np.subtract(*pair))
            differing[name] = (
                f"{(gap != 0).sum()} of {gap.size} values differ, by up to {gap.max():g}"
            )
        elif found[name] != wanted[name]:
            differing[name] = f"{found[name][:400]!r} is not {wanted[name][:400]!r}"
    return differing


def run(place, workers=1, launcher=()):
    """The script as a user starts it."""
    command = [sys.executable, *launcher, "script.py", "--set", f"run.workers={workers}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)


def test_both_caches_are_made_and_described(place, capsys):
    make()
    printed = capsys.readouterr().out
    for role, bands in (("teacher", 16), ("student", 5)):
        cache = MelCache.open(cache_folder(load(), role))
        assert cache.shape == (1, 23, bands)
        assert list(cache.table.frame["path"]) == [f"sounds/{n:03d}.wav" for n in range(6)]
        assert f"{cache.folder}: 6 clips of 1x23x{bands}, 0.00 h\n" in printed
    assert "6 clips read in" in printed
    assert "clips per second" in printed
    before = contents(place / "features")
    make()
    shown = capsys.readouterr().out
    assert "nothing to do: the features were already complete\n" in shown
    assert shown.endswith("\nnext: python train_teacher.py\n")
    assert contents(place / "features") == before


def plan(capsys, *overrides, arguments=("--dry-run",)):
    make_mel.main(make_mel.parser().parse_args(arguments), load(*overrides))
    return capsys.readouterr().out


def test_a_dry_run_counts_and_writes_nothing(place, capsys):
    before = contents(place)
    shown = plan(capsys)
    assert "data set  csv_folder: single_label, clips of 0.25 s" in shown
    assert "audio     sounds: all 6 recordings are there\n" in shown
    assert "clips     6: train 4, validate 0, test 2\n" in shown
    assert "labels    2: a 3, b 3\n" in shown
    folder = cache_folder(load(), "teacher")
    line = f"cache     {folder} for the teacher: 16 mel bands at 16000 Hz, 1x23x16, 736 bytes per "
    assert f"{line}clip, 4.4 kB in all; to be computed\n" in shown
    assert shown.endswith("dry run: nothing was written\n")
    assert contents(place) == before


def test_a_dry_run_finds_caches_that_are_there_and_shared(place, capsys):
    make("mel.student.num_bands=16")
    before = contents(place)
    capsys.readouterr()
    shown = plan(capsys, "mel.student.num_bands=16")
    assert shown.count("\ncache ") == 1
    assert " for the teacher and student: " in shown
    assert "; 6 clips are already there\n" in shown
    assert contents(place) == before
    table = place / "sounds" / "clips.csv"
    whole = table.read_text()
    table.write_text(whole.replace("003.wav,b,train\n", ""))
    shown = plan(capsys, "mel.student.num_bands=16")
    assert ", 3.7 kB in all; to be computed\n" in shown
    table.write_text(whole.replace("003.wav,b", "003.wav,a"))  # labels are read again in any case
    assert "; 6 clips are already there\n" in plan(capsys, "mel.student.num_bands=16")


def test_a_dry_run_names_what_is_missing(place, capsys):
    (place / "sounds" / "003.wav").unlink()
    assert "1 of 6 recordings are missing, such as sounds/003.wav" in plan(capsys)
    chosen = "data.dataset=esc10", "data.root="
    shown = plan(capsys, *chosen)
    assert "audio/esc10: no such folder; to get it: python make_mel.py --download" in shown
    assert "clips     400 of 5 s" in shown
    shown = plan(capsys, *chosen, arguments=("--dry-run", "--download"))
    assert "no such folder; --download fetches it" in shown
    assert "make_mel.py synthesises it" in plan(capsys, "data.dataset=street_sounds", "data.root=")
    assert not (place / "audio").exists()


def test_half_written_files_of_a_killed_run_go(place):
    make()
    whole = contents(place / "features")
    folder = cache_folder(load(), "student")
    folder.joinpath("front_end.json").unlink()
    for name in ("shard_00000.json", "front_end.json", "bad_clips.csv"):
        unfinished(folder / name, pid=7).write_text("ha")
    make()
    assert differences(contents(place / "features"), whole) == {}


def test_labels_that_are_edited_later_are_noticed_and_followed(place, capsys):
    make()
    folder, table = cache_folder(load(), "student"), place / "sounds" / "clips.csv"
    os.utime(table, (1, 1))
    MelCache.open(folder).check()
    text = table.read_text()
    table.write_text(text.replace("003.wav,b,train", "003.wav,a,test"))
    assert table.read_text() != text
    changed = r"^sounds/clips\.csv: changed since the features were computed; run make_mel\.py"
    with pytest.raises(UserError, match=changed):
        MelCache.open(folder).check()
    before = {path: path.stat().st_mtime_ns for path in folder.glob("shard_*")}
    capsys.readouterr()
    make()
    assert "\nlabels read again; the features were complete\n" in capsys.readouterr().out
    cache = MelCache.open(folder)
    cache.check()
    assert cache.table.frame.loc["003.wav", "split"] == "test"
    assert {path: path.stat().st_mtime_ns for path in folder.glob("shard_*")} == before


def flipped(content):
    return bytes([*content[:-9], content[-9] ^ 1, *content[-8:]])


@pytest.mark.parametrize("damaged", [lambda _: b"", lambda content: content[:-1], flipped])
def test_damaged_files_of_a_cache_are_made_anew(place, capsys, damaged):
    make()
    whole = contents(place / "features")
    for name in whole:
        (place / "features" / name).write_bytes(damaged(whole[name]))
    make()
    assert contents(place / "features") == whole
    shard = next((place / "features").rglob("*.npy"))
    shard.write_bytes(flipped(shard.read_bytes()))
    make()
    assert contents(place / "features") == whole
    shown = f"{shard.relative_to(place)}: changed or damaged, its checksum is wrong; it is computed"
    assert shown in capsys.readouterr().out


def test_one_cache_serves_roles_with_the_same_front_end(place):
    make("mel.student.num_bands=16")
    assert len(list((place / "features" / "csv_folder").iterdir())) == 1


def test_every_bad_file_is_listed_and_fixing_them_is_enough(place, capsys):
    whole = {n: (place / "sounds" / f"{n:03d}.wav").read_bytes() for n in (1, 2, 3, 4)}
    (place / "sounds" / "001.wav").unlink()
    (place / "sounds" / "002.wav").write_bytes(b"")
    (place / "sounds" / "003.wav").write_text("not a sound")
    (place / "sounds" / "004.wav").write_bytes(whole[4][:-1000])
    with pytest.raises(UserError) as caught:
        make()
    message = str(caught.value)
    assert message.startswith("4 of 6 clips cannot be read:")
    for line in (
        "001.wav: no such file (sounds/001.wav)",
        "002.wav: the file is empty (0 bytes)",
        "003.wav: not readable as audio",
        "004.wav: cut short: the header promises",
    ):
        assert line in message
    for role in ("teacher", "student"):
        folder = cache_folder(load(), role)
        assert f"{folder}/bad_clips.csv" in message
        assert len((folder / "bad_clips.csv").read_text().splitlines()) == 5
        with pytest.raises(UserError, match="run make_mel.py"):
            MelCache.open(folder)
    for n, content in whole.items():
        (place / "sounds" / f"{n:03d}.wav").write_bytes(content)
    make()
    cache = MelCache.open(cache_folder(load(), "student"))
    assert len(cache) == 6
    assert (cache.folder / "bad_clips.csv").read_text().splitlines() == ["id,path,reason"]


def test_many_missing_recordings_are_counted_before_any_is_read(place, monkeypatch):
    lines = "".join(f"\nlost_{n:02d}.wav,a,train" for n in range(25))
    with (place / "sounds" / "clips.csv").open("a") as file:
        file.write(lines)
    with monkeypatch.context() as patched:
        patched.setattr("data.features.extract.extract", None)  # what would read them
        with pytest.raises(UserError) as caught:
            make()
    message = str(caught.value)
    assert message.startswith("25 of 31 clips cannot be read:\n  lost_00.wav: no such file (")
    assert "\n  lost_19.wav: no such file (sounds/lost_19.wav)\n  … and 5 more\n" in message
    listed = (cache_folder(load(), "teacher") / "bad_clips.csv").read_text().splitlines()
    assert len(listed) == 26
    make("data.on_bad_audio=skip")
    assert len(MelCache.open(cache_folder(load(), "student"))) == 6


@pytest.fixture
def scenes(tmp_path, monkeypatch):
    """street_scenes of 0.6 s, as tau_scenes finds them."""
    monkeypatch.chdir(tmp_path)
    short = {"train_places": 1, "test_places": 1, "segments": 1, "seconds": 0.6}
    synthesise(tmp_path / "audio" / "tau_scenes", workers=1, **short)
    (tmp_path / "config.ini").write_text(STEREO)
    return tmp_path


STEREO = """
[data]
DATASET = tau_scenes
CLIP_SECONDS = 0.6
[mel]
SAMPLE_RATE = 48000
CHANNELS = 2
PRE_EMPHASIS = 0.97
[mel.teacher]
NUM_BANDS = 256
STFT_WINDOW_LENGTH_SECONDS = 0.1
STFT_HOP_LENGTH_SECONDS = 0.04
FFT_SIZE = 4800
MEL_MIN_HZ = 0
MEL_MAX_HZ = 24000
[mel.student]
FRONT_END = waveform
[student]
MODEL = raw_resnet
WIDTH_MULT = 0.1
"""


def test_stereo_waveforms_and_wide_mels_of_scenes_are_cached_as_they_are(scenes):
    make()
    mel = MelCache.open(cache_folder(load(), "teacher"))
    wave = MelCache.open(cache_folder(load(), "student"))
    assert (mel.shape, wave.shape) == ((2, 13, 256), (2, 28_800))
    assert list(mel.table.columns["device"][:2]) == ["a", "a"]
    for row in (0, 7, 19):
        samples = decode(Path(wave.table.frame["path"].iloc[row]), 48_000, 2)
        wanted = samples.copy()
        wanted[:, 1:] -= np.float32(0.97) * samples[:, :-1]
        found = wave.gather(np.array([row]))[0].float().numpy()
        # float16: eleven bits of the value, so that quiet recordings lose no more than loud ones.
        np.testing.assert_allclose(found, wanted, rtol=2**-11, atol=2**-24)
        windows = np.lib.stride_tricks.sliding_window_view(wanted[1], 4800)[::1920]
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(4800) / 4800)
        spectrum = np.abs(np.fft.rfft(windows * hann))
        logs = np.log(spectrum @ mel_filters(load().teacher_mel, 4800) + 0.01)
        np.testing.assert_allclose(mel.gather(np.array([row]))[0, 1], logs, atol=4e-3)


def test_a_mono_recording_is_bad_in_a_stereo_data_set(scenes, monkeypatch):
    path = min((scenes / "audio" / "tau_scenes" / "audio").iterdir())
    samples, rate = soundfile.read(path)
    soundfile.write(path, samples[:, 0], rate)
    wrong = f"1 of 20 clips cannot be read:\n  {path.name}: it is mono, this data set is stereo and"
    with pytest.raises(UserError, match=wrong):
        make()
    make("mel.channels=1")  # mixed down to mono, one channel is as good as two
    assert MelCache.open(cache_folder(load("mel.channels=1"), "student")).shape == (1, 28_800)
    make("data.on_bad_audio=skip")
    assert len(MelCache.open(cache_folder(load(), "student"))) == 19


def test_bad_files_are_left_out_on_request(place, capsys):
    (place / "sounds" / "003.wav").write_text("not a sound")
    make("data.on_bad_audio=skip")
    assert capsys.readouterr().out.count("5 clips of 1x23x") == 2
    cache = MelCache.open(cache_folder(load(), "teacher"))
    assert "003.wav" not in cache.table.ids
    assert "003.wav,sounds/003.wav,not readable" in (cache.folder / "bad_clips.csv").read_text()
    make("data.on_bad_audio=skip")
    assert "1 left out, see bad_clips.csv\nnothing to do" in capsys.readouterr().out


def test_clips_that_were_left_out_are_read_once_pyav_is_installed(place, capsys, monkeypatch):
    pytest.importorskip("av")
    from tests.data.features.containers import encode, noise

    monkeypatch.setattr(ffmpeg, "idle", {})
    encode(place / "sounds" / "003.m4a", "aac", noise())
    table = place / "sounds" / "clips.csv"
    table.write_text(table.read_text().replace("003.wav", "003.m4a"))
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "av", None)  # not installed
        make("data.on_bad_audio=skip")
        assert "requirements-av.txt" in next(place.rglob("bad_clips.csv")).read_text()
        make("data.on_bad_audio=skip")
        assert "1 left out, see bad_clips.csv\nnothing to do" in capsys.readouterr().out
    make("data.on_bad_audio=skip")
    assert capsys.readouterr().out.count("6 clips of 1x23x") == 2


def test_a_96_khz_stereo_flac_and_a_clip_of_10_ms_are_clips_like_any_other(place):
    generator = np.random.default_rng(1)
    noise = generator.uniform(-0.5, 0.5, (24_000, 2))
    soundfile.write(place / "sounds" / "x.flac", noise, 96_000, subtype="PCM_24")
    soundfile.write(place / "sounds" / "y.wav", noise[:960], 96_000)
    with (place / "sounds" / "clips.csv").open("a") as file:
        file.write("\nx.flac,a,train\ny.wav,b,train")
    make()
    assert list(MelCache.open(cache_folder(load(), "teacher")).table.ids)[-2:] == [
        "x.flac",
        "y.wav",
    ]


def test_a_share_of_audioset_is_counted_and_used(place):
    """Of five clips three; the names of its classes have commas and quotes."""
    write_tables(place / "audioset")
    for name in ("Y--PJHxphWEs.wav", "deep/--ZhevVpy1s_50.000.flac", "-0RWZT-miFs_420000.wav"):
        path = place / "audioset" / name
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.full(2_000, 0.1), 16_000)
    chosen = "data.dataset=audioset", "data.root=audioset", "data.hold_out=0"
    with pytest.warns(UserWarning, match=r"2 of 3 of balanced_train.* \(66.7%\), 1 of 2 of eval"):
        make(*chosen)
    table = MelCache.open(cache_folder(load(*chosen), "student")).table
    assert list(table.ids) == ["--PJHxphWEs", "--ZhevVpy1s", "-0RWZT-miFs"]
    assert table.classes[1:3] == ("Male speech, man speaking", 'a "quoted" sound')
    assert table.targets[:].argmax(axis=1).tolist() == [0, 1, 3]
    found = split_clips(table, 0, "held_out", 0.5)
    assert sorted([*found.train, *found.validation]) == [0, 1]
    assert found.test.tolist() == [2]


@pytest.mark.parametrize("name", ["fsd50k", "audioset"])
def test_the_message_about_a_missing_public_set_names_the_fix(place, name):
    chosen = f"data.dataset={name}", "data.root="
    with pytest.raises(UserError, match=rf"audio/{name}: no such folder; .* with --download"):
        make(*chosen)
    (place / "audio" / name).mkdir(parents=True)
    with pytest.raises(UserError, match=rf"audio/{name}: no .*run make_mel.py with --download"):
        make(*chosen)


def test_a_missing_root_is_named(place):
    with pytest.raises(UserError, match=r"nowhere: no such folder; set \[data\] ROOT"):
        make("data.root=nowhere")


def test_a_clip_shorter_than_a_frame_is_a_contradiction(place):
    with pytest.raises(ConfigError, match=r"\[data\] clip_seconds: 0.01 s do not hold one"):
        make("data.clip_seconds=0.01")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("student.model=yamnt", r"\[student\] model: found 'yamnt'; nearest: yamnet"),
        ("student.width=2", r"\[student\] width: .*nearest: width_mult"),
        ("student.depth=99", r"\[student\] yamnet depth: found 99, expected at most"),
        ("teacher.batch_norm=yes", r"\[teacher\] yamnet: requires at least 33 frames or bands"),
        ("coefficients.sq=3", "nearest: sp"),
        (
            "distillation.variants=ce, bce",
            "found 'bce', but the data set is single-label: write ce",
        ),
        ("data.task=multi_label", r"undefined on the 1 validation clips \(held-out"),
        ("distillation.variants=", None),
        ("distillation.variants=kd@fusion", "found 'fusion'"),
        ("teacher.losses=bce", r"\[teacher\] losses: found 'bce', .* write ce"),
        ("augment.crop_seconds=12", "crop_seconds: found 12, but a clip is 0.25 s long"),
        ("augment.impulse_responses=nowhere", "nowhere is not a folder"),
        ("data.folds=3", r"\[data\] folds: found 3; the data set has none"),
        ("data.hold_out=0.5", None),
    ],
)
def test_the_whole_configuration_is_checked_before_the_work(place, monkeypatch, override, message):
    if message is None:
        make(override)
        return
    monkeypatch.setattr("data.features.extract.extract", None)  # what would read recordings
    with pytest.raises(UserError, match=message):
        make(override)
    assert not (place / "features").exists()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["000.wav,a,test,0.1"], "the recording 'sounds/000.wav' is in both the training and the"),
        (["sub/../000.wav,a,test,0.1"], "the recording 'sounds/000.wav' is in both the training"),
        (["000.wav,a,test,0"], "clip '000.wav' is in the table already"),
    ],
)
def test_the_splits_are_checked_before_the_work(place, monkeypatch, lines, message):
    table = place / "sounds" / "clips.csv"
    first, *others = table.read_text().splitlines()
    lines = [f"{first},start_seconds", *(f"{line}," for line in others), *lines]
    table.write_text("\n".join(lines))
    monkeypatch.setattr("data.features.extract.extract", None)
    with pytest.raises(UserError, match=message):
        make()
    assert not (place / "features").exists()


def test_what_is_doubtful_is_a_warning(place, capsys):
    with (place / "sounds" / "clips.csv").open("a") as file:
        file.write("\n005.wav,A,test,7\n".replace(",7", ""))
    table = place / "sounds" / "clips.csv"
    table.write_text(table.read_text().replace("005.wav,b,test\n", ""))
    make()
    shown = capsys.readouterr().err
    assert "warning: the classes 'A' and 'a' differ in case or spaces alone\n" in shown
    assert "warning: no training clip has the label 'A'\n" in shown


def test_splits_without_test_clips_are_found_before_the_work(place, monkeypatch):
    table = place / "sounds" / "clips.csv"
    table.write_text(table.read_text().replace(",test", ",train"))
    monkeypatch.setattr("data.features.extract.extract", None)
    with pytest.raises(UserError, match="no test clips: none has the split test or val"):
        make()


def test_help_answers_before_torch_is_imported(tmp_path):
    check = f"""
import sys, runpy
sys.path.insert(0, {str(HERE)!r})
sys.argv = ["make_mel.py", "--help"]
try:
    runpy.run_path({str(HERE / "make_mel.py")!r}, run_name="__main__")
finally:
    heavy = {{"torch", "numpy", "pandas", "soundfile"}} & set(sys.modules)
    assert not heavy, heavy
"""
    ended = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "--download" in ended.stdout


# As a user starts it ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A folder of recordings and the bytes of an uninterrupted run of one process."""
    place = folder_of(tmp_path_factory.mktemp("whole"), CLIPS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr(cache_writer, "SHARD_BYTES", 12_000)
        make()
    features = contents(place / "features")
    assert sum(name.endswith(".npy") for name in features) == 38 + 19
    return place, features


def fresh(uninterrupted, tmp_path):
    """The same recordings, and no features."""
    for name in ("sounds", "config.ini", "script.py"):
        (tmp_path / name).symlink_to(uninterrupted[0] / name)
    return tmp_path


def running(group):
    """Processes of a group that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state not in "ZX":
            found.append(stat.parent.name)
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_a_killed_run_is_resumed_to_the_same_bytes(uninterrupted, tmp_path, monkeypatch):
    place = fresh(uninterrupted, tmp_path)
    command = [sys.executable, "script.py", "--set", "run.workers=2"]
    process = subprocess.Popen(
        command, cwd=place, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while len(list(place.rglob("shard_*.json"))) < 5:
        assert process.poll() is None
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGSTOP)  # or it is ready before it can be in use
    monkeypatch.chdir(place)
    with pytest.raises(InUse, match=f"in use by process {process.pid} on ") as refused:
        make()
    assert refused.value.exit_status == 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    os.killpg(process.pid, signal.SIGCONT)
    assert not list(place.rglob("front_end.json"))
    finished = {path: path.stat().st_mtime_ns for path in place.rglob("shard_*.json")}
    deadline = time.monotonic() + 30
    while running(process.pid):  # its workers end by themselves
        assert time.monotonic() < deadline
        time.sleep(0.05)
    ended = run(place, workers=2)
    assert ended.returncode == 0, ended.stderr
    assert differences(contents(place / "features"), uninterrupted[1]) == {}
    assert all(path.stat().st_mtime_ns == written for path, written in finished.items())


def test_two_processes_share_the_shards(uninterrupted, tmp_path):
    place = fresh(uninterrupted, tmp_path)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    ended = run(place, launcher=launcher)
    assert ended.returncode == 0, ended.stderr
    assert differences(contents(place / "features"), uninterrupted[1]) == {}
    assert ended.stdout.count(f"{CLIPS} clips read in") == 1


def test_bad_audio_ends_with_status_1_and_no_traceback(tmp_path):
    place = folder_of(tmp_path, 40)
    (place / "sounds" / "003.wav").write_text("not a sound")
    (place / "sounds" / "039.wav").unlink()
    ended = run(place)
    assert ended.returncode == 1
    assert "script.py: 2 of 40 clips cannot be read:" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(list(place.rglob("shard_*.json"))) == 1  # the middle third of the teacher's


def test_an_empty_folder_of_a_class_is_one_line(tmp_path):
    place = folder_of(tmp_path, 0)
    for name in ("a/0.wav", "a/1.wav", "b/0.wav", "b/1.wav", "c/notes.txt"):
        (place / "sounds" / name).parent.mkdir(exist_ok=True)
        soundfile.write(place / "sounds" / name, np.zeros(4000), 16_000, format="WAV")
    settings = SETTINGS.replace("csv_folder", "folder").replace("[mel]", "HOLD_OUT = 0\n[mel]")
    (place / "config.ini").write_text(settings)
    ended = run(place)
    assert ended.returncode == 0, ended.stderr
    assert "warning: sounds: no recordings in c\n" in ended.stderr
    assert "UserWarning" not in ended.stderr


def test_a_recording_outside_the_root_is_refused_unless_allowed(tmp_path):
    (tmp_path / "root").mkdir()
    for name in ("secret.wav", "root/own.wav"):
        soundfile.write(tmp_path / name, np.zeros(800), 8000)
    rows = "filename,label,split\n../secret.wav,dog,train\nown.wav,dog,test\n"
    (tmp_path / "root/clips.csv").write_text(rows)
    chosen = f"[data]\nDATASET = csv_folder\nROOT = {tmp_path}/root\nHOLD_OUT = 0\n"
    (tmp_path / "config.ini").write_text(chosen)

    def clips(*overrides):
        return make_mel.read_clips(config.load(tmp_path / "config.ini", overrides), False, 0, 1)

    with pytest.raises(UserError, match=r"root/\.\./secret\.wav: outside .*root, the folder"):
        clips()
    assert len(clips("data.outside_root=allow")[0].table) == 2
