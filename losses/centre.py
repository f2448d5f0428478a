"""Centre loss: clips of one class should lie close together."""

from torch import Tensor, nn


class CentreLoss(nn.Module):
    r"""Each embedding is drawn to the centre of its class, and each centre follows its clips.

    .. math:: \frac{1}{2B} \sum_{i,j} y_{ij} \lVert x_i - c_j \rVert^2, \qquad
              c_j \leftarrow c_j - r \, \frac{\sum_i y_{ij} (c_j - x_i)}{1 + \sum_i y_{ij}}

    In training every call ends with the step of the centres, of rate :math:`r` = `centre_lr`; no
    optimiser takes part in it. They begin at zero and are part of the state dict. In evaluation
    they stay.

    Source: Wen et al., ECCV 2016, eq. 2-4.
    Differs: the mean over the clips, where the paper sums; soft (mixed) labels share a clip between
    its classes.
    Shapes: student embeddings (B, D), labels (B, K) with rows that sum to 1 -> (), the mean over B.
    """

    student, target = "embedding", "labels"

    def __init__(self, *, centre_lr: float = 0.5) -> None:
        super().__init__()
        self.centre_lr = centre_lr
        self.centres: Tensor | None = None  # (K, D), both of which the first batch tells

    def forward(self, student: Tensor, labels: Tensor) -> Tensor:
        if self.centres is None:
            self.centres = student.new_zeros(labels.shape[1], student.shape[1])
        centres = self.centres.to(student)
        squares = (student[:, None] - centres).square().sum(dim=2)
        if self.training:
            self.centres = self.followed(centres, student.detach(), labels.detach())
        return (labels * squares).sum() / (2 * len(student))

    def followed(self, centres: Tensor, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The centres one step later, (K, D). A class that no clip has stays where it is."""
        counts = labels.sum(dim=0)[:, None]
        behind = counts * centres - labels.T @ embeddings
        return centres - self.centre_lr * behind / (1 + counts)

    def get_extra_state(self) -> Tensor | None:
        return self.centres

    def set_extra_state(self, state: Tensor | None) -> None:
        self.centres = state
