"""config.ini -> typed, checked, frozen dataclasses, and the command line that all scripts share.

One dataclass a section; its fields are the keys, in lower case; defaults live there and nowhere
else. A section that builds something by name (a data set, a model) also takes the annotated
parameters of that thing's constructor: they are kept as text in `options` until
`constructor_options` checks them against the constructor, which happens before any data is read.
"""

from config.command_line import (
    add_config_of_models,
    missing_package,
    next_command,
    print_any_name,
    run_script,
    script_parser,
)
from config.errors import ConfigError, UserError, choose, nearest, reason_of
from config.fields import flat_items, key_fields, options_field, to_text
from config.ini import models_of
from config.options import constructor_options
from config.resolve import load
from config.sections import (
    BACKBONE,
    SECTIONS,
    Augment,
    Budget,
    Classes,
    Data,
    Distillation,
    Ensembles,
    LossSettings,
    Matrix,
    Mel,
    Quantisation,
    RoleSettings,
    Run,
    Specialists,
    Student,
    StudentMel,
    Study,
    Task,
    Teacher,
    links,
)
from config.settings import Config

__all__ = [
    "BACKBONE",
    "SECTIONS",
    "add_config_of_models",
    "Augment",
    "Budget",
    "choose",
    "Classes",
    "Config",
    "ConfigError",
    "constructor_options",
    "Data",
    "Distillation",
    "Ensembles",
    "flat_items",
    "key_fields",
    "links",
    "load",
    "LossSettings",
    "Matrix",
    "Mel",
    "missing_package",
    "models_of",
    "nearest",
    "next_command",
    "options_field",
    "print_any_name",
    "Quantisation",
    "reason_of",
    "RoleSettings",
    "Run",
    "run_script",
    "script_parser",
    "Specialists",
    "Student",
    "StudentMel",
    "Study",
    "Task",
    "Teacher",
    "to_text",
    "UserError",
]
