"""Sound files of every format that is read, damaged in the three ways that happen: cut, filled with zeros, flipped.

`python -m tests.images.damage --trials 300` counts what becomes of them, per format and kind of damage.
"""

from __future__ import annotations

import argparse
import functools
import io
import struct
import warnings
from collections import Counter
from collections.abc import Callable

import numpy as np
from PIL import Image

from methods.images import ImageError, decode
from tests.images.pictures import encoded, png, png_rows, scene, tiff, tiff_tags

SIZE = (160, 120)


@functools.cache
def photo() -> Image.Image:
    """A smooth scene under the grain of a camera, so that every part of a file matters to some pixel."""
    grain = np.random.default_rng(5).normal(0, 12, (SIZE[1], SIZE[0], 3))
    return Image.fromarray((np.asarray(scene(*SIZE)) * 0.8 + 25 + grain).clip(0, 255).round().astype(np.uint8))


def _deep() -> np.ndarray:
    return np.asarray(photo()).astype(np.uint16) * 257


def _with_alpha() -> Image.Image:
    picture = photo().convert("RGBA")
    picture.putalpha(photo().convert("L"))
    return picture


def deep_avif(samples: np.ndarray, bits: int) -> bytes:
    """A 10- or 12-bit AVIF of uint16 [H, W, 3] of the full 16-bit range."""
    import cv2

    scaled = np.rint(samples * ((2**bits - 1) / 65535)).astype(np.uint16)
    wanted = [cv2.IMWRITE_AVIF_DEPTH, bits, cv2.IMWRITE_AVIF_QUALITY, 95]
    done, content = cv2.imencode(".avif", scaled[..., ::-1], wanted)
    assert done
    return content.tobytes()


def deep_heif(samples: np.ndarray, bits: int) -> bytes:
    """A 10- or 12-bit HEIC of uint16 [H, W, 3] of the full 16-bit range."""
    import pillow_heif

    pillow_heif.options.SAVE_HDR_TO_12_BIT = bits == 12
    buffer = io.BytesIO()
    try:
        pillow_heif.encode("RGB;16", samples.shape[1::-1], samples.tobytes(), buffer, quality=95)
    finally:
        pillow_heif.options.SAVE_HDR_TO_12_BIT = False
    return buffer.getvalue()


def bmp_rle(indices: np.ndarray, four_bits: bool, palette: np.ndarray) -> bytes:
    """A run-length-coded BMP of an index array [H, W], by turns in encoded runs and literal ones.

    Args:
        indices: uint8, below 16 where `four_bits`.
        palette: uint8 [colours, 3], RGB.
    """
    data = bytearray()
    for row in indices[::-1]:
        place = 0
        while place < len(row):
            run = 1
            while place + run < len(row) and row[place + run] == row[place] and run < 255:
                run += 1
            literal = row[place:place + 7]
            if run > 2 or len(literal) < 3:
                value = int(row[place])
                data += bytes([run, value * 17 if four_bits else value])
                place += run
                continue
            data += bytes([0, len(literal)])
            if four_bits:
                padded = np.append(literal, 0)[: (len(literal) + 1) // 2 * 2]
                packed = (padded[::2] << 4 | padded[1::2]).astype(np.uint8).tobytes()
            else:
                packed = literal.tobytes()
            data += packed + bytes(len(packed) % 2)
            place += len(literal)
        data += b"\0\0"
    data[-2:] = b"\0\1"
    height, width = indices.shape
    colours = b"".join(bytes([*colour[::-1], 0]) for colour in palette.tolist())
    bits, compression = (4, 2) if four_bits else (8, 1)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 0, 0, len(palette), 0)
    start = 14 + len(info) + len(colours)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + info + colours + bytes(data)


def _bmp(four_bits: bool) -> bytes:
    picture = photo().quantize(16 if four_bits else 200)
    palette = np.array(picture.getpalette()[: 3 * (16 if four_bits else 256)], np.uint8).reshape(-1, 3)
    return bmp_rle(np.asarray(picture), four_bits, palette)


def _tiled_tiff() -> bytes:
    """Uncompressed grey in four tiles of 80 x 64, the lower ones reaching beyond the picture."""
    grey = np.zeros((128, 160), np.uint8)
    grey[:120] = np.asarray(photo().convert("L"))
    tiles = [grey[top:top + 64, left:left + 80].tobytes() for top in (0, 64) for left in (0, 80)]
    plain = {tag: (kind, count, value) for tag, kind, count, value in tiff_tags(*SIZE) if tag not in (273, 278, 279)}
    after = 8 + 2 + 12 * (len(plain) + 4) + 4
    plain |= {322: (4, 1, 80), 323: (4, 1, 64), 324: (4, 4, after), 325: (4, 4, after + 16)}
    places = [after + 32 + number * 80 * 64 for number in range(4)]
    return tiff([(tag, *entry) for tag, entry in plain.items()],
                struct.pack("<4I4I", *places, *[80 * 64] * 4) + b"".join(tiles))  # fmt: skip


