"""The tower sees each distinct picture once, and what comes out, forwards and backwards, is as if it saw them all."""

import pytest
import torch

from methods.torchvision_compat import ensure_torchvision

ensure_torchvision()

from transformers.modeling_outputs import BaseModelOutputWithPooling  # noqa: E402

from methods.visualquality_r1.training.vision import distinct, encode_once, freeze_tower, remember  # noqa: E402


class Tower(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.map = torch.nn.Conv2d(3, 4, 2)
        self.passes = []

    def forward(self, pixel_values, **_):
        self.passes.append(len(pixel_values))
        hidden = self.map(pixel_values)
        return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=hidden.mean(dim=(2, 3)))


class Stacked(torch.nn.Module):
    """Pictures are [n, channels, height, width]; the features are one tensor."""

    def __init__(self):
        super().__init__()
        self.vision_tower = Tower()

    def get_image_features(self, pixel_values, vision_feature_layer=None, **kwargs):
        output = self.vision_tower(pixel_values, **kwargs)
        output.pooler_output = output.last_hidden_state.flatten(2).transpose(1, 2)
        return output


class Patched(torch.nn.Module):
    """Pictures are runs of patches; the features are one tensor a picture, and so are two further layers of them."""

    def __init__(self):
        super().__init__()
        self.visual = torch.nn.Linear(5, 4)
        self.passes = []

    def get_image_features(self, pixel_values, image_grid_thw=None):
        self.passes.append(len(image_grid_thw))
        parts = self.visual(pixel_values).split(image_grid_thw.prod(-1).tolist())
        output = BaseModelOutputWithPooling(last_hidden_state=pixel_values, pooler_output=parts)
        output.deepstack_features = [parts, tuple(2 * part for part in parts)]
        return output


class Network(torch.nn.Module):
    def __init__(self, base):
        super().__init__()
        self.model = base


def gradient(module, features):
    module.zero_grad()
    weights = torch.linspace(-1, 1, features.numel()).view_as(features)
    (features * weights).sum().backward()
    return [parameter.grad.clone() for parameter in module.parameters()]


def test_copies_of_a_picture_share_one_pass_and_add_their_gradients_up():
    torch.manual_seed(0)
    pictures = torch.randn(3, 3, 6, 6)
    batch = pictures[[0, 1, 0, 2, 1, 0]]
    base = Stacked()
    plain = base.get_image_features(batch).pooler_output
    expected = gradient(base, plain)
    encode_once(Network(base))
    features = base.get_image_features(pixel_values=batch, vision_feature_layer=-1).pooler_output
    assert base.vision_tower.passes == [6, 3]
    torch.testing.assert_close(features, plain)
    for one, other in zip(gradient(base, features), expected, strict=True):
        torch.testing.assert_close(one, other)


def test_pictures_that_come_as_patches_are_told_apart_by_their_grids():
    torch.manual_seed(0)
    first, second = torch.randn(4, 5), torch.randn(6, 5)
    grid = torch.tensor([[1, 2, 2], [1, 2, 3], [1, 2, 2], [1, 4, 1]])
    patches = torch.cat([first, second, first, second[:4]])
    base = Patched()
    plain = base.get_image_features(patches, grid)
    encode_once(Network(base))
    output = base.get_image_features(patches, grid)
    assert base.passes == [4, 3]
    for one, other in zip(output.pooler_output, plain.pooler_output, strict=True):
        torch.testing.assert_close(one, other)
    for layer, expected in zip(output.deepstack_features, plain.deepstack_features, strict=True):
        for one, other in zip(layer, expected, strict=True):
            torch.testing.assert_close(one, other)


def test_pictures_that_differ_in_one_value_are_two():
    picture = torch.zeros(3, 40, 40)
    other = picture.clone()
    other[1, 7, 9] = 1e-6
    assert distinct([picture, other, picture.clone(), picture[:, :20]]) == ([0, 1, 3], [0, 1, 0, 2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_frozen_tower_sees_a_picture_once_a_run(dtype):
    torch.manual_seed(0)
    pictures = torch.randn(4, 3, 6, 6, dtype=dtype)
    base = Stacked().to(dtype)
    plain = base.vision_tower(pictures).last_hidden_state
    freeze_tower(Network(base))
    first = base.vision_tower(pictures[[0, 1, 0]]).last_hidden_state
    second = base.vision_tower(pictures[[2, 1, 3, 0]]).last_hidden_state
    assert base.vision_tower.passes == [4, 2, 2]
    torch.testing.assert_close(first, plain[[0, 1, 0]])
    torch.testing.assert_close(second, plain[[2, 1, 3, 0]])
    assert not any(parameter.requires_grad for parameter in base.vision_tower.parameters())
    assert not first.requires_grad


def test_what_was_seen_in_inference_mode_can_be_trained_on():
    base = Stacked()
    memory = freeze_tower(Network(base))
    pictures = torch.randn(2, 3, 6, 6)
    with torch.inference_mode():
        base.vision_tower(pictures)
    (torch.ones(4, 5, 5, requires_grad=True) * base.vision_tower(pictures).last_hidden_state).sum().backward()
    assert base.vision_tower.passes == [2]
    # A reference model's tower with the same weights needs no pass of its own.
    twin = Stacked()
    freeze_tower(Network(twin), memory)
    torch.testing.assert_close(twin.vision_tower(pictures), base.vision_tower(pictures))
    assert twin.vision_tower.passes == []


def test_the_memory_of_a_frozen_tower_is_bounded():
    tower = Tower().requires_grad_(False)
    pictures = torch.randn(3, 3, 6, 6)
    size = 4 * (4 * 5 * 5 + 4)
    memory = {}
    remember(tower, memory, kept_bytes=2 * size)
    for _ in range(2):
        tower(pictures)
    assert len(memory) == 2
    assert tower.passes == [3, 1]


def test_a_model_whose_tower_is_unknown_is_not_frozen_by_halves():
    with pytest.raises(ValueError, match="no vision tower"):
        freeze_tower(Network(torch.nn.Linear(2, 2)))
