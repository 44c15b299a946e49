"""The damages that KADID-10k does not have: same shape, same seed same pixels, each level further from the photo."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from methods.embedded import damages
from methods.errors import InputError


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """uint8 [240, 320, 3]: smooth areas, edges and texture."""
    rng = np.random.default_rng(0)
    smooth = gaussian_filter(rng.standard_normal((240, 320, 3)), (14, 14, 0))
    image = 128 + 45 * smooth / smooth.std()
    image[60:160, 80:200] = (210, 170, 60)
    image[180:, 220:] += 25 * rng.standard_normal((60, 100, 3))
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", damages.NAMES)
def test_a_damage_repeats_and_grows_with_its_level(name: str, photo: np.ndarray) -> None:
    before = photo.copy()
    ladder = [damages.damage(photo, name, level, rng=4) for level in damages.LEVELS]
    assert (photo == before).all()
    assert all(image.shape == photo.shape and image.dtype == np.uint8 for image in ladder)
    assert (damages.damage(photo, name, 3, rng=4) == ladder[2]).all()
    apart = [np.abs(image.astype(float) - photo).mean() for image in ladder]
    assert apart[0] > 0
    # Two damages at once may draw a weaker first one, so only the ends are compared there.
    assert apart[0] < apart[4] if name == "two at once" else apart == sorted(apart), apart


@pytest.mark.parametrize("shape", [(32, 32), (33, 200), (500, 47)])
@pytest.mark.parametrize("name", damages.NAMES)
def test_any_shape_is_kept(name: str, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert damages.damage(image, name, 5, rng=0).shape == image.shape


def test_what_is_not_there_is_a_sentence(photo: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"There is no damage 'hole'.*holes"):
        damages.damage(photo, "hole", 1, rng=0)
    with pytest.raises(InputError, match="Levels run from 1 to 5, not 6"):
        damages.damage(photo, "holes", 6, rng=0)


def test_every_damage_has_a_family_and_some_are_held_out() -> None:
    assert sorted(name for family in damages.FAMILIES.values() for name in family) == sorted(damages.NAMES)
    assert set(damages.RENDERED_HELD_OUT) < set(damages.FAMILIES["rendering faults"])
