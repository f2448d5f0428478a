"""Exported students on the Hugging Face Hub: the upload of an export, the download of a file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from config import ConfigError, UserError, missing_package

SCHEME = "hf://"
ADDRESS = re.compile(r"hf://([^/@]+/[^/@]+)(?:@([^/]+))?/(.+)")
INSTALL = "run `python -m pip install huggingface_hub`"
REASONS = {  # by HTTP status; the Hub answers 401 where it does not tell whether one exists
    401: "no such repository, or no access to it; run `hf auth login` or set HF_TOKEN",
    403: "the token has no permission for this",
    404: "no such repository, revision or file",
}
COMMONS = re.compile(r"CC (BY\S* \d\.\d)$")


def local_path(path: Path | str) -> Path:
    """`path`; of hf://OWNER/NAME/FILE or hf://OWNER/NAME@REVISION/FILE a copy of that file.

    The copy is in the cache of huggingface_hub. Nothing else of the repository is downloaded.

    Raises ConfigError for an address of another form, and UserError for a file that cannot be
    downloaded.
    """
    address = str(path)
    if not address.startswith(SCHEME):
        return Path(path)
    found = ADDRESS.fullmatch(address)
    if found is None:
        expected = "expected hf://OWNER/NAME/FILE.onnx or hf://OWNER/NAME@REVISION/FILE.onnx"
        raise ConfigError(address, expected)
    repository, revision, file = found.groups()
    with errors_of_the_library(address):
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(repository, file, revision=revision))


def check_repository(name: str) -> None:
    """Raises ConfigError for a name that the Hub does not allow, UserError without the library."""
    with errors_of_the_library(name):
        from huggingface_hub.utils import validate_repo_id

        if "/" not in name:
            raise ConfigError("--push", f"found {name!r}, expected OWNER/NAME")
        try:
            validate_repo_id(name)
        except ValueError as error:
            raise ConfigError("--push", str(error)) from None


def push(folder: Path, repository: str) -> str:
    """Upload what `export_onnx` wrote into `folder` as one commit; its address.

    MODEL_CARD.md becomes README.md, below the metadata of the Hub. A repository that does not exist
    is created, public unless the Hub has another default for its owner. Raises UserError.
    """
    exported = json.loads((folder / "budget.json").read_bytes())
    files = [f"{row['precision']}.onnx" for row in exported["budget"] if "file_bytes" in row]
    card = (folder / "MODEL_CARD.md").read_text("utf-8")
    with errors_of_the_library(repository):
        from huggingface_hub import CommitOperationAdd, HfApi

        readme = f"---\n{metadata(exported)}\n---\n\n{card}".encode()
        added = [CommitOperationAdd(name, folder / name) for name in [*files, "budget.json"]]
        added.append(CommitOperationAdd("README.md", readme))
        api = HfApi()
        address = api.create_repo(repository, exist_ok=True)
        api.create_commit(repository, added, commit_message=exported["name"])
    return str(address)


def metadata(exported: Mapping[str, Any]) -> str:
    """YAML, from budget.json: its model-index has the score of each file."""
    from huggingface_hub import EvalResult, ModelCardData

    task, metric = "audio-classification", exported["metric"]
    scores = [
        EvalResult(
            task_type=task,
            dataset_type=exported["dataset"],
            dataset_name=exported["dataset"],
            dataset_split=exported["split"],
            metric_type=metric,
            metric_name=f"{metric} of {row['precision']}.onnx",
            metric_value=row["score"],
        )
        for row in exported["budget"]
        if "score" in row and "file_bytes" in row
    ]
    return ModelCardData(
        license=licence_identifier(exported["licence"]),
        library_name="soundstill",
        pipeline_tag=task,
        tags=["onnx", exported["model"]],
        model_name=exported["name"],
        eval_results=scores or None,
    ).to_yaml()


def licence_identifier(licence: str) -> str | None:
    """The Hub's, such as cc-by-nc-3.0, where the text ends with a licence of Creative Commons."""
    found = COMMONS.search(licence)
    return f"cc-{found[1].replace(' ', '-').lower()}" if found else None


@contextmanager
def errors_of_the_library(subject: str) -> Iterator[None]:
    """Raises UserError, one line, for any: their classes are those of its HTTP client."""
    try:
        yield
    except UserError:
        raise
    except ModuleNotFoundError as error:
        raise missing_package(error, INSTALL) from None
    except Exception as error:
        answers = (getattr(found, "response", None) for found in (error, error.__cause__))
        status = next((answer.status_code for answer in answers if answer is not None), 0)
        text = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{subject}: {REASONS.get(status, text)}") from error
