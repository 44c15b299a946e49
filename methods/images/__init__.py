"""The one decoder: a path, bytes, a data: address or a PIL image in; upright 8-bit RGB with notes out, or one sentence
why not."""

from methods.images.content import content_hash, perceptual_hash, same_content
from methods.images.decoding import MAX_PIXELS, PICTURE_SUFFIXES, Decoded, decode, resolve_inside
from methods.images.errors import ImageError
from methods.images.files import MAX_FILE_BYTES, from_data_url

__all__ = [
    "MAX_FILE_BYTES", "MAX_PIXELS", "PICTURE_SUFFIXES", "Decoded", "ImageError", "content_hash", "decode",
    "from_data_url", "perceptual_hash", "resolve_inside", "same_content",
]  # fmt: skip
