"""The one decoder: a path, bytes, a data: address or a PIL image in; upright 8-bit RGB with notes out, or one sentence
why not."""

from methods.images.content import content_hash, perceptual_hash, same_content
from methods.images.decoding import (
    MAX_PIXELS,
    PICTURE_SUFFIXES,
    Decoded,
    decode,
    limit_decoding,
    resolve_inside,
    size_of,
)
from methods.images.errors import ImageError
from methods.images.files import MAX_FILE_BYTES, from_data_url

__all__ = [
    "MAX_FILE_BYTES", "MAX_PIXELS", "PICTURE_SUFFIXES", "Decoded", "ImageError", "content_hash", "decode",
    "from_data_url", "limit_decoding", "perceptual_hash", "resolve_inside", "same_content", "size_of",
]  # fmt: skip
