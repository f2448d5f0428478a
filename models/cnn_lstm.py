"""The smallest student of the published urban sound tagging system."""

from torch import Tensor, nn

from models.output import Output
from models.shapes import check_mel_shape

CHANNELS = 32
HIDDEN = 64


class CnnLstm(nn.Module):
    """A convolution and an LSTM over time, 0.08 million parameters.

    A 5x5 convolution with stride 2, no padding and no activation has 32 output channels; an LSTM of
    64 units reads one frame of them per step; a linear layer classifies its last hidden state.
    83,784 parameters for 20 bands and 8 classes.

    Options:
        time_first: whether the steps of the LSTM are frames. If not, (32, T', F') is reshaped into
            T' steps without a transpose, as in the published system: a step then contains
            consecutive frames of one channel, and the LSTM steps through the channels.

    Source: the published distillation system for urban sound tagging.
    Differs: `time_first` by default; any number of frames and bands from 5.
    Shapes: (B, C, T, F) -> logits (B, K), embedding (B, 64), one map (B, 32, T', F') with
    T' = (T - 5) // 2 + 1, likewise F'. Raises ConfigError for fewer than 5 frames or bands.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        input_shape: tuple[int, int, int],
        time_first: bool = True,
    ) -> None:
        super().__init__()
        channels, _, bands = check_mel_shape("cnn_lstm", input_shape, frames=5, bands=5)
        self.time_first = time_first
        self.conv = nn.Conv2d(channels, CHANNELS, 5, stride=2)
        self.lstm = nn.LSTM(CHANNELS * ((bands - 5) // 2 + 1), HIDDEN, batch_first=True)
        self.classifier = nn.Linear(HIDDEN, num_classes)

    def forward(self, x: Tensor) -> Output:
        features = self.conv(x)
        batch, _, frames, _ = features.shape
        ordered = features.transpose(1, 2) if self.time_first else features
        steps, _ = self.lstm(ordered.reshape(batch, frames, self.lstm.input_size))
        embedding = steps[:, -1]
        return Output(self.classifier(embedding), embedding, (features,))
