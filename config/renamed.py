"""Keys under another name here, in the first published system or elsewhere in the field."""

from __future__ import annotations

ONE_EXAMPLE = "nothing reads it: a clip is one example, [data] CLIP_SECONDS long; delete it"


SUCCESSORS = {
    "mel": {
        "num_frames": "nothing reads it: [data] CLIP_SECONDS sets the frames; delete it",
        "embedding_size": "nothing reads it: the model sets the size of its embedding; delete it",
        "example_window_seconds": ONE_EXAMPLE,
        "example_hop_seconds": ONE_EXAMPLE,
    },
    "student": {"softmax_temperature": "it is [distillation] SOFTMAX_TEMPERATURE now"},
}


"""Keys of the first published urban sound tagging system that have another place here, or none."""
