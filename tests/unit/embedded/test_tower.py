"""The tower is stock transformers code; what its weights were set to do is checked on pictures."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from methods.torchvision_compat import ensure_torchvision  # noqa: E402

ensure_torchvision()

from methods.embedded.lmm import tower  # noqa: E402
from methods.lmm.reuse.towers import fused_tower  # noqa: E402

KERNELS = (3, 3, 3, 5, 5, 3, 3, 3, 5, 5, 5, 5, 5, 5, 5, 3)
CHANNELS = (16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112, 192, 192, 192, 192, 320)


def random_weights(seed: int = 0) -> dict:
    """A state dict shaped like EfficientNet-Lite0's, with activations of a sensible size."""
    generator = torch.Generator().manual_seed(seed)
    weights: dict = {}

    def convolution(name, out, inner, kernel):
        fan_in = inner * kernel * kernel
        weights[f"{name}.weight"] = torch.randn(out, inner, kernel, kernel, generator=generator) / fan_in**0.5

    def norm(name, width):
        weights[f"{name}.weight"] = torch.rand(width, generator=generator) + 0.5
        weights[f"{name}.bias"] = torch.rand(width, generator=generator) * 0.5
        weights[f"{name}.running_mean"] = torch.randn(width, generator=generator) * 0.1
        weights[f"{name}.running_var"] = torch.rand(width, generator=generator) + 0.5

    convolution("_conv_stem", 32, 3, 3)
    norm("_bn0", 32)
    inner = 32
    for index, (kernel, out) in enumerate(zip(KERNELS, CHANNELS)):
        wide = inner if index == 0 else inner * 6
        if index:
            convolution(f"_blocks.{index}._expand_conv", wide, inner, 1)
            norm(f"_blocks.{index}._bn0", wide)
        convolution(f"_blocks.{index}._depthwise_conv", wide, 1, kernel)
        norm(f"_blocks.{index}._bn1", wide)
        convolution(f"_blocks.{index}._project_conv", out, wide, 1)
        norm(f"_blocks.{index}._bn2", out)
        inner = out
    return weights


@pytest.fixture(scope="module")
def pixels():
    return torch.randn(2, 3, tower.SIZE, tower.SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def model(pixels):
    model = tower.build(random_weights())
    tower.calibrate(model, pixels)
    return model


@pytest.fixture(scope="module")
def activations(model, pixels):
    return tower.pooled_activations(fused_tower(model), pixels)


def test_activations_are_averages_over_a_whole_picture(activations):
    assert activations.shape == (2, 1, tower.WIDTH)
    assert activations.dtype == np.float32
    assert activations.std() > 0


@pytest.mark.slow
def test_installed_directions_come_out_at_the_end(model, pixels, activations):
    """Read-outs are fitted on pooled activations and run inside the network: both must agree."""
    import copy

    rng = np.random.default_rng(0)
    directions = rng.standard_normal((tower.READOUT, tower.WIDTH)).astype(np.float32)
    directions[tower.EARLY :, : tower.EARLY_WIDTH] = 0
    raw = activations.reshape(-1, tower.WIDTH) @ directions.T
    # Two pictures say little about a direction's spread; one that is nearly zero on both is not blown up.
    directions /= np.maximum(np.abs(raw).max(axis=0), np.median(np.abs(raw)))[:, None]
    tokens = activations @ directions.T
    offset = -tokens.mean(axis=(0, 1))
    installed = copy.deepcopy(model)
    tower.install(installed, directions, offset, pixels)
    with torch.no_grad():
        last = installed(pixels).last_hidden_state
    assert last.shape == (2, 1280, 1, 1)
    end = last.flatten(2).transpose(1, 2).numpy()
    signed = end[..., : tower.READOUT] - end[..., tower.READOUT : 2 * tower.READOUT]
    np.testing.assert_allclose(signed, np.clip(tokens + offset, -6, 6), atol=5e-4)
    assert not end[..., 2 * tower.READOUT :].any()


def test_later_directions_cannot_read_early_blocks(model, pixels):
    directions = np.ones((tower.READOUT, tower.WIDTH), np.float32)
    with pytest.raises(ValueError, match=f"Only the first {tower.EARLY} directions"):
        tower.install(model, directions, np.zeros(tower.READOUT), pixels)


def test_fused_tower_gives_the_same_output(model, pixels):
    with torch.no_grad():
        plain, fast = model(pixels).last_hidden_state, fused_tower(model)(pixels).last_hidden_state
    torch.testing.assert_close(plain, fast, atol=1e-4, rtol=1e-4)
