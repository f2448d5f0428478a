import pytest
import torch

from config import UserError
from models import MODELS
from models.freeze import freeze

VGGISH_FROZEN = ("conv1", "conv2", "conv3_1", "conv3_2")


def test_the_published_teacher_has_its_first_four_convolutions_frozen():
    model = MODELS["dcase_net"](num_classes=8, input_shape=(1, 998, 64))
    assert freeze(model, VGGISH_FROZEN) == 959_744
    trained = {name.partition(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"conv4_1", "conv4_2", "fc1", "fc2", "classifier"}


def test_only_the_other_parameters_are_trained():
    torch.manual_seed(0)
    model = MODELS["dcase_small"](num_classes=8, input_shape=(1, 32, 20), batch_norm=True)
    freeze(model, ["conv1"])
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimiser = torch.optim.Adam(p for p in model.parameters() if p.requires_grad)
    model(torch.randn(4, 1, 32, 20)).logits.square().sum().backward()
    optimiser.step()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) == name.startswith("conv1."), name


def test_nothing_to_freeze():
    model = MODELS["dcase_small"](num_classes=8, input_shape=(1, 32, 20))
    assert freeze(model, ()) == 0


@pytest.mark.parametrize("prefix", ["conv5", "onv1", ""])
def test_a_prefix_without_a_match_is_an_error(prefix):
    model = MODELS["dcase_small"](num_classes=8, input_shape=(1, 32, 20))
    with pytest.raises(UserError, match=f"'{prefix}'.*conv4_2"):
        freeze(model, ["conv1", prefix])
