import json

import pytest

from config import UserError
from data.tables.ontology import relatives, simplified
from models.class_names import class_names


def node(id, name, *children, restrictions=()):
    return {"id": id, "name": name, "child_ids": [*children], "restrictions": [*restrictions]}


NODES = [
    node("/m/0", "Sounds of things", "/m/1", "/m/7", restrictions=["abstract"]),
    node("/m/1", "Animal", "/m/2", "/m/6"),
    node("/m/2", "Dog", "/m/3", "/m/4"),
    node("/m/3", "Bark"),
    node("/m/4", "Bow-wow, growling", restrictions=["blacklist"]),
    node("/m/5", "Music", "/m/9"),
    node("/m/6", "Pets", "/m/2", "/m/8"),
    node("/m/7", "Engine", "/m/4"),
    node("/m/8", "Voice", "/m/3", restrictions=["abstract"]),
    node("/m/9", "Theme music"),
]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "ontology.json"
    path.write_text(json.dumps(NODES))
    return path


def test_a_class_is_related_to_its_children_and_to_all_its_ancestors(path):
    classes = ("Animal", "Bark", "Bow-wow_and_growling", "Dog", "Engine", "pets")
    assert relatives(path, classes) == {
        "Animal": {"Dog", "pets"},
        "Bark": {"Dog", "pets", "Animal"},
        "Bow-wow_and_growling": {"Dog", "pets", "Animal", "Engine"},
        "Dog": {"Bark", "Bow-wow_and_growling", "pets", "Animal"},
        "Engine": {"Bow-wow_and_growling"},
        "pets": {"Dog", "Animal"},
    }


def test_an_abstract_node_is_a_child_and_nothing_else(path):
    found = relatives(path, ("Sounds of things", "Animal", "Pets", "Voice", "Bark"))
    assert found == {
        "Sounds of things": set(),
        "Animal": {"Pets"},
        "Pets": {"Voice", "Animal"},
        "Voice": set(),
        "Bark": {"Pets", "Animal"},
    }


def test_a_class_without_a_node_is_left_out(path):
    assert relatives(path, ("Bark", "Woof")) == {"Bark": set()}


def test_a_circle_ends(tmp_path):
    path = tmp_path / "circle.json"
    path.write_text(json.dumps([node("a", "A", "b"), node("b", "B", "a")]))
    assert relatives(path, ("A", "B")) == {"A": {"B"}, "B": {"A"}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        ("[", "is not an ontology"),
        ("{}", "is not an ontology"),
        ('[{"id": "/m/1"}]', "is not an ontology"),
        ('["Animal"]', "is not an ontology"),
        (json.dumps(NODES), "has none of the 1 classes"),
    ],
)
def test_another_file_is_named(tmp_path, content, message):
    path = tmp_path / "file.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=f"file.json: {message}"):
        relatives(path, ("Woof",))


@pytest.mark.parametrize(
    "one",
    [
        "Dishes, pots, and pans",
        "Dishes_and_pots_and_pans",
        "dishes pots pans",
    ],
)
def test_names_are_compared_without_case_commas_and_underscores(one):
    assert simplified(one) == "dishes pots pans"


def test_all_but_eight_classes_of_fsd50k_have_the_name_of_a_tag_of_audioset():
    of_audioset = {simplified(name) for name in class_names("psla")}
    assert len(of_audioset) == 527, "no two become equal"
    others = [name for name in class_names("psla_fsd50k") if simplified(name) not in of_audioset]
    assert others == [  # all in the ontology, but not among its 527 evaluated classes
        "Crash_cymbal",
        "Domestic_sounds_and_home_sounds",
        "Gull_and_seagull",
        "Human_group_actions",
        "Human_voice",
        "Packing_tape_and_duct_tape",
        "Respiratory_sounds",
        "Screech",
    ]
