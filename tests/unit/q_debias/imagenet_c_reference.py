"""The definitions of ImageNet-C's four distortions written out pixel by pixel, to check the fast ones against.

Nothing here uses OpenCV: Canny, the chamfer distance, histogram equalisation and the rest are spelled out in plain
Python, so that agreement says something. Slow, for small pictures only.
"""

from __future__ import annotations

import colorsys
import math

import numpy as np
from scipy import ndimage


def zoom_blur(image, factors, extra_original=True):
    height, width = image.shape[:2]
    layers = [image] if extra_original else []
    for factor in factors:
        rows, columns = math.ceil(height / factor), math.ceil(width / factor)
        top, left = (height - rows) // 2, (width - columns) // 2
        zoomed = ndimage.zoom(image[top : top + rows, left : left + columns], (factor, factor, 1), order=1)
        top, left = (zoomed.shape[0] - height) // 2, (zoomed.shape[1] - width) // 2
        layers.append(zoomed[top : top + height, left : left + width])
    return np.clip(np.mean(layers, axis=0), 0, 1)


def saturate(image, scale, shift):
    result = np.empty_like(image)
    for index in np.ndindex(image.shape[:2]):
        hue, saturation, value = colorsys.rgb_to_hsv(*image[index])
        result[index] = colorsys.hsv_to_rgb(hue, min(max(saturation * scale + shift, 0), 1), value)
    return result


def fog(image, rng, strength, decay, rescale=True):
    height, width = image.shape[:2]
    side = 4
    while side < max(height, width):
        side *= 2
    foggy = image + strength * plasma_square(side, rng, decay)[:height, :width, None]
    if rescale:
        foggy = foggy * image.max() / (image.max() + strength)
    return np.clip(foggy, 0, 1)


def plasma_square(side, rng, decay):
    """Diamond-square on a torus, one point at a time."""
    field = np.zeros((side, side))
    step, wibble = side, 100.0
    while step >= 2:
        half = step // 2
        count = side // step
        draws = [wibble * rng.uniform(-wibble, wibble, (count, count)) for _ in range(3)]
        for i in range(count):
            for j in range(count):
                top, left = i * step, j * step
                around = [field[(top + a) % side, (left + b) % side] for a in (0, step) for b in (0, step)]
                field[top + half, left + half] = sum(around) / 4 + draws[0][i, j]
        for i in range(count):
            for j in range(count):
                for (row, column), draw in (((i * step, j * step + half), draws[1]),
                                            ((i * step + half, j * step), draws[2])):
                    around = [field[(row + a) % side, (column + b) % side]
                              for a, b in ((half, 0), (-half, 0), (0, half), (0, -half))]
                    field[row, column] = sum(around) / 4 + draw[i, j]
        step, wibble = half, wibble / decay
    field -= field.min()
    return field / field.max()


def spatter(image, rng, mean, std, sigma, threshold, strength, mud):
    liquid = ndimage.gaussian_filter(rng.normal(mean, std, image.shape[:2]), sigma, mode="nearest", truncate=4)
    liquid[liquid < threshold] = 0
    if mud:
        mask = ndimage.gaussian_filter((liquid > threshold).astype(float), strength, mode="nearest", truncate=4)
        mask[mask < 0.8] = 0
        colour = np.array([63, 42, 20]) / 255
        return np.clip(image * (1 - mask[..., None]) + colour * mask[..., None], 0, 1)
    mask = water_mask((liquid * 255).astype(np.uint8), strength)
    return np.clip(image + mask[..., None] * np.array([175, 238, 238]) / 255, 0, 1)


def water_mask(liquid, strength):
    distance = chamfer_distance(~canny(liquid, 50, 150))
    distance = box3(np.minimum(distance, 20)).astype(np.uint8)
    distance = equalise(distance)
    kernel = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    embossed = ndimage.correlate(distance.astype(int), kernel, mode="mirror").clip(0, 255)
    mask = liquid.astype(float) * np.rint(box3(embossed))
    return mask / mask.max() * strength if mask.max() > 0 else mask


def box3(field):
    padded = np.pad(field.astype(float), 1, mode="reflect")
    height, width = field.shape
    return sum(padded[i : i + height, j : j + width] for i in range(3) for j in range(3)) / 9


def canny(image, low, high):
    """Edges: 3 x 3 Sobel, the sum of absolute gradients, thinning in four directions, hysteresis over 8 neighbours."""
    padded = np.pad(image.astype(int), 1, mode="edge")
    height, width = image.shape
    down = np.zeros((height, width), int)
    right = np.zeros((height, width), int)
    for i in range(height):
        for j in range(width):
            w = padded[i : i + 3, j : j + 3]
            right[i, j] = (w[:, 2] - w[:, 0]) @ (1, 2, 1)
            down[i, j] = (w[2] - w[0]) @ (1, 2, 1)
    magnitude = np.pad(np.abs(right) + np.abs(down), 1)
    candidate = np.zeros((height, width), bool)
    for i in range(height):
        for j in range(width):
            m = magnitude[i + 1, j + 1]
            if m <= low:
                continue
            x, y = abs(right[i, j]), abs(down[i, j])
            if y < x * math.tan(math.pi / 8):
                before, after, strict = (0, -1), (0, 1), False
            elif y > x * math.tan(3 * math.pi / 8):
                before, after, strict = (-1, 0), (1, 0), False
            else:
                side = -1 if (right[i, j] < 0) != (down[i, j] < 0) else 1
                before, after, strict = (-1, -side), (1, side), True
            first = magnitude[i + 1 + before[0], j + 1 + before[1]]
            second = magnitude[i + 1 + after[0], j + 1 + after[1]]
            candidate[i, j] = m > first and (m > second if strict else m >= second)
    labels, _ = ndimage.label(candidate, structure=np.ones((3, 3)))
    strong = np.unique(labels[candidate & (magnitude[1:-1, 1:-1] > high)])
    return candidate & np.isin(labels, strong)


def chamfer_distance(inside):
    """Distance to the nearest False by the 5 x 5 chamfer: 1 straight, 1.4 diagonal, 2.1969 a knight's move.

    In single precision, because means of it are cut to whole numbers next, and 9 * 1.4 is not 12.6 there.
    """
    height, width = inside.shape
    far = np.float32(1e6)
    field = np.pad(np.where(inside, far, np.float32(0)), 2, constant_values=far)
    moves = [(0, -1, 1.0), (-1, 0, 1.0), (-1, -1, 1.4), (-1, 1, 1.4),
             (-1, -2, 2.1969), (-1, 2, 2.1969), (-2, -1, 2.1969), (-2, 1, 2.1969)]
    for sign in (1, -1):
        for i in range(height)[::sign]:
            for j in range(width)[::sign]:
                for a, b, cost in moves:
                    other = field[i + 2 + sign * a, j + 2 + sign * b] + np.float32(cost)
                    field[i + 2, j + 2] = min(field[i + 2, j + 2], other)
    return field[2:-2, 2:-2]


def equalise(image):
    counts = np.bincount(image.ravel(), minlength=256)
    lowest = int(np.flatnonzero(counts)[0])
    if counts[lowest] == image.size:
        return image
    below = np.cumsum(counts) - counts[lowest]
    below[: lowest + 1] = 0
    return np.rint(below * np.float32(255 / (image.size - counts[lowest]))).astype(np.uint8)[image]
