"""Any kind of pixels to 8-bit RGB: bit depths, palettes, transparency and colour profiles.

Beside `methods.images`, which decides what may be read at all. Pillow's own conversions clip 16-bit and float
pixels to white, drop transparency onto whatever colour lies below it, and ignore colour profiles, all in silence.
Here each is converted as a viewer would show it, and noted.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from methods.images.containers import Samples
from methods.images.errors import DamagedError, ImageError, UnsupportedError

_ROWS = 256  # Deep pixels are converted in strips of rows, so that the float copy stays small.
_MAX_PROFILE_BYTES = 4 * 2**20
_WHITE = 255


def to_workable(image: Image.Image, notes: list[str], samples: Samples) -> Image.Image:
    """A mode in which Pillow can scale well (L, LA, RGB, RGBA, CMYK, LAB), with at most 8 bits per channel.

    Args:
        image: loaded.
        notes: gets a sentence where values were scaled.
        samples: what the file declares of them.

    Raises:
        ImageError: the pixel values are not numbers, or the mode is unknown.
    """
    mode = image.mode
    deep = mode == "F" or mode.startswith("I")
    if samples.bits > 8 and not deep:  # Its reader has already scaled it and does not report it.
        notes.append(_depth_note(samples.bits))
    if mode in ("L", "LA", "RGB", "RGBA", "CMYK", "LAB"):
        if mode in ("L", "RGB") and "transparency" in image.info:
            return image.convert("RGBA")
        return image
    if deep:
        return _deep_to_8_bit(image, notes, samples)
    if mode == "P":
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    target = {"1": "L", "PA": "RGBA", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "YCbCr": "RGB", "HSV": "RGB"}.get(mode)
    if target is None:
        raise UnsupportedError(f"{mode} pixels")
    if mode == "1" and "transparency" in image.info:
        target = "RGBA"
    return image.convert(target)


def to_rgb(image: Image.Image, profile: object, notes: list[str]) -> Image.Image:
    """8-bit RGB in the sRGB colour space, transparency laid on white.

    Args:
        image: in one of the modes that `to_workable` gives.
        profile: the embedded ICC profile's bytes, or None.
    """
    if image.mode in ("LA", "RGBA"):
        image = _on_white(image, notes)
    colours = {"CMYK": "CMYK (print) colours", "LAB": "Lab colours"}.get(image.mode)
    converted = _with_profile(image, profile, colours, notes) if profile else None
    if converted is not None:
        return converted
    if colours:
        notes.append(f"Its {colours} were converted to RGB without a colour profile.")
    return image if image.mode == "RGB" else image.convert("RGB")


# --- 16 bits, 32 bits, float ------------------------------------------------------------------------------------------


def _depth_note(bits: int) -> str:
    return f"Its {bits}-bit values were scaled to 8 bits."


def _deep_to_8_bit(image: Image.Image, notes: list[str], samples: Samples) -> Image.Image:
    """Grey of more than 8 bits. The declared range, or else the full range of the number format, becomes 0..255:
    stretching to the image's own darkest and brightest pixel would change the contrast, a part of its quality."""
    low, high = np.inf, -np.inf
    for strip in _strips(image):
        if not np.isfinite(strip).all():
            raise ImageError("Some of the image's float values are not numbers; replace them and save it again.")
        low, high = min(low, float(strip.min())), max(high, float(strip.max()))
    white = samples.white or (65_535 if image.mode.startswith("I;16") else None)
    if white is not None:
        if high > white:
            raise DamagedError(f"its brightest value is {high:g}, but it declares {white} to be white")
        low, span, how = 0.0, float(white), _depth_note(samples.bits if samples.bits > 8 else 16)
    elif image.mode == "F" and low >= 0 and high <= 1:
        low, span, how = 0.0, 1.0, "Its float values from 0 to 1 were scaled to 8 bits."
    elif low >= 0 and high <= 255:
        low, span, how = 0.0, 255.0, "Its values from 0 to 255 were rounded to 8 bits."
    elif low >= 0 and high <= 65535:
        low, span, how = 0.0, 65535.0, _depth_note(16)
    else:
        span = high - low
        how = f"Its values from {low:g} to {high:g} were stretched to 8 bits."
    notes.append(how)
    transparent = image.info.get("transparency")
    result = Image.new("L", image.size)
    top = 0
    for strip in _strips(image):
        scaled = np.rint((strip.astype(np.float64) - low) * (255.0 / span)).astype(np.uint8)
        if samples.inverted:
            scaled = 255 - scaled
        if isinstance(transparent, int) and image.mode.startswith("I"):
            scaled[strip == transparent] = _WHITE
        result.paste(Image.fromarray(scaled), (0, top))
        top += len(strip)
    return result


