"""One loss a file. To add one: write the file, add a line here; [coefficients] then weighs it.

A loss is an `nn.Module` whose class attributes say which tensors it takes: `student` is "logits",
"map" (the last of `Output.maps`) or "embedding"; `target` is "labels" (the targets, (B, K)) or
"teacher" (the same tensor of the teacher). `forward(student, other)` gives a scalar. It takes its
keyword-only parameters from `task`, `temperature`, `temperature_on`, `squared_temperature`,
`standardise_logits`, `kd_reduction`, `label_smoothing` and `centre_lr`, and never differentiates
the teacher. What it learns by itself is in its `state_dict()`, and changes in training alone.
Losses compute in the precision of their inputs: give them float32, outside autocast.

A loss that sees the teacher only through the inner products of its clips also has
`forward_gram(student, gram)`, which takes these, (B, B), in place of the teacher's tensor: they are
small enough to be kept for all pairs of clips.
"""

from losses.bce import BinaryCrossEntropy
from losses.ce import CrossEntropy
from losses.centre import CentreLoss
from losses.kd import KnowledgeDistillation
from losses.sp import SimilarityPreserving

LOSSES = {
    "bce": BinaryCrossEntropy,
    "ce": CrossEntropy,
    "centre": CentreLoss,
    "kd": KnowledgeDistillation,
    "sp": SimilarityPreserving,
}