def _frames(file_format: str, **settings: object) -> bytes:
    return encoded(photo(), file_format, save_all=True, append_images=[photo().rotate(180)], **settings)


FILES: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: encoded(photo(), "PNG"),
    "PNG 16": lambda: png(*SIZE, depth=16, pixels=png_rows(_deep().astype(">u2"))),
    "PNG palette": lambda: encoded(photo().quantize(64), "PNG", transparency=3),
    "APNG": lambda: _frames("PNG"),
    "TIFF deflate": lambda: encoded(photo(), "TIFF", compression="tiff_adobe_deflate"),
    "JPEG": lambda: encoded(photo(), "JPEG", quality=85),
    "JPEG optimised": lambda: encoded(photo(), "JPEG", quality=85, optimize=True),
    "JPEG progressive": lambda: encoded(photo(), "JPEG", quality=85, progressive=True),
    "JPEG restarts": lambda: encoded(photo(), "JPEG", quality=85, restart_marker_rows=1),
    "JPEG CMYK": lambda: encoded(photo().convert("CMYK"), "JPEG", quality=85),
    "JPEG grey": lambda: encoded(photo().convert("L"), "JPEG", quality=85),
    "MPO": lambda: _frames("MPO", quality=85),
    "TIFF JPEG": lambda: encoded(photo(), "TIFF", compression="jpeg"),
    "WebP lossy": lambda: encoded(photo(), "WEBP", quality=80),
    "WebP lossless": lambda: encoded(photo(), "WEBP", lossless=True),
    "WebP alpha": lambda: encoded(_with_alpha(), "WEBP", quality=80),
    "WebP animated": lambda: _frames("WEBP", quality=80),
    "AVIF": lambda: encoded(photo(), "AVIF", quality=80),
    "AVIF 10": lambda: deep_avif(_deep(), 10),
    "HEIC": lambda: encoded(photo(), "HEIF", quality=80),
    "HEIC grid": lambda: encoded(photo(), "HEIF", quality=80, tile_size=64),
    "HEIC 10": lambda: deep_heif(_deep(), 10),
    "GIF": lambda: encoded(photo(), "GIF"),
    "GIF animated": lambda: _frames("GIF"),
    "TIFF LZW": lambda: encoded(photo(), "TIFF", compression="tiff_lzw"),
    "TIFF PackBits": lambda: encoded(photo(), "TIFF", compression="packbits"),
    "JPEG 2000": lambda: encoded(photo(), "JPEG2000"),
    "JPEG 2000 lossy": lambda: encoded(photo(), "JPEG2000", irreversible=True, quality_layers=[8]),
    "BMP RLE4": lambda: _bmp(True),
    "BMP RLE8": lambda: _bmp(False),
    "BMP": lambda: encoded(photo(), "BMP"),
    "TIFF strips": lambda: encoded(photo(), "TIFF"),
    "TIFF tiles": _tiled_tiff,
    "PPM": lambda: encoded(photo(), "PPM"),
}


@functools.cache
def whole(name: str) -> tuple[bytes, bytes]:
    """A sound file and its decoded pixels."""
    content = FILES[name]()
    return content, decode(content).image.tobytes()


def cut(content: bytes, place: float) -> bytes:
    return content[: int(place * len(content))]


def zeroed(content: bytes, place: float, size: int) -> bytes:
    start = int(place * max(len(content) - size, 1))
    return content[:start] + bytes(min(size, len(content) - start)) + content[start + size:]


def flipped(content: bytes, place: float, mask: int) -> bytes:
    changed = bytearray(content)
    changed[int(place * len(content))] ^= mask
    return bytes(changed)


def outcome(name: str, content: bytes) -> str:
    """What becomes of a damaged file: "refused", "same" pixels, "noted" damage of metadata, or "altered" pixels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            decoded = decode(content)
        except ImageError:
            return "refused"
    if decoded.image.tobytes() == whole(name)[1] and decoded.image.size == SIZE:
        return "same"
    return "noted" if any("damaged" in note for note in decoded.notes) else "altered"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=300, help="per format and kind of damage")
    parser.add_argument("--only", default="", help="formats whose name starts so")
    arguments = parser.parse_args()
    rng = np.random.default_rng(11)
    kinds = {
        "cut": lambda content: cut(content, rng.random()),
        "zeros": lambda content: zeroed(content, rng.random(), int(rng.choice([64, 512, 4096]))),
        "flip": lambda content: flipped(content, rng.random(), 1 << int(rng.integers(8))),
    }
    print("format            kind   refused    same   noted  altered")
    for name in FILES:
        if not name.startswith(arguments.only):
            continue
        for kind, damage in kinds.items():
            counts = Counter(outcome(name, damage(whole(name)[0])) for _ in range(arguments.trials))
            columns = "".join(f"{counts[result]:8}" for result in ("refused", "same", "noted", "altered"))
            print(f"{name:17} {kind:6} {columns}", flush=True)


if __name__ == "__main__":
    main()
