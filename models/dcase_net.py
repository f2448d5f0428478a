"""The teacher of the published urban sound tagging system."""

from models.vgg import Vgg


class DcaseNet(Vgg):
    """DCASE Net: VGGish and a new head, 13 million parameters.

    64, 128, 256, 256, 512, 512 channels, then 2048, 128 and the classes: 13,153,672 parameters for
    64 bands and 8 classes. Its convolutions can be initialised with the published VGGish weights,
    see `models.published`.

    Options:
        width_mult: factor of the channels of all layers, none below 8.
        batch_norm: batch normalisation after each convolution.
        dropout: of the embedding, before the classifier.

    Source: submission Kim_2 to DCASE 2019 Task 5, and the published distillation system for urban
    sound tagging, whose teacher it is.
    Differs: any number of bands from 8; `width_mult`, `batch_norm` and `dropout` are not in the
    published network.
    Shapes: see `models.vgg.Vgg`.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        input_shape: tuple[int, int, int],
        width_mult: float = 1.0,
        batch_norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            name="dcase_net",
            stages=(64, 128, 256, 512),
            head=(2048, 128),
            num_classes=num_classes,
            input_shape=input_shape,
            width_mult=width_mult,
            batch_norm=batch_norm,
            dropout=dropout,
        )
