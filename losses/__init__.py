"""One loss per file. To add one: write the file and add a line here; [coefficients] weighs it.

A loss is a `Loss`, a module whose class attributes name its inputs. `student` is "logits", "map"
(the last of `Output.maps`) or "embedding"; `target` is "labels" (the targets, (B, K)) or "teacher"
(the same tensor of the teacher). `forward(student, target)` returns a scalar. The keyword-only
parameters are some of `task`, `temperature`, `temperature_on`, `squared_temperature`,
`standardise_logits`, `kd_reduction`, `label_smoothing`, `pos_weight` and `centre_lr`. A loss from
labels is given labelled clips only. The teacher's tensor is detached. State of a loss, such as
class centres, is in its `state_dict()` and is updated in training mode only. Losses compute in the
precision of their inputs: call them with float32, outside autocast.

A loss that depends on the teacher only through the inner products of its clips also has
`forward_gram(student, gram)`, which takes the Gram matrix (B, B) in place of the teacher's tensor:
it is small enough to be cached for all pairs of clips.
"""

from losses.bce import BinaryCrossEntropy
from losses.ce import CrossEntropy
from losses.centre import CentreLoss
from losses.kd import KnowledgeDistillation
from losses.loss import Loss
from losses.sp import SimilarityPreserving

LOSSES: dict[str, type[Loss]] = {
    "bce": BinaryCrossEntropy,
    "ce": CrossEntropy,
    "centre": CentreLoss,
    "kd": KnowledgeDistillation,
    "sp": SimilarityPreserving,
}
