"""One loss per file. To add one: write the file and add a line here; [coefficients] weighs it.

A loss is a `Loss`, a module. The arguments of its `forward` declare what it takes, by name:

    labels            (B, K)    targets, mixed under mixup; the loss is that of the labelled clips
    clips             (B,)      numbers of the clips among the N training clips, 0 to N - 1
    student_logits    (B, K)    and teacher_logits
    student_embedding (B, D)    and teacher_embedding
    student_map       (B, ...)  and teacher_map: the last of `Output.maps`
    student_maps      tuple     and teacher_maps: all of them
    teacher_map_gram  (B, B)    inner products of the teacher's last maps, which are small enough to
                                be cached for all pairs of clips where the maps are not
    teacher_energies  tuple     of all maps: the mean over their channels of the squares, (B, T, F)
                                or (B, N), which are small enough to be cached, too
    mix               (B, B)    or None: the share of each clip in each input, where the teacher's
                                tensors are those of single clips; without this argument they are
                                mixed by these shares already

and it returns a scalar. Each is that of the full batch, also where several processes share it, in
float32, and outside autocast; the teacher's have no gradient. With several teachers the loss is
summed over them, and each has an instance of its own.

The keyword-only parameters of the constructor are the keys of [loss.NAME], except those that follow
from the data set and the role (`losses.loss.GIVEN`). SOFTMAX_TEMPERATURE and the keys after it in
[distillation] are the defaults of `temperature`, `temperature_on`, `squared_temperature`,
`standardise_logits` and `kd_reduction`, in each loss that has them. A wrong value is a ConfigError
whose place is the name of the parameter.

Parameters and buffers whose sizes depend on the data are created by `build(shapes)`. Parameters are
trained by the optimiser of the student; both are saved with its checkpoints and are no part of its
weights. Buffers are updated in training mode only, and alike in all processes: what is sampled has
a generator that depends on the buffers alone.
"""

from losses.at import AttentionTransfer
from losses.bce import BinaryCrossEntropy
from losses.cc import CorrelationCongruence
from losses.ce import CrossEntropy
from losses.centre import CentreLoss
from losses.cka import CentredKernelAlignment
from losses.crd import ContrastiveDistillation
from losses.dist import Dist
from losses.dkd import DecoupledDistillation
from losses.embed import EmbeddingRegression
from losses.fitnet import FitNet
from losses.focus import FocusPicking
from losses.iusp import IntraUtteranceSimilarity
from losses.kd import KnowledgeDistillation
from losses.loss import Loss
from losses.mlkd import MultiLevelDistillation
from losses.nkd import NormalisedDistillation
from losses.pkt import ProbabilisticTransfer
from losses.rkd import RelationalDistillation
from losses.sp import SimilarityPreserving
from losses.vid import VariationalInformation

LOSSES: dict[str, type[Loss]] = {
    "at": AttentionTransfer,
    "bce": BinaryCrossEntropy,
    "cc": CorrelationCongruence,
    "ce": CrossEntropy,
    "centre": CentreLoss,
    "cka": CentredKernelAlignment,
    "crd": ContrastiveDistillation,
    "dist": Dist,
    "dkd": DecoupledDistillation,
    "embed": EmbeddingRegression,
    "fitnet": FitNet,
    "focus": FocusPicking,
    "iusp": IntraUtteranceSimilarity,
    "kd": KnowledgeDistillation,
    "mlkd": MultiLevelDistillation,
    "nkd": NormalisedDistillation,
    "pkt": ProbabilisticTransfer,
    "rkd": RelationalDistillation,
    "sp": SimilarityPreserving,
    "vid": VariationalInformation,
}
