"""The smallest student of the published urban sound tagging system."""

from torch import Tensor, nn

from models.output import Output
from models.shapes import check_mel_shape

CHANNELS = 32
HIDDEN = 64


class CnnLstm(nn.Module):
    """A convolution and an LSTM over time, 0.08 million parameters: the smallest student.

    A 5x5 convolution with stride 2, no padding and no activation gives 32 channels; an LSTM of 64
    units reads one frame of them a step; its last state is classified. 83,784 parameters for 20
    bands and 8 classes.

    Source: the published distillation system for urban sound tagging.
    Differs: that system reshapes (32, T', F') into T' steps without moving the time axis to the
    front, so each step holds 32 consecutive frames of one channel and the LSTM walks the channels.
    `published_reading` does the same; by default the LSTM walks the frames. Any number of frames
    and bands from 5.
    Shapes: (B, C, T, F) -> logits (B, K), embedding (B, 64), one map (B, 32, T', F') with
    T' = (T - 5) // 2 + 1 and F' alike. Raises ConfigError for fewer than 5 frames or bands.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        input_shape: tuple[int, int, int],
        published_reading: bool = False,
    ) -> None:
        super().__init__()
        channels, _, bands = check_mel_shape("cnn_lstm", input_shape, frames=5, bands=5)
        self.published_reading = published_reading
        self.conv = nn.Conv2d(channels, CHANNELS, 5, stride=2)
        self.lstm = nn.LSTM(CHANNELS * ((bands - 5) // 2 + 1), HIDDEN, batch_first=True)
        self.classifier = nn.Linear(HIDDEN, num_classes)

    def forward(self, x: Tensor) -> Output:
        features = self.conv(x)
        batch, _, frames, _ = features.shape
        ordered = features if self.published_reading else features.transpose(1, 2)
        steps, _ = self.lstm(ordered.reshape(batch, frames, self.lstm.input_size))
        embedding = steps[:, -1]
        return Output(self.classifier(embedding), embedding, (features,))
