"""Folding batch normalisation into the preceding layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from torch import Tensor, enable_grad, nn, no_grad
from torch.autograd.graph import Node
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import fusion

from config import UserError

Weighted = nn.Conv1d | nn.Conv2d | nn.Linear
WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Linear)
TOLERANCE = 1e-3  # of the largest logit


@no_grad()
def fold_batch_norm(model: nn.Module, clips: Tensor) -> None:
    r"""Fold, in place, each batch normalisation that follows a convolution or linear layer.

    .. math:: W' = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}} W, \quad
              b' = \beta + \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}} (b - \mu)

    Submodules of a normalisation (timm's have an activation) stay in its place. The order of the
    layers is traced in a forward pass of `clips`.

    Source: Jacob et al., CVPR 2018, section 3.2.
    Raises UserError if the logits change by more than the tolerance.
    """
    model.eval()
    before = model(clips).logits
    names = {module: name for name, module in model.named_modules()}
    for layer, norm in layers_before_norm(model, clips):
        linear = isinstance(layer, nn.Linear)
        fuse: Any = fusion.fuse_linear_bn_weights if linear else fusion.fuse_conv_bn_weights
        statistics = norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        trainable = layer.weight.requires_grad
        layer.weight, layer.bias = fuse(layer.weight, layer.bias, *statistics)
        layer.requires_grad_(trainable)
        model.set_submodule(names[norm], nn.Sequential(*norm.children()))
    difference = (model(clips).logits - before).abs().max()
    if not difference <= TOLERANCE * before.abs().max().clamp_min(1.0):
        raise UserError(
            f"{type(model).__name__}: its batch normalisation cannot be folded; a logit changes "
            f"by {difference:.2g}"
        )


def layers_before_norm(model: nn.Module, clips: Tensor) -> list[tuple[Weighted, _BatchNorm]]:
    """Each layer whose output is the input of one batch normalisation only, with that one."""
    layer_of: dict[Node | None, Weighted] = {}
    input_of: dict[_BatchNorm, Node | None] = {}

    def after_layer(layer: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        layer_of[output.grad_fn] = layer

    def before_norm(norm: Any, inputs: tuple[Tensor]) -> None:
        if norm.running_mean is not None:
            input_of[norm] = inputs[0].grad_fn

    handles = [
        module.register_forward_hook(after_layer)
        if isinstance(module, WEIGHTED)
        else module.register_forward_pre_hook(before_norm)
        for module in model.modules()
        if isinstance(module, (*WEIGHTED, _BatchNorm))
    ]
    with enable_grad():
        logits, embedding, maps = model(clips.clone().requires_grad_())
    for handle in handles:
        handle.remove()
    results = [tensor.grad_fn for tensor in (logits, embedding, *maps)]
    readers = count_readers([node for node in results if node])
    return [
        (layer_of[node], norm)
        for norm, node in input_of.items()
        if node in layer_of and readers[node] == 1
    ]


def count_readers(results: Sequence[Node]) -> Counter[Node | None]:
    """How many times the output of each node of the autograd graph is used, results included."""
    readers: Counter[Node | None] = Counter(results)
    waiting = list(results)
    seen = set(waiting)
    while waiting:
        for node, _ in waiting.pop().next_functions:
            readers[node] += 1
            if node is not None and node not in seen:
                seen.add(node)
                waiting.append(node)
    return readers
