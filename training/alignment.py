"""Classifier alignment: train the classifier again, on embeddings sampled for each class."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from config import UserError

SAMPLES = 256  # embeddings of each class, and in a batch
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 5e-4
TEMPERATURE = 0.1  # of the logits, whose length is 1


def align(
    classifier: nn.Module, embeddings: Tensor, labels: Tensor, epochs: int, seed: int
) -> None:
    """Train a classifier on embeddings that are sampled in each epoch, equally many of every class,
    from a Gaussian with the mean and the covariance of that class's clips.

    The loss is the cross-entropy of logits that are scaled to length 1 and divided by a temperature
    of 0.1; SGD, 0.01 at first, falling to 0 along a cosine.

    Source: classifier alignment of Zhang et al. (SLCA), ICCV 2023, and its code's constants.
    Differs: a sample is the mean plus a normally weighted sum of the clips' differences from it,
    which has exactly their covariance, where the code adds to its diagonal to invert it; all
    classes are learnt at once, so no mean is shrunk towards 0.
    Shapes: embeddings (N, D), labels (N,). Classes without a clip are left out.
    """
    generator = torch.Generator().manual_seed(seed)
    classes = [(k.item(), embeddings[labels == k]) for k in labels.unique()]
    targets = torch.cat([torch.full((SAMPLES,), k, device=labels.device) for k, _ in classes])
    optimiser = torch.optim.SGD(
        classifier.requires_grad_(True).parameters(),
        lr=LEARNING_RATE,
        momentum=MOMENTUM,
        weight_decay=WEIGHT_DECAY,
    )
    for epoch in range(epochs):
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * (1 + math.cos(math.pi * epoch / epochs)) / 2
        samples = torch.cat([sample(clips, generator) for _, clips in classes])
        for batch in torch.randperm(len(samples), generator=generator).split(SAMPLES):
            batch = batch.to(samples.device)
            logits = F.normalize(classifier(samples[batch]), dim=1) / TEMPERATURE
            optimiser.zero_grad()
            F.cross_entropy(logits, targets[batch]).backward()
            optimiser.step()


def sample(clips: Tensor, generator: torch.Generator) -> Tensor:
    """(N, D) -> (SAMPLES, D), from a Gaussian with their mean and covariance."""
    mean = clips.mean(0)
    weights = torch.randn(SAMPLES, len(clips), generator=generator).to(clips)
    return mean + weights @ (clips - mean) / math.sqrt(max(len(clips) - 1, 1))


@torch.no_grad()
def check_classifier(model: nn.Module, features: Tensor, key: str) -> None:
    """Raises UserError that names `key` unless the model's logits are its classifier's output for
    its embedding.
    """
    output = model.eval()(features)
    try:
        classifier = model.get_submodule("classifier")
        fits = torch.allclose(classifier(output.embedding), output.logits, atol=1e-4)
    except (AttributeError, RuntimeError, ValueError, IndexError):
        fits = False
    if not fits:
        raise UserError(
            f"{key}: the logits of {type(model).__name__} are not the output of its "
            "classifier for its embedding"
        )
