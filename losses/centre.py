"""Centre loss: embeddings of one class should be close together."""

from torch import Tensor

from losses.loss import Loss


class CentreLoss(Loss):
    r"""The squared distance of each embedding from the centre of its class.

    .. math:: \frac{1}{2B} \sum_{i,j} y_{ij} \lVert x_i - c_j \rVert^2, \qquad
              c_j \leftarrow c_j - r \, \frac{\sum_i y_{ij} (c_j - x_i)}{1 + \sum_i y_{ij}}

    In training mode every call ends with an update of the centres, without an optimiser. They start
    at zero and are part of the state dict. In evaluation mode they are constant.

    Options:
        centre_lr: the learning rate :math:`r` of the centres.

    Source: Wen et al., ECCV 2016, eq. 2-4.
    Differs: the mean over the clips, where the paper has the sum; soft (mixed) labels weight the
    classes of a clip.
    Shapes: student embeddings (B, D), labels (B, K) with rows that sum to 1 -> (), the mean over B.
    """

    student, target = "embedding", "labels"

    def __init__(self, *, centre_lr: float = 0.5) -> None:
        super().__init__()
        self.centre_lr = centre_lr
        self.centres: Tensor | None = None  # (K, D), known from the first batch

    def forward(self, student: Tensor, labels: Tensor) -> Tensor:
        if self.centres is None:
            self.centres = student.new_zeros(labels.shape[1], student.shape[1])
        centres = self.centres.to(student)
        squares = (student[:, None] - centres).square().sum(dim=2)
        if self.training:
            self.centres = self.updated(centres, student.detach(), labels.detach())
        return (labels * squares).sum() / (2 * len(student))

    def updated(self, centres: Tensor, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The centres after one update, (K, D). The centre of a class without clips stays."""
        counts = labels.sum(dim=0)[:, None]
        difference = counts * centres - labels.T @ embeddings
        return centres - self.centre_lr * difference / (1 + counts)

    def get_extra_state(self) -> Tensor | None:
        return self.centres

    def set_extra_state(self, state: Tensor | None) -> None:
        self.centres = state
