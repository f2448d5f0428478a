"""Classifier alignment: the samples, the trained classifier, and the models it fits."""

import copy

import pytest
import torch
from torch import nn

from config import UserError
from models import MODELS
from training.alignment import SAMPLES, align, check_classifier, sample
from training.optimisers import parameter_groups


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_samples_have_the_mean_and_the_covariance_of_the_clips():
    mixing = torch.randn(4, 4, generator=generator())
    clips = torch.randn(50, 4, generator=generator(1)) @ mixing + torch.arange(4)
    source = generator(2)
    samples = torch.cat([sample(clips, source) for _ in range(400)]).double()
    assert len(samples) == 400 * SAMPLES
    covariance = clips.T.cov().double()
    size = covariance.diagonal().max()
    assert (samples.mean(0) - clips.double().mean(0)).abs().max() < 0.02 * size.sqrt()
    assert (samples.T.cov() - covariance).abs().max() < 0.02 * size


def test_a_single_clip_is_sampled_unchanged():
    assert torch.equal(sample(torch.ones(1, 3), generator()), torch.ones(SAMPLES, 3))


def test_a_rare_class_is_sampled_as_often_as_a_common_one():
    """100 clips of one class and 4 of the other, next to each other: a classifier fitted to the
    clips prefers the common one, the aligned one is unbiased."""
    common = torch.randn(100, 2, generator=generator(3)) + torch.tensor([-1.5, 0.0])
    rare = torch.tensor([[1.0, 0.5], [1.0, -0.5], [2.0, 0.5], [2.0, -0.5]])
    embeddings, labels = torch.cat([common, rare]), torch.tensor([0] * 100 + [1] * 4)
    torch.manual_seed(0)
    classifier = nn.Linear(2, 2)
    with torch.no_grad():
        classifier.weight.copy_(torch.tensor([[-0.02, 0.0], [0.02, 0.0]]))
        classifier.bias.copy_(torch.tensor([0.2, -0.2]))  # all are predicted as the common one
    assert classifier(rare).argmax(1).tolist() == [0] * 4
    align(classifier, embeddings, labels, epochs=40, seed=0)
    assert classifier(rare).argmax(1).tolist() == [1] * 4
    assert (classifier(common).argmax(1) == 0).float().mean() > 0.8


def test_the_same_seed_ends_with_the_same_bits():
    embeddings, labels = torch.randn(20, 3, generator=generator()), torch.arange(20) % 4
    first = nn.Linear(3, 5)
    second, third = copy.deepcopy(first), copy.deepcopy(first)
    for classifier, seed in ((first, 1), (second, 1), (third, 2)):
        align(classifier, embeddings, labels, epochs=2, seed=seed)
    assert torch.equal(first.weight, second.weight)
    assert not torch.equal(first.weight, third.weight)


@pytest.mark.parametrize(
    ("name", "options", "fits"),
    [("dcase_small", {"dropout": 0.5}, True), ("cp_mobile", {"base_channels": 8}, False)],
)
def test_a_classifier_with_more_inputs_than_the_embedding_is_rejected(name, options, fits):
    model = MODELS[name](num_classes=3, input_shape=(1, 40, 24), **options)
    features = torch.randn(1, 1, 40, 24)
    if fits:
        check_classifier(model, features, "align_epochs")
        return
    with pytest.raises(UserError, match="align_epochs: the logits of CpMobile are not the output"):
        check_classifier(model, features, "align_epochs")


def test_the_backbone_learns_slowly_and_frozen_parts_do_not():
    model = nn.ModuleDict({"features": nn.Linear(2, 2), "classifier": nn.Linear(2, 2)})
    model["features"].bias.requires_grad_(False)
    backbone, classifier = parameter_groups(model, 0.01)
    assert (backbone["share"], classifier["share"]) == (0.01, 1.0)
    assert [id(p) for p in backbone["params"]] == [id(model["features"].weight)]
    assert {id(p) for p in classifier["params"]} == set(map(id, model["classifier"].parameters()))
    (everything,) = parameter_groups(model, 1.0)
    assert len(everything["params"]) == 3
    with pytest.raises(UserError, match="backbone_lr_scale: no trained parameter of Linear begins"):
        parameter_groups(nn.Linear(2, 2), 0.01)
