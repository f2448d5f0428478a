"""A model of other classes: its outputs as those of the user's classes, each of which is a set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from config import Task, UserError
from models.output import Output


@dataclass(frozen=True, slots=True)
class ClassMap:
    r"""The user's K classes as sets S_k of the M classes of a model with logits z.

    A model of tags has p_j = sigmoid(z_j); the probability of a set is the largest in it:

    .. math:: p_k = \max_{j \in S_k} p_j, \quad \log \frac{p_k}{1 - p_k} = \max_{j \in S_k} z_j

    A model with one label has p_j = softmax(z)_j; the probability of a set is the sum:

    .. math:: p_k = \sum_{j \in S_k} p_j

    The new logits are, by the user's task and that of the model,

    ============ ============================== ======================================
    user         model: multi_label             model: single_label
    ============ ============================== ======================================
    multi_label  max z over S_k                 logsumexp z over S_k - that of the rest
    single_label log p_k                        logsumexp z over S_k
    ============ ============================== ======================================

    so that for tags their sigmoid is p_k, and for one label their softmax is p_k / sum of all p. A
    temperature divides them as it divides any logits. A set of one class of a model of the same
    task keeps its logit (for a single label of tags: its log probability).

    Source: the maximum is the union of fuzzy sets, Zadeh, Information and Control 8, 1965, and the
    smallest probability that a union can have; it is exact where one class implies the others, as
    in AudioSet's ontology, in which a police car's siren is a siren. The sum is that of disjoint
    events.
    Differs: noisy-or, 1 - prod(1 - p_j), assumes independent classes and counts nested ones more
    than once.
    """

    sets: tuple[tuple[int, ...], ...]  # of the user's K classes, in their order
    outputs: int  # M
    task: Task  # of the model

    def compose(self, sets: Sequence[Sequence[int]]) -> ClassMap:
        """The map to sets of its own classes."""
        joined = tuple(
            tuple(sorted({output for k in one for output in self.sets[k]})) for one in sets
        )
        return ClassMap(joined, self.outputs, self.task)

    def logits(self, logits: Tensor, task: Task) -> Tensor:
        """(B, M) -> (B, K) float32, for the user's task. Raises UserError for another M."""
        if logits.shape[-1] != self.outputs:
            found = f"found {logits.shape[-1]} logits, expected one for each of {self.outputs}"
            raise UserError(f"the model of other classes: {found} classes")
        member = torch.zeros(len(self.sets), self.outputs, dtype=torch.bool)
        for row, one in zip(member, self.sets, strict=True):
            row[list(one)] = True
        member = member.to(logits.device)
        each = logits.float()[:, None]  # (B, 1, M)
        of_set = each.masked_fill(~member, -torch.inf)
        if self.task == "multi_label":
            largest = of_set.amax(dim=-1)
            return nn.functional.logsigmoid(largest) if task == "single_label" else largest
        inside = of_set.logsumexp(dim=-1)
        if task == "single_label":
            return inside
        return inside - each.masked_fill(member, -torch.inf).logsumexp(dim=-1)


def map_classes(model: nn.Module, class_map: ClassMap, task: Task) -> None:
    """From now on the model's logits are those of the user's classes.

    A forward hook maps them, so that the parameters keep their names and its weights can be stored
    and loaded as those of the model itself. Embedding and maps are unchanged.
    """
    model.class_map = class_map  # type: ignore[assignment]

    def hook(module: nn.Module, inputs: Any, output: Output) -> Output:
        return output._replace(logits=class_map.logits(output.logits, task))

    model.register_forward_hook(hook)
