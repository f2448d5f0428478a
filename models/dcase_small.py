"""The student of the published urban sound tagging system."""

from models.vgg import Vgg


class DcaseSmall(Vgg):
    """DCASE Net with a quarter of the channels, 0.3 million parameters.

    16, 32, 64, 64, 128, 128 channels, then 128, 64 and the classes: 323,336 parameters for 20 bands
    and 8 classes.

    Options:
        width_mult: factor of the channels of all layers, none below 8.
        batch_norm: batch normalisation after each convolution.
        dropout: of the embedding, before the classifier.

    Source: the published distillation system for urban sound tagging.
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
            name="dcase_small",
            stages=(16, 32, 64, 128),
            head=(128, 64),
            num_classes=num_classes,
            input_shape=input_shape,
            width_mult=width_mult,
            batch_norm=batch_norm,
            dropout=dropout,
        )
