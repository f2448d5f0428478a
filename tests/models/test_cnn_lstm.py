import torch

from models import MODELS

INPUT_SHAPE = (1, 45, 20)  # 21 frames of 32 x 8 after the convolution


def build(published_reading):
    torch.manual_seed(0)
    return MODELS["cnn_lstm"](
        num_classes=8, input_shape=INPUT_SHAPE, published_reading=published_reading
    ).eval()


def test_it_walks_the_frames():
    """Each step is one frame; stepping the LSTM by hand over the frames gives the same."""
    model = build(False)
    output = model(torch.randn(2, *INPUT_SHAPE))
    feature, state = output.maps[-1], None
    for frame in range(21):
        step = feature[:, :, frame].reshape(2, 1, 256)  # channels x bands
        last, state = model.lstm(step, state)
    torch.testing.assert_close(output.embedding, last[:, 0])


def test_the_published_reading_reshapes_without_moving_an_axis():
    model = build(True)
    output = model(torch.randn(2, *INPUT_SHAPE))
    steps, _ = model.lstm(output.maps[-1].view(2, 21, 256))
    torch.testing.assert_close(output.embedding, steps[:, -1])


def test_the_readings_differ_and_share_their_weights():
    correct, published = build(False), build(True)
    published.load_state_dict(correct.state_dict())
    x = torch.randn(2, *INPUT_SHAPE)
    assert torch.equal(correct(x).maps[-1], published(x).maps[-1])
    assert not torch.allclose(correct(x).logits, published(x).logits)


def test_the_convolution_has_no_activation():
    assert build(False)(torch.randn(2, *INPUT_SHAPE)).maps[-1].min() < 0
