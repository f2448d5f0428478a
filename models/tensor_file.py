"""Files of torch.save, read without executing what they contain."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import IO, Any

import torch

from config import UserError, reason_of


def load_tensors(path: Path, what: str, content: IO[bytes] | None = None) -> Any:
    """Tensors in dictionaries, lists and plain values; an error names `what` they are.

    `content`: that of the file, where it is read already.

    Raises UserError for anything else, which is not loaded, since that could execute code, and for
    a damaged file.
    """
    try:
        return torch.load(content or path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # a damaged file can raise almost anything
        named = re.search(r"GLOBAL ([\w.]+) was not an allowed", str(error))
        if isinstance(error, pickle.UnpicklingError) and named:
            raise UserError(
                f"{path}: cannot be read as {what}: it holds more than tensors, {named[1]}, and is "
                "not loaded, since that could execute code; save the tensors alone, such as "
                "torch.save(model.state_dict(), FILE)"
            ) from None
        reason = reason_of(error)
        if reason.startswith("Weights only load failed"):
            reason = "it is damaged, or holds more than tensors"
        raise UserError(f"{path}: cannot be read as {what}: {reason}") from None
