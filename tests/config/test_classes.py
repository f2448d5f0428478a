"""[classes]: sets of the teacher's classes by their names."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from config import Classes, ConfigError, load
from config.sections.classes import read_names
from models.class_names import class_names

AUDIOSET = class_names("mn10_as")
SOUNDS = "[classes]\nSiren = Siren, Police car (siren)\nbird = Chirp, tweet, Bird\n"


def complaint(text, known=AUDIOSET):
    with pytest.raises(ConfigError) as error:
        read_names("[classes] dog", text, known)
    return str(error.value)


# Names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Siren", ["Siren"]),
        ("Siren, Police car (siren)", ["Siren", "Police car (siren)"]),
        ("Chirp, tweet", ["Chirp, tweet"]),
        ("Bird,Chirp,tweet , Crow", ["Bird", "Chirp, tweet", "Crow"]),
        ('"Chirp, tweet", "Bird"', ["Chirp, tweet", "Bird"]),
        ("Bird,", ["Bird"]),
        ("Bee, wasp, etc., Buzz", ["Bee, wasp, etc.", "Buzz"]),
    ],
)
def test_names_may_have_commas(text, expected):
    assert read_names("", text, AUDIOSET) == tuple(expected)


@given(st.lists(st.sampled_from(AUDIOSET), min_size=1, max_size=8, unique=True), st.data())
def test_any_list_of_the_names_of_audioset_is_read_with_or_without_quotes(names, data):
    quoted = data.draw(st.lists(st.booleans(), min_size=len(names), max_size=len(names)))
    parts = [f'"{n}"' if quote else n for n, quote in zip(names, quoted, strict=True)]
    assert read_names("", ", ".join(parts), AUDIOSET) == tuple(names)


TINY = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map(", ".join)


@given(st.sets(TINY, min_size=1), st.data())
def test_a_text_with_two_readings_is_refused_and_quotes_choose_one(known, data):
    names = data.draw(st.lists(st.sampled_from(sorted(known)), min_size=1, unique=True))
    try:
        found = read_names("", ", ".join(names), sorted(known))
    except ConfigError as error:
        assume("which can be read as" in error.message)
    else:
        assert found == tuple(names), "its only reading"
    quoted = ", ".join(f'"{name}"' for name in names)
    assert read_names("", quoted, sorted(known)) == tuple(names)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Sirens", "found 'Sirens', which is no class of the teacher; nearest: Siren"),
        ("siren", "found 'siren', which is no class of the teacher; nearest: Siren"),
        (
            "Siren, Police car, Bird",
            "found 'Police car', which is no class of the teacher; nearest: Police car (siren)",
        ),
        (
            "Bird, Chirp, twet, Crow",
            "found 'Chirp, twet', which is no class of the teacher; nearest: Chirp, tweet",
        ),
        (
            '"Chirps, tweet"',
            "found '\"Chirps, tweet\"', which is no class of the teacher; nearest: Chirp, tweet",
        ),
        ("Xqzzy 17", "found 'Xqzzy 17', which is no class of the teacher"),
        ("", "found none, expected one or more of the teacher's classes"),
        (" , ", "found none, expected one or more of the teacher's classes"),
        ('"Bird', "found '\"Bird', expected a second quote"),
        ("Bird, Crow, Bird", "found 'Bird' twice"),
    ],
)
def test_an_error_has_the_nearest_name(text, message):
    assert complaint(text) == f"[classes] dog: {message}"


def test_both_readings_are_named():
    assert complaint("a, b", ["a", "b", "a, b"]) == (
        '[classes] dog: found \'a, b\', which can be read as "a, b" and as "a", "b"; use the quotes'
    )


# The section --------------------------------------------------------------------------------------


def test_keys_have_no_case_and_sets_are_in_the_order_of_the_classes(ini):
    found = ini(SOUNDS).classes
    assert found.sets(("bird", "SIREN"), AUDIOSET) == ((113, 111), (396, 323))


def test_a_class_on_the_command_line_may_have_dots_and_commas(ini):
    found = ini("", "classes.Bee, wasp, etc.=Bee, wasp, etc.").classes
    assert found.sets(["Bee, wasp, etc."], AUDIOSET) == ((131,),)


def test_the_resolved_file_is_read_again(ini, tmp_path):
    found = ini(SOUNDS)
    (tmp_path / "again.ini").write_text(found.to_ini())
    assert load(tmp_path / "again.ini").classes == found.classes
    assert ini("").classes == Classes()


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("birds", "siren"), r"\[classes\] bird: is no class of the data set; nearest: birds"),
        (("bird", "siren", "dog"), r"\[classes\]: has no set .* for 'dog'; add dog = and"),
        (("bird", "Siren", "siren"), r"\[classes\] siren: is two classes that differ in case"),
    ],
)
def test_every_class_has_one_set(ini, classes, message):
    with pytest.raises(ConfigError, match=message):
        ini(SOUNDS).classes.sets(classes, AUDIOSET)
