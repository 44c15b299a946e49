"""A tower with folded batch norms gives what it gave before."""

from __future__ import annotations

import pytest

from methods.lmm.cpu import fold_batch_norms
from methods.torchvision_compat import ensure_torchvision


@pytest.fixture
def tower():
    """A small EfficientNet whose batch norms and gates have something to say."""
    ensure_torchvision()
    import torch
    from transformers import EfficientNetConfig, EfficientNetModel

    torch.manual_seed(0)
    model = EfficientNetModel(EfficientNetConfig(image_size=64, width_coefficient=0.5, depth_coefficient=0.3,
                                                 hidden_dim=640)).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 2)
                module.bias.normal_(0, 0.2)
    return model


@pytest.mark.parametrize("open_gates", [False, True])
def test_the_output_stays(tower, open_gates):
    import torch

    if open_gates:
        with torch.no_grad():
            for block in tower.encoder.blocks:
                block.squeeze_excite.expand.weight.zero_()
                block.squeeze_excite.expand.bias.fill_(30)
    norms = sum(isinstance(module, torch.nn.BatchNorm2d) for module in tower.modules())
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        before = tower(pixels).last_hidden_state
        assert fold_batch_norms(tower) == norms
        after = tower(pixels).last_hidden_state
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in tower.modules())
    closed = [isinstance(block.squeeze_excite, torch.nn.Identity) for block in tower.encoder.blocks]
    assert set(closed) == {open_gates}
    torch.testing.assert_close(after, before, atol=1e-4 * float(before.abs().max()), rtol=1e-4)


def test_another_model_is_left_alone():
    import torch

    assert fold_batch_norms(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))) == 0
