"""Finds the reference set that an assessment needs, with features of the encoder that it needs.

A set is built with one encoder; another LMM, or new weights of the same one, cannot search it. Then its images are
encoded again, once: the result is kept in memory and in the user's cache folder.
"""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from assets import FOLDER
from methods import files
from methods.cli.progress import steps
from methods.errors import InputError
from methods.iqarag.encoders import Encoder
from methods.iqarag.reference_set import MANIFEST, Progress, ReferenceSet
from methods.locks import ForkSafeLock

SHIPPED = "shipped"
SHIPPED_FOLDER = FOLDER / "reference-set"
CACHE_ENVIRONMENT = "MEAN_OPINION_CACHE"

log = logging.getLogger(__name__)

TEMPORARY = "temporary"
"""Marks a visitor's set in its manifest: its features are never written anywhere but into its own folder."""

_KEPT_SETS = 16
_sets: OrderedDict[tuple, ReferenceSet] = OrderedDict()
_lock = ForkSafeLock()


def open_set(name: str | Path | ReferenceSet) -> ReferenceSet:
    """The shipped set, or the set in a folder; opened once while its files stay the same.

    Raises:
        InputError: there is no such set.
    """
    if isinstance(name, ReferenceSet):
        return name
    folder, key = _place(name)
    return _kept(key, lambda: ReferenceSet.load(folder))


def look_at(name: str | Path | ReferenceSet) -> ReferenceSet:
    """As `open_set`, but waits for nobody: a set that is not open yet is read for the caller alone.

    Raises:
        InputError: there is no such set.
    """
    if isinstance(name, ReferenceSet):
        return name
    folder, key = _place(name)
    return _sets.get(key) or ReferenceSet.load(folder)


def _place(name: str | Path) -> tuple[Path, tuple[str, int]]:
    """The set's folder, and by what an opened set is known."""
    folder = SHIPPED_FOLDER if name == SHIPPED else Path(name).expanduser()
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise InputError(f"{folder} holds no reference set; build one with `mean-opinion refset build`, "
                         f"or use {SHIPPED!r}.")
    return folder, (str(folder.resolve()), manifest.stat().st_mtime_ns)


def with_features(references: ReferenceSet, encoder: Encoder, progress: Progress | None = None) -> ReferenceSet:
    """`references` with features by `encoder`: as they are, from memory, from the cache folder, or encoded now."""
    if (references.encoder, references.revision) == (encoder.name, encoder.revision):
        return references
    key = _key(references, encoder)
    return _kept(key, lambda: _from_cache(references, key) or _encoded(references, encoder, key, progress))


def has_features(references: ReferenceSet, encoder: Encoder) -> bool:
    """Whether `with_features` has features at hand."""
    key = _key(references, encoder)
    return ((references.encoder, references.revision) == (encoder.name, encoder.revision) or key in _sets
            or (_cache_folder(key) / MANIFEST).is_file())


def _key(references: ReferenceSet, encoder: Encoder) -> tuple[str, str, str]:
    return references.digest, encoder.name, encoder.revision


def forget(folder: str | Path) -> None:
    """Lets go of a set whose folder is about to be deleted."""
    with _lock:
        for key in [key for key in _sets if key[0] == str(Path(folder).resolve())]:
            digest = _sets.pop(key).digest
            for other in [other for other in _sets if other[0] == digest]:
                del _sets[other]


def _kept(key: tuple, make: Callable[[], ReferenceSet]) -> ReferenceSet:
    with _lock:
        if key not in _sets:
            _sets[key] = make()
        _sets.move_to_end(key)
        while len(_sets) > _KEPT_SETS:
            _sets.popitem(last=False)
        return _sets[key]


def _encoded(references: ReferenceSet, encoder: Encoder, key: tuple, progress: Progress | None) -> ReferenceSet:
    log.warning("Encoding the %d images of %s with %s (%s); this happens once.",
                len(references), references.title, encoder.name, encoder.revision)
    encoded = references.encoded_by(encoder, progress or steps(f"{references.title}: "))
    if references.about.get(TEMPORARY):
        return encoded
    folder = _cache_folder(key)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        encoded.save(folder)
    except OSError as error:
        log.warning("The features could not be kept in %s (%s); they are computed again in the next process.",
                    folder, error)
    return encoded


def _from_cache(references: ReferenceSet, key: tuple) -> ReferenceSet | None:
    folder = _cache_folder(key)
    if not (folder / MANIFEST).is_file():
        return None
    try:
        cached = ReferenceSet.load(folder)
    except (InputError, OSError) as error:
        log.warning("The cached features in %s are unreadable (%s); they are computed again.", folder, error)
        return None
    # Only the features are taken over: the images are read where the set itself says they are.
    return ReferenceSet(references.images, references.mos, cached.index, cached.encoder, revision=cached.revision,
                        names=references.names, contents=references.contents,
                        perceptual=references._perceptual or cached._perceptual, std=references.std,
                        codes=cached.codes, about=references.about)


def _cache_folder(key: tuple) -> Path:
    base = os.environ.get(CACHE_ENVIRONMENT) or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "mean-opinion"
    name = files.hash_parts(key)[:24]
    return Path(base).expanduser() / "reference-sets" / name
