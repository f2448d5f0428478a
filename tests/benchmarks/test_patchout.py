import torch

from benchmarks.patchout import CONTENDERS, LEFT, SHAPE, Training, saved_bytes


def test_bytes_are_those_of_the_tensors_saved_for_the_backward_pass():
    model, x = torch.nn.Linear(4, 5), torch.randn(3, 4)
    # the input, for the weight; the layer's output, for the square; the square is not needed
    assert saved_bytes(model, lambda: model(x).square().sum()) == 4 * (3 * 4 + 3 * 5)


def test_both_kinds_of_patchout_leave_as_many_patches_and_use_less_memory():
    torch.manual_seed(0)
    patches, memory = {}, {}
    for name, options in CONTENDERS.items():
        training = Training("micro", options | {"depth": 1}, 1, torch.device("cpu"))
        memory[name] = training.memory()
        with torch.no_grad():
            patches[name] = training.model(torch.zeros(1, *SHAPE)).maps[-1][0].numel() // 128
    assert patches == {"full": 99 * 12, "structured": LEFT, "unstructured": LEFT}
    assert memory["structured"] < 0.5 * memory["full"]
    assert memory["unstructured"] < 0.5 * memory["full"]
