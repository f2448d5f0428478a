"""[matrix]: models and their settings."""

from config.sections.matrix import links


def test_the_links_of_a_chain_have_no_case():
    assert links("Cnn > AST>small") == ("cnn", "ast", "small")


def test_the_settings_of_a_model_are_those_of_its_role(ini):
    matrix = ini("[matrix]\nAST = MODEL=ast NUM_BANDS=128 TAU=0=1\n").matrix
    assert matrix.overrides("ast", "student") == [
        "student.MODEL=ast",
        "mel.student.NUM_BANDS=128",
        "student.TAU=0=1",
    ]