def _strips(image: Image.Image) -> Iterator[np.ndarray]:
    """Arrays [rows, width] from top to bottom."""
    for top in range(0, image.height, _ROWS):
        yield np.asarray(image.crop((0, top, image.width, min(top + _ROWS, image.height))))


# --- transparency -----------------------------------------------------------------------------------------------------


def _on_white(image: Image.Image, notes: list[str]) -> Image.Image:
    alpha = image.getchannel("A")
    opaque = alpha.getextrema()[0] == 255
    mode = "L" if image.mode == "LA" else "RGB"
    colours = image.convert(mode)
    if opaque:
        return colours
    notes.append("Its transparent parts were laid on white.")
    result = Image.new(mode, image.size, "white")
    result.paste(colours, mask=alpha)
    return result


# --- colour profiles --------------------------------------------------------------------------------------------------

_SPACES = {"RGB": "RGB", "CMYK": "CMYK", "GRAY": "L", "Lab": "LAB"}


def _with_profile(image: Image.Image, profile: object, colours: str | None, notes: list[str]) -> Image.Image | None:
    """The image in sRGB through its embedded profile; None where the profile does not belong to the pixels or
    changes nothing."""
    unusable = "Its colour profile is damaged and was ignored."
    if image.mode not in _SPACES.values():
        return None
    if not isinstance(profile, bytes) or len(profile) > _MAX_PROFILE_BYTES:
        notes.append(unusable)
        return None
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if _SPACES.get(space) != image.mode:
            # A leftover of another version of the file, for example an RGB profile on an image made grey.
            return None
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), image.mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )  # fmt: skip
        change, sane = _effect(image.mode, lambda part: ImageCms.applyTransform(part, transform) or part)
        if not sane:
            notes.append(unusable)
            return None
        if image.mode in ("RGB", "L") and change <= 3:
            return None
        converted = ImageCms.applyTransform(image, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        notes.append(unusable)
        return None
    name = "Its colours" if colours is None else f"Its {colours}"
    notes.append(f"{name} were converted to sRGB with its embedded colour profile.")
    return converted


def _effect(mode: str, apply: Callable[[Image.Image], Image.Image | None]) -> tuple[int, bool]:
    """How far a profile moves colours (levels of 255), and whether it leaves white bright and black darker.

    Measured on a few hundred colours before a whole photo is handed to it: most profiles are sRGB under some name,
    and a damaged one can turn everything black.
    """
    steps = np.linspace(0, 255, 8).round().astype(np.uint8)
    channels = {"L": 1}.get(mode, 3)
    lattice = np.stack(np.meshgrid(*[steps] * channels, indexing="ij"), axis=-1).reshape(1, -1, channels)
    if mode == "CMYK":
        lattice = np.concatenate([lattice, np.zeros_like(lattice[..., :1])], axis=-1)
        white, black = 0, -1  # Ink: none is white.
    else:
        white, black = -1, 0
    pixels = lattice[..., 0] if mode == "L" else lattice
    sample = Image.frombytes(mode, (pixels.shape[1], 1), np.ascontiguousarray(pixels).tobytes())
    result = np.asarray(apply(sample)).astype(int)[0]
    if mode == "LAB":  # The lattice's ends are not its white and black.
        return 255, True
    sane = bool(result[white].mean() >= 192 and result[black].mean() <= result[white].mean() - 64)
    change = 255 if mode == "CMYK" else int(np.abs(result - lattice[0].astype(int)).max())
    return change, sane

