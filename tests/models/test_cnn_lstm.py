"""The order of the axes that the LSTM of cnn_lstm reads."""

import torch

from models import MODELS

INPUT_SHAPE = (1, 45, 20)  # 21 frames of 32 x 8 after the convolution


def build(time_first):
    torch.manual_seed(0)
    return MODELS["cnn_lstm"](num_classes=8, input_shape=INPUT_SHAPE, time_first=time_first).eval()


def test_the_steps_are_frames():
    """Stepping the LSTM by hand over the frames gives the same."""
    model = build(time_first=True)
    output = model(torch.randn(2, *INPUT_SHAPE))
    feature, state = output.maps[-1], None
    for frame in range(21):
        step = feature[:, :, frame].reshape(2, 1, 256)  # channels x bands
        last, state = model.lstm(step, state)
    torch.testing.assert_close(output.embedding, last[:, 0])


def test_the_published_order_reshapes_without_transposing():
    model = build(time_first=False)
    output = model(torch.randn(2, *INPUT_SHAPE))
    steps, _ = model.lstm(output.maps[-1].view(2, 21, 256))
    torch.testing.assert_close(output.embedding, steps[:, -1])


def test_both_orders_have_the_same_weights_and_different_outputs():
    correct, published = build(time_first=True), build(time_first=False)
    published.load_state_dict(correct.state_dict())
    x = torch.randn(2, *INPUT_SHAPE)
    assert torch.equal(correct(x).maps[-1], published(x).maps[-1])
    assert not torch.allclose(correct(x).logits, published(x).logits)


def test_the_convolution_has_no_activation():
    assert build(time_first=True)(torch.randn(2, *INPUT_SHAPE)).maps[-1].min() < 0
