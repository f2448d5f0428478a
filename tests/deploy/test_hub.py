"""Upload to a Hugging Face Hub on this machine, and download from it."""

import json
import subprocess
import sys

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from config import ConfigError, UserError
from deploy import Student
from deploy.hub import ADDRESS, check_repository, licence_identifier, local_path, push
from tests.deploy.hub_server import COMMIT
from tests.deploy.stand_in import DESCRIPTION, make_student
from tests.scripts import ROOT, environment

NAMES = st.text("aB1-_.", min_size=1)
ROWS = [
    {"precision": "PyTorch", "weight_bytes": 16, "score": 0.75},
    {"precision": "float32", "file_bytes": 900, "score": 0.75},
    {"precision": "int8", "file_bytes": 700, "score": 0.5},
]


@pytest.fixture
def exported(tmp_path):
    """What an export leaves, below the folder of a training."""
    folder = tmp_path / "fold_0"
    folder.mkdir()
    for name in ("float32", "int8", "of_an_earlier_export"):
        make_student(folder / f"{name}.onnx", name=name)
    about = DESCRIPTION | {"metric": "micro_auprc", "clips": 7, "licence": "Levels, CC BY-NC 3.0"}
    (folder / "budget.json").write_text(json.dumps(about | {"budget": ROWS}))
    (folder / "MODEL_CARD.md").write_text("# The card\n")
    (folder / "weights.safetensors").write_text("not exported")
    return folder


def test_an_export_is_uploaded_as_one_commit(hub, exported):
    assert push(exported, "owner/street") == f"{hub.address}/owner/street"
    assert hub.commits == ["stand-in seed 0"]
    assert "Bearer hf_test" in hub.tokens["127.0.0.1"]
    assert hub.tokens["localhost"] == {None}
    received = hub.repositories["owner/street"]
    readme = received.pop("README.md").decode()
    names = ("float32.onnx", "int8.onnx", "budget.json")
    assert received == {name: (exported / name).read_bytes() for name in names}
    _, metadata, card = readme.split("---\n")
    assert card == "\n# The card\n"
    found = yaml.safe_load(metadata)
    (model,) = found.pop("model-index")
    assert found == {
        "license": "cc-by-nc-3.0",
        "library_name": "soundstill",
        "pipeline_tag": "audio-classification",
        "tags": ["onnx", "level"],
    }
    (result,) = model["results"]
    assert model["name"] == "stand-in seed 0"
    assert result["task"] == {"type": "audio-classification"}
    assert result["dataset"] == {"type": "levels", "name": "levels", "split": "test"}
    assert result["metrics"] == [
        {"type": "micro_auprc", "name": "micro_auprc of float32.onnx", "value": 0.75},
        {"type": "micro_auprc", "name": "micro_auprc of int8.onnx", "value": 0.5},
    ]


def test_a_second_upload_replaces_the_files_of_the_first(hub, exported):
    push(exported, "owner/street")
    (exported / "MODEL_CARD.md").write_text("# Another card\n")
    push(exported, "owner/street")
    assert len(hub.commits) == 2
    assert hub.repositories["owner/street"]["README.md"].endswith(b"# Another card\n")


def test_without_scores_and_a_known_licence_the_metadata_have_neither(hub, exported):
    about = DESCRIPTION | {"metric": "micro_auprc", "clips": 0}
    rows = [{"precision": "float32", "file_bytes": 900}]
    (exported / "budget.json").write_text(json.dumps(about | {"budget": rows}))
    push(exported, "owner/street")
    received = hub.repositories["owner/street"]
    assert set(received) == {"README.md", "budget.json", "float32.onnx"}
    found = yaml.safe_load(received["README.md"].decode().split("---\n")[1])
    assert not {"license", "model-index"} & found.keys()


@pytest.mark.parametrize(
    ("licence", "identifier"),
    [
        ("ESC-50 (K. J. Piczak), CC BY-NC 3.0", "cc-by-nc-3.0"),
        ("SONYC-UST, CC BY 4.0", "cc-by-4.0"),
        ("ESC-10 (K. J. Piczak), CC BY", None),  # without a version
        ("FSD50K, CC BY 4.0; each clip its own, some of them non-commercial", None),
        ("the user's own recordings", None),
    ],
)
def test_the_licence_is_that_of_the_recordings_if_the_hub_knows_it(licence, identifier):
    assert licence_identifier(licence) == identifier


@pytest.mark.parametrize("revision", ["", "@v1", f"@{COMMIT}"])
def test_one_file_is_downloaded_once(hub, tmp_path, revision):
    student = make_student(tmp_path / "student.onnx")
    hub.repositories["owner/street"] = {"deep/a.onnx": student.read_bytes(), "b.py": b"raise"}
    address = f"hf://owner/street{revision}/deep/a.onnx"
    path = local_path(address)
    assert path.read_bytes() == student.read_bytes()
    assert local_path(address) == path
    downloads = [request for request in hub.requests if request.startswith("GET /lfs/")]
    assert len(downloads) == 1
    assert not any("b.py" in request for request in hub.requests)
    assert Student(address).description == Student(student).description


