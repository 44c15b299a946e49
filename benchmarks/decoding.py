"""What a complete check costs: `methods.images.decode` against Pillow alone, on a photo of 12 megapixels per format.

Run: python -m benchmarks.decoding [--repeats 5]
Both read the same bytes in turn, and each reports the least time of the processor, so that a busy machine changes the
ratio little.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable

from PIL import Image

from benchmarks.pictures import photographs
from methods.images import decode

SIZE = (4000, 3000)
FILES: dict[str, tuple[str, dict[str, object]]] = {
    "JPEG": ("JPEG", {"quality": 92}),
    "progressive JPEG": ("JPEG", {"quality": 92, "progressive": True}),
    "PNG": ("PNG", {"compress_level": 1}),
    "WebP": ("WEBP", {"quality": 90, "method": 0}),
    "TIFF with deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "HEIC in tiles": ("HEIF", {"quality": 70, "tile_size": 512}),
    "AVIF": ("AVIF", {"quality": 80, "speed": 10}),
}


def by_pillow(content: bytes) -> None:
    """What any program does that trusts its decoder."""
    with Image.open(io.BytesIO(content)) as picture:
        picture.convert("RGB").load()


def seconds(function: Callable[[bytes], object], content: bytes) -> float:
    start = time.process_time()
    function(content)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False)
    photo = photographs(1, SIZE)[0]
    print(f"{'format':20} {'MB':>6} {'Pillow s':>9} {'decode s':>9} {'ratio':>6}")
    for name, (file_format, settings) in FILES.items():
        buffer = io.BytesIO()
        photo.save(buffer, file_format, **settings)
        content = buffer.getvalue()
        pairs = [(seconds(by_pillow, content), seconds(decode, content)) for _ in range(repeats)]
        pillow, ours = (min(column) for column in zip(*pairs))
        print(f"{name:20} {len(content) / 1e6:6.1f} {pillow:9.3f} {ours:9.3f} {ours / pillow:6.2f}", flush=True)


if __name__ == "__main__":
    main()
