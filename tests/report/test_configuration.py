from typing import Literal

import pytest

from config import SECTIONS, key_fields
from data.datasets import DATASETS
from models import MODELS
from report.configuration import (
    GROUPS,
    as_cell,
    configuration,
    documented_options,
    option_names,
    options_table,
)


def test_every_section_is_in_one_group():
    assert sorted(name for group in GROUPS for name in group) == sorted(SECTIONS)


@pytest.mark.parametrize("group", GROUPS)
def test_the_sections_of_a_table_share_their_meanings(group):
    meanings = {}
    for name in group:
        for key, field in key_fields(SECTIONS[name]).items():
            assert meanings.setdefault(key, field.metadata["doc"]) == field.metadata["doc"]


def test_the_page_has_every_key_and_option():
    page = configuration()
    for kind in SECTIONS.values():
        for key in key_fields(kind):
            assert f"| `{key.upper()}` |" in page
    for option in option_names():
        assert f"| `{option.upper()}` |" in page
    for name in (*MODELS, *DATASETS):
        assert f"\n### {name}\n" in page


@pytest.mark.parametrize("name", ["csv_folder", "folder"])
def test_a_data_set_has_the_option_task(name):
    assert "| `TASK` | `single_label` |" in options_table(name, DATASETS[name])


def test_a_default_that_differs_between_roles_is_shown_for_each():
    assert "| `NUM_BANDS` | `64`; `20` in `[mel.student]` |" in configuration()
    assert "(`[teacher]` only)" in configuration()


def test_markup_in_a_cell_is_escaped():
    assert as_cell("audio/<name> | a * b\n c") == "audio/&lt;name> &#124; a &#42; b c"


class Example:
    """A model.

    Options:
        width: of all layers; 1 is
            the published one.
        kind: of the blocks.
        rows, columns: number of patches.

    Source: nowhere.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        width: float = 1.0,
        kind: Literal["plain", "wide"] = "plain",
        depth: int | None = None,
    ) -> None: ...


def test_meanings_of_options_are_read_from_the_docstring():
    assert documented_options(Example) == {
        "width": "of all layers; 1 is the published one.",
        "kind": "of the blocks.",
        "rows": "number of patches.",
        "columns": "number of patches.",
    }


def test_the_table_of_options_has_defaults_choices_and_meanings():
    assert options_table("example", Example).splitlines()[4:] == [
        "| `WIDTH` | `1.0` | of all layers; 1 is the published one. |",
        "| `KIND` | `plain` | of the blocks. (one of plain, wide) |",
        "| `DEPTH` | empty |  |",
    ]
