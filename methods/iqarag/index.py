"""FAISS indices over reference features: exact, and for large sets compressed codes that only short-list candidates.

An exact search reads every feature once, so its time grows with the memory it touches: 400 MB for 100,000 features of
1,000 numbers. Above `EXACT_BYTES` a second index of 4-bit product-quantised codes (a sixteenth of the memory, held in
registers while it is scanned) proposes a short list, and the true distances are computed for that list alone.
`benchmarks/iqarag.py` measures both and the share of true neighbours found.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from methods import files
from methods.errors import InputError

EXACT_BYTES = 40_000_000
"""Features up to this size, 10,000 of 1,000 numbers, are searched exactly: 16 ms on two busy cores."""

SHORT_LIST = 2_000
"""At least this many candidates of the compressed index are measured exactly, or 40 for each neighbour asked for.

With 100,000 features of 1,000 independent numbers, the hardest case for any code, that finds 99 % of 50 neighbours."""

_TRAINING_FEATURES = 10_000


def exact_index(features: np.ndarray):
    """`faiss.IndexFlatL2` over float32 [n, d]."""
    import faiss

    index = faiss.IndexFlatL2(features.shape[1])
    index.add(np.ascontiguousarray(features, dtype=np.float32))
    return index


def is_large(count: int, dimensions: int) -> bool:
    """Whether an exact search over this many features is too slow to wait for."""
    return count * dimensions * 4 > EXACT_BYTES


def compressed_index(features: np.ndarray):
    """`faiss.IndexPQFastScan` with 2 dimensions per 4-bit code; an odd last dimension is filled with zero.

    The codes are trained on an even sample of at most 10,000 features, so that the same features give the same index.
    """
    import faiss

    padded = _even(features)
    index = faiss.IndexPQFastScan(padded.shape[1], padded.shape[1] // 2, 4)
    step = max(1, len(padded) // _TRAINING_FEATURES)
    index.train(np.ascontiguousarray(padded[::step][:_TRAINING_FEATURES]))
    for start in range(0, len(padded), 10_000):
        index.add(np.ascontiguousarray(padded[start:start + 10_000]))
    return index


def features_of(index) -> np.ndarray:
    """The features inside an exact index, float32 [n, d], as a view that must not outlive it."""
    import faiss

    return faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d).reshape(index.ntotal, index.d)


def save(index, path: Path) -> None:
    """Writes an index so that a kill never leaves half of it under the final name."""
    import faiss

    with files.replacing(path) as partial:
        faiss.write_index(index, str(partial))


def load(path: Path):
    """A saved index, mapped into memory rather than read: pages are fetched as a search touches them.

    Raises:
        InputError: the file is missing or not an index.
    """
    import faiss

    try:
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise InputError(f"{path.name} is not a readable index; build the reference set again.") from error


def nearest(exact, compressed, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest references by L2 distance (Eq. 4), ascending; equal distances by index.

    Args:
        exact: the exact index.
        compressed: the compressed index over the same features, or None to search exactly.
        query: float32 [d].
        k: at least 1; more than there are references means all.

    Returns:
        int64 [k] indices, float64 [k] distances (not squared).

    Raises:
        InputError: the query is not finite.
        ValueError: it has another number of features than the references.
    """
    query = np.ascontiguousarray(query, dtype=np.float32).reshape(-1)
    if query.shape[0] != exact.d:
        raise ValueError(f"The image has {query.shape[0]} features and the references have {exact.d}; "
                         f"both must come from the same encoder.")
    if not np.isfinite(query).all():
        raise InputError("The image's features hold NaN or infinity; load the encoder in float32.")
    total = int(exact.ntotal)
    k = min(k, total)
    features = features_of(exact)
    # A few more than asked for, so that references at the same distance as the last one are ordered by index too.
    depth = min(k + 16, total)
    short_list = max(SHORT_LIST, 40 * k)
    if compressed is not None and short_list < total:
        import faiss

        candidates = np.sort(compressed.search(_even(query[None]), short_list)[1][0])
        candidates = candidates[candidates >= 0]
        indices = candidates[faiss.knn(query[None], features[candidates], min(depth, len(candidates)))[1][0]]
    elif depth < total:
        indices = exact.search(query[None], depth)[1][0]
    else:
        indices = np.arange(total)
    indices = indices.astype(np.int64)
    # FAISS orders by squared float32 distances; measured again in float64, equal features tie exactly.
    distances = np.linalg.norm(features[indices].astype(np.float64) - query, axis=1)
    order = np.lexsort((indices, distances))[:k]
    return indices[order], distances[order]


def _even(features: np.ndarray) -> np.ndarray:
    """Features with a zero column added where their number is odd; distances stay as they are."""
    if features.shape[1] % 2 == 0:
        return features
    return np.concatenate([features, np.zeros((len(features), 1), np.float32)], axis=1)
