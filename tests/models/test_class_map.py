"""The outputs of a model of other classes as those of sets of its classes."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from config import UserError
from models.class_map import ClassMap, map_classes
from models.output import Output

TASKS = ("single_label", "multi_label")


@st.composite
def maps_and_logits(draw):
    outputs = draw(st.integers(2, 6))
    one = st.sets(st.integers(0, outputs - 1), min_size=1, max_size=outputs - 1)
    sets = draw(st.lists(one.map(sorted).map(tuple), min_size=1, max_size=4))
    row = st.lists(st.floats(-20, 20), min_size=outputs, max_size=outputs)
    logits = draw(st.lists(row, min_size=1, max_size=3))
    return tuple(sets), torch.tensor(logits)


def set_probabilities(logits, sets, task):
    z = logits.double().numpy()
    if task == "multi_label":
        p = 1 / (1 + np.exp(-z))
        return np.stack([p[:, list(one)].max(axis=1) for one in sets], axis=1)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return np.stack([p[:, list(one)].sum(axis=1) for one in sets], axis=1)


@given(maps_and_logits(), st.sampled_from(TASKS))
def test_for_tags_the_sigmoid_is_the_probability_of_the_set(found, of_model):
    sets, logits = found
    mapped = ClassMap(sets, logits.shape[1], of_model).logits(logits, "multi_label")
    expected = set_probabilities(logits, sets, of_model)
    np.testing.assert_allclose(mapped.double().sigmoid(), expected, rtol=1e-4, atol=1e-12)


@given(maps_and_logits(), st.sampled_from(TASKS))
def test_for_one_label_the_softmax_is_the_normalised_probability(found, of_model):
    sets, logits = found
    mapped = ClassMap(sets, logits.shape[1], of_model).logits(logits, "single_label")
    expected = set_probabilities(logits, sets, of_model)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(mapped.double().softmax(1), expected, rtol=1e-4, atol=1e-12)


def test_values_by_hand():
    logits = torch.tensor([[math.log(1.0), math.log(2.0), math.log(5.0)]])
    sets = ((0, 1), (2,))
    of_tags, of_label = ClassMap(sets, 3, "multi_label"), ClassMap(sets, 3, "single_label")
    # odds 1, 2 and 5: sigmoids 1/2, 2/3 and 5/6; softmax 1/8, 2/8 and 5/8
    assert of_tags.logits(logits, "multi_label").exp().tolist() == [pytest.approx([2, 5])]
    assert of_tags.logits(logits, "single_label").exp().tolist() == [pytest.approx([2 / 3, 5 / 6])]
    assert of_label.logits(logits, "single_label").softmax(1).tolist() == [
        pytest.approx([3 / 8, 5 / 8])
    ]
    assert of_label.logits(logits, "multi_label").exp().tolist() == [pytest.approx([3 / 5, 5 / 3])]


@pytest.mark.parametrize("of_model", TASKS)
@pytest.mark.parametrize("task", TASKS)
def test_extreme_logits_stay_finite(of_model, task):
    logits = torch.tensor([[-300.0, 300.0, -300.0], [-80.0, -90.0, -100.0]])
    assert ClassMap(((0,), (1, 2)), 3, of_model).logits(logits, task).isfinite().all()


def test_a_map_of_a_map_is_that_of_the_union_of_its_sets():
    first = ClassMap(((0, 1), (2,), (1, 3)), 4, "multi_label")
    assert first.compose(((2,), (0, 2))) == ClassMap(((1, 3), (0, 1, 3)), 4, "multi_label")
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    twice = ClassMap(((2,), (0, 2)), 3, "multi_label").logits(
        first.logits(logits, "multi_label"), "multi_label"
    )
    both = first.compose(((2,), (0, 2))).logits(logits, "multi_label")
    torch.testing.assert_close(both, twice)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.classifier = nn.Linear(2, 3)

    def forward(self, x):
        return Output(self.classifier(x), x, (x[:, None],))


def test_a_mapped_model_keeps_its_parameters_its_embedding_and_its_maps():
    model, clips = Model(), torch.randn(4, 2)
    before, names = model(clips), list(model.state_dict())
    map_classes(model, ClassMap(((2, 0), (1,)), 3, "multi_label"), "multi_label")
    after = model(clips)
    assert list(model.state_dict()) == names
    assert torch.equal(after.embedding, before.embedding)
    assert torch.equal(after.maps[0], before.maps[0])
    assert torch.equal(after.logits[:, 1], before.logits[:, 1])
    assert torch.equal(after.logits[:, 0], before.logits[:, [0, 2]].amax(1))


def test_half_precision_is_mapped_in_float32():
    logits = torch.tensor([[1.0, 2.0]], dtype=torch.bfloat16)
    assert ClassMap(((0, 1),), 2, "single_label").logits(logits, "single_label").dtype == (
        torch.float32
    )


def test_a_model_of_another_number_of_classes_is_an_error():
    model = Model()
    map_classes(model, ClassMap(((0,),), 521, "multi_label"), "multi_label")
    with pytest.raises(UserError, match="found 3 logits, expected one for each of 521 classes"):
        model(torch.zeros(1, 2))
