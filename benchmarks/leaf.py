"""What the embedded student costs: images per second in batches, and the wait for one 1-megapixel photo.

    python benchmarks/leaf.py [--pictures 64]

Times include decoding JPEG files. Prints the same work done one picture after another on all cores beside it.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from methods.leaf.student import Student
from methods.lmm.cpu import cores

REPEATS = 7


def jpeg(width: int, height: int, seed: int) -> bytes:
    """A JPEG file with the detail of a photo: noise at several scales."""
    rng = np.random.default_rng(seed)
    picture = Image.fromarray(rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8))
    picture = picture.resize((width, height), Image.Resampling.BICUBIC).filter(ImageFilter.UnsharpMask(3, 80))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=int, default=64, help="pictures of 500x500 in the batch")
    count = parser.parse_args().pictures
    student = Student.load()
    batch = [jpeg(500, 500, seed) for seed in range(count)]
    megapixel = jpeg(1152, 868, 0)
    student.predict(batch[:4])
    student.predict([megapixel])

    rates, busy = [], []
    for _ in range(REPEATS):
        start, used = time.perf_counter(), time.process_time()
        together = student.predict(batch)
        rates.append(count / (time.perf_counter() - start))
        busy.append(1000 * (time.process_time() - used) / count)
    start = time.perf_counter()
    alone = np.array([student.predict([file])[0] for file in batch])
    one_by_one = time.perf_counter() - start
    waits = []
    for _ in range(15):
        start = time.perf_counter()
        student.predict([megapixel])
        waits.append(1000 * (time.perf_counter() - start))
    print(f"cores {cores()}")
    print(f"batch of {count}, 500x500: median {statistics.median(rates):.1f} pictures/s, fastest {max(rates):.1f} "
          f"({min(busy):.0f} to {max(busy):.0f} ms of one core per image); one by one {count / one_by_one:.1f}/s; "
          f"largest difference {np.abs(together - alone).max():.1e}")
    print(f"1-megapixel photo: median {statistics.median(waits):.0f} ms, fastest {min(waits):.0f} ms")


if __name__ == "__main__":
    main()
