"""The vision tower in training: each distinct image of a batch goes through it once, and once per run if it is frozen.

GRPO shows every image K times, once for each of its answers, and TRL passes all K copies through the tower: while
sampling, for the policy, for the reference and in the backward pass. The copies' features are equal, so computing them
once and handing them to all K leaves outputs as they are and adds the K gradients up, at a K-th of the time and memory.
A frozen tower makes the same of an image in every epoch, so its outputs are kept.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from methods import files
from methods.errors import InputError

if TYPE_CHECKING:
    import torch

    from methods.lmm.loaded import Model

TOWERS = ("visual", "vision_tower", "vision_model")
"""What transformers' families call their vision tower."""

_STRIDE = 997


def encode_once(network: Model) -> None:
    """Makes `network.model.get_image_features` encode equal images of one call once; outputs stay as they were.

    Families whose images are neither rows of `pixel_values` [images, channels, height, width] nor runs of patches
    under an `image_grid_thw` are left alone.
    """
    base = network.model
    original = base.get_image_features
    names = list(inspect.signature(original).parameters)

    @functools.wraps(original)
    def distinct_only(*args: Any, **kwargs: Any) -> Any:
        arguments = {**dict(zip(names, args)), **kwargs}
        grid = arguments.get("image_grid_thw")
        images = split(arguments["pixel_values"], grid)
        # Other arguments that hold one entry per image (image_sizes) would have to be cut as well.
        others = [name for name, value in arguments.items()
                  if name not in ("pixel_values", "image_grid_thw") and hasattr(value, "shape")]
        if images is None or others:
            return original(*args, **kwargs)
        first, place = distinct(images)
        if len(first) == len(images):
            return original(*args, **kwargs)
        if grid is None:
            arguments["pixel_values"] = arguments["pixel_values"][first]
        else:
            import torch

            arguments["pixel_values"] = torch.cat([images[index] for index in first])
            arguments["image_grid_thw"] = grid[first]
        output = original(**arguments)
        output.pooler_output = _repeated(output.pooler_output, place)
        if getattr(output, "deepstack_features", None) is not None:
            output.deepstack_features = [_repeated(layer, place) for layer in output.deepstack_features]
        return output

    base.get_image_features = distinct_only


def split(pixels: torch.Tensor, grid: torch.Tensor | None) -> Sequence[torch.Tensor] | None:
    """One tensor per image; None where it is not known which rows belong to which."""
    if grid is not None:
        return pixels.split(grid.prod(dim=-1).tolist())
    return pixels.unbind() if pixels.dim() == 4 else None


def distinct(images: Sequence[torch.Tensor]) -> tuple[list[int], list[int]]:
    """Which images are the first of their kind, and for every image its place among those.

    Args:
        images: tensors of any shapes; two are one image if shape and every value agree.
    """
    import torch

    first: list[int] = []
    place: list[int] = []
    # A few values tell most images apart; only those that agree in them are compared in full.
    glimpses = [image.flatten()[::_STRIDE] for image in images]
    for index, image in enumerate(images):
        for number, other in enumerate(first):
            if (image.shape == images[other].shape and torch.equal(glimpses[index], glimpses[other])
                    and torch.equal(image, images[other])):
                place.append(number)
                break
        else:
            place.append(len(first))
            first.append(index)
    return first, place


def _repeated(features: Any, place: list[int]) -> Any:
    """The features of distinct images, dealt out again to all."""
    if isinstance(features, (list, tuple)):
        return type(features)(features[number] for number in place)
    return features[place]


KEPT_BYTES = 2**30
"""How much a frozen tower's outputs may take; images beyond that are encoded anew each time."""

Memory = dict[bytes, Any]
"""By the hash of an image's pixels: its share of the tower's outputs."""


def freeze_tower(network: Model, memory: Memory | None = None) -> Memory:
    """Takes the vision tower out of training, and keeps what it makes of each image.

    Args:
        memory: of another model whose tower has the same weights.

    Returns:
        the memory.

    Raises:
        InputError: the model has no tower under a known name.
    """
    towers = [getattr(network.model, name) for name in TOWERS if hasattr(network.model, name)]
    if not towers:
        raise InputError(f"{type(network).__name__} has no vision tower under a known name ({', '.join(TOWERS)}); "
                         "train it without --freeze-vision.")
    memory = {} if memory is None else memory
    for tower in towers:
        tower.requires_grad_(False)
        remember(tower, memory)
    return memory


def remember(tower: Model, memory: Memory, kept_bytes: int = KEPT_BYTES) -> None:
    """Makes a frozen tower return what it made of an image before.

    A tower that takes patches instead of [images, channels, height, width], or whose outputs are not all one entry a
    image, runs as before.
    """
    import torch

    original = tower.forward

    @functools.wraps(original)
    def recalled(pixel_values: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if pixel_values.dim() != 4:
            return original(pixel_values, *args, **kwargs)
        keys = [_key(image) for image in pixel_values]
        shares = {key: memory[key] for key in keys if key in memory}
        fresh = {key: index for index, key in enumerate(keys) if key not in shares}
        if fresh:
            # What a validation sees in inference mode may be trained on later.
            with torch.inference_mode(False), torch.no_grad():
                output = original(pixel_values[list(fresh.values())], *args, **kwargs)
                if any(not torch.is_tensor(value) or len(value) != len(fresh) for value in output.values()):
                    return original(pixel_values, *args, **kwargs)
                for row, key in enumerate(fresh):
                    shares[key] = type(output)(**{name: value[row].clone() for name, value in output.items()})
                    size = sum(value.nbytes for value in shares[key].values())
                    if (len(memory) + 1) * size <= kept_bytes:
                        memory[key] = shares[key]
        one = shares[keys[0]]
        return type(one)(**{name: torch.stack([shares[key][name] for key in keys]) for name in one})

    tower.forward = recalled


def _key(image: torch.Tensor) -> bytes:
    import torch

    # numpy knows no bfloat16, so the pixels are hashed as integers of their width.
    integers = {2: torch.int16, 4: torch.int32, 8: torch.int64}[image.element_size()]
    pixels = image.detach().cpu().contiguous().view(integers).numpy()
    return bytes.fromhex(files.hash_joined([pixels.tobytes()]))
