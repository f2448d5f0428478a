"""Arguments for every loss, of four clips, three classes and eight training clips."""

import inspect

import torch

from losses import LOSSES
from losses.at import energies

SETTINGS = {
    "task": "single_label",
    "temperature": 2.0,
    "squared_temperature": True,
    "label_smoothing": 0.1,
    "pos_weight": torch.tensor([1.0, 2.0, 3.0]),
}
CLIPS, CLASSES, TRAINING_CLIPS = 4, 3, 8
SHAPES = {"logits": (CLASSES,), "embedding": (6,), "map": (2, 5, 3)}
MAPS = ((3, 6, 4), (2, 5, 3))


def random(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(CLIPS, *shape, generator=generator, dtype=torch.float64)


def arguments(name, seed=0, task="single_label"):
    """What a loss takes, in float64; student and teacher have the same shapes."""
    found = {}
    for place, argument in enumerate(LOSSES[name].takes):
        side, _, output = argument.partition("_")
        number = 100 * seed + place
        if argument == "labels":
            generator = torch.Generator().manual_seed(number)
            found[argument] = torch.eye(CLASSES, dtype=torch.float64)[
                torch.randint(CLASSES, (CLIPS,), generator=generator)
            ]
            if task == "multi_label":
                found[argument] = (random(number, CLASSES) > 0).double()
        elif argument == "clips":
            found[argument] = torch.tensor([5, 1, 0, 7])
        elif argument == "mix":
            found[argument] = None
        elif output == "map_gram":
            features = random(number, *SHAPES["map"]).flatten(1)
            found[argument] = features @ features.T
        elif output == "energies":
            maps = (random(number + 50 * n, *s) for n, s in enumerate(MAPS))
            found[argument] = energies(tuple(maps))
        elif output == "maps":
            found[argument] = tuple(random(number + 50 * n, *s) for n, s in enumerate(MAPS))
        else:
            found[argument] = random(number, *SHAPES[output])
    return found


def shapes_of(taken):
    found = {}
    for name, one in taken.items():
        many = isinstance(one, tuple)
        found[name] = tuple(tuple(m.shape[1:]) for m in one) if many else one
        if isinstance(one, torch.Tensor):
            found[name] = tuple(one.shape[1:])
    return {**found, "clips": TRAINING_CLIPS}


def build(name, taken=None, **changes):
    """A loss in evaluation mode, where its buffers are constant."""
    parameters = inspect.signature(LOSSES[name]).parameters
    settings = {key: value for key, value in SETTINGS.items() if key in parameters}
    loss = LOSSES[name](**{**settings, **{k: v for k, v in changes.items() if k in parameters}})
    torch.manual_seed(0)
    loss.build(shapes_of(taken or arguments(name)))
    return loss.eval().double()


def tensors_in(taken, side):
    """The tensors of "student" or "teacher" among arguments."""
    outputs = (one for name, one in taken.items() if name.startswith(side))
    return [tensor for one in outputs for tensor in (one if isinstance(one, tuple) else [one])]


def each(taken, side, function):
    """Arguments with the tensors of one side changed."""

    def changed(one):
        return tuple(map(function, one)) if isinstance(one, tuple) else function(one)

    return {name: changed(one) if name.startswith(side) else one for name, one in taken.items()}


def like_student(taken):
    """Arguments whose teacher has the outputs of the student."""
    found = dict(taken)
    for name in taken:
        if name == "teacher_map_gram":
            features = taken["student_map"].flatten(1)
            found[name] = features @ features.T
        elif name == "teacher_energies":
            found[name] = energies(taken["student_maps"])
        elif name.startswith("teacher_"):
            found[name] = taken[name.replace("teacher", "student")]
    return found