def test_a_downloaded_file_is_there_without_the_hub(hub, tmp_path):
    hub.repositories["owner/street"] = {"a.onnx": b"the content"}
    before = local_path("hf://owner/street/a.onnx")
    hub.failure = 503
    assert local_path("hf://owner/street/a.onnx") == before


def test_another_path_is_itself(tmp_path):
    assert local_path(tmp_path / "a.onnx") == tmp_path / "a.onnx"
    assert str(local_path("hf/a.onnx")) == "hf/a.onnx"


@given(owner=NAMES, name=NAMES, revision=st.none() | NAMES, file=st.lists(NAMES, min_size=1))
def test_an_address_has_an_owner_a_name_a_revision_and_a_file(owner, name, revision, file):
    at = f"@{revision}" if revision else ""
    found = ADDRESS.fullmatch(f"hf://{owner}/{name}{at}/{'/'.join(file)}")
    assert found.groups() == (f"{owner}/{name}", revision, "/".join(file))


@pytest.mark.parametrize(
    "address", ["hf://", "hf://owner", "hf://owner/a.onnx", "hf://o/n@/a.onnx"]
)
def test_an_address_of_another_form_is_refused(address):
    with pytest.raises(ConfigError, match=r"expected hf://OWNER/NAME/FILE\.onnx or hf://") as found:
        local_path(address)
    assert str(found.value).startswith(f"{address}: ")


def one_line(error):
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("hf://owner/gone/a.onnx", "no such repository, or no access to it; run `hf auth login`"),
        ("hf://owner/street/gone.onnx", "no such repository, revision or file"),
        ("hf://owner/street@v9/a.onnx", "no such repository, revision or file"),
        ("hf://owner/street/../../a.onnx", "'..'"),
        ("hf://ow--ner/street/a.onnx", "Cannot have -- or .. in repo_id"),
    ],
)
def test_what_cannot_be_downloaded_is_named(hub, address, reason):
    hub.repositories["owner/street"] = {"a.onnx": b"the content"}
    with pytest.raises(UserError) as error:
        local_path(address)
    assert one_line(error).startswith(f"{address}: ")
    assert reason in one_line(error)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "no such repository, or no access to it; run `hf auth login` or set HF_TOKEN"),
        (403, "the token has no permission for this"),
        (500, "500 Internal Server Error"),
    ],
)
def test_a_refused_upload_leaves_the_export(hub, exported, status, reason):
    before = sorted(exported.iterdir())
    hub.failure = status
    with pytest.raises(UserError) as error:
        push(exported, "owner/street")
    assert one_line(error).startswith("owner/street: ")
    assert reason in one_line(error)
    assert sorted(exported.iterdir()) == before


def test_without_a_network_both_are_one_line(hub, exported, monkeypatch):
    """On a port where no server is."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # before it connects again
    constants = sys.modules["huggingface_hub.constants"]
    nowhere = "http://127.0.0.1:1"
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(hub.address, nowhere)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", nowhere)
    with pytest.raises(UserError) as error:
        push(exported, "owner/street")
    assert "Connection refused" in one_line(error)
    with pytest.raises(UserError) as error:
        local_path("hf://owner/street/a.onnx")
    assert "check your connection" in one_line(error)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("street", "found 'street', expected OWNER/NAME"),
        ("a/b/c", "must be in the form"),
        ("owner/..", "Repo id must"),
        ("owner/a b", "Repo id must"),
    ],
)
def test_a_name_that_the_hub_does_not_allow_is_refused(hub, name, message):
    with pytest.raises(ConfigError, match=message) as error:
        check_repository(name)
    assert one_line(error).startswith("--push: ")


def test_the_missing_library_is_named(monkeypatch):
    for name in ("huggingface_hub", "huggingface_hub.utils"):
        monkeypatch.setitem(sys.modules, name, None)
    calls = (lambda: check_repository("owner/street"), lambda: local_path("hf://owner/street/a"))
    for call in calls:
        with pytest.raises(UserError, match="huggingface_hub is missing: run .*pip install hug"):
            call()


def test_the_command_tags_with_students_of_the_hub(hub, tmp_path):
    student = make_student(tmp_path / "a.onnx").read_bytes()
    other = make_student(tmp_path / "b.onnx", weight=(-20.0, 20.0)).read_bytes()
    hub.repositories["owner/street"] = {"a.onnx": student, "b.onnx": other}
    samples = ["-", "--format", "csv"]

    def tags(*students):
        command = [sys.executable, str(ROOT / "tag_audio.py"), *students, *samples]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(), input=bytes(16_000), capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    expected = tags("a.onnx", "b.onnx")
    assert len(expected.splitlines()) == 3
    assert tags("hf://owner/street/a.onnx", "hf://owner/street@v1/b.onnx") == expected
