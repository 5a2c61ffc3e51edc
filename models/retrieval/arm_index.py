"""The arms with the largest inner product with a query, of very many: faiss, and the only file that knows it.

Up to EXACT arms every one is looked at. Beyond, arms lie in lists by the nearest of about √A centroids, and a query
looks through one list in sixteen (an inverted file: Jégou, Douze & Schmid 2011, without compressing the vectors). New
arms go into the lists that there are, without building anew."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import F32, I64
from croupier.models.retrieval.hierarchy import ArmClusters

EXACT = 20_000  # arms
PROBED = 16  # one list in so many is looked through
SAMPLE = 128  # vectors a centroid, that centroids are learnt from
ROUNDS = 8  # of k-means
MISSING = "retrieval needs faiss: pip install 'croupier[retrieval]'"

try:
    import faiss
except ModuleNotFoundError as error:  # an extra
    raise ModuleNotFoundError(MISSING, name="faiss") from error

faiss.omp_set_num_threads(1)  # a decision is a request's; threads of faiss's own would fight over the cores


class ArmIndex:
    """An index of (A, d) vectors by their rows; frozen: `with_added` returns another one."""

    def __init__(self, found: "faiss.Index") -> None:
        self._index = found

    @classmethod
    def of(cls, vectors: F32) -> Self:
        """The index of these vectors. Raises ValueError unless they are (A, d), A and d at least 1, and finite."""
        return cls.of_arrays(arrays_of(vectors))

    @classmethod
    def of_arrays(cls, arrays: dict[str, NDArray[Any]], probed: int = PROBED) -> Self:
        """The index that `arrays_of` described: nothing is learnt anew. One list in so many (`probed`) is looked
        through."""
        vectors, d = arrays["vectors"], arrays["vectors"].shape[1]
        flat = faiss.IndexFlatIP(d)
        if "centroids" not in arrays:
            flat.add(vectors)
            return cls(flat)
        flat.add(arrays["centroids"])
        index: Any = faiss.IndexIVFFlat(flat, d, len(arrays["centroids"]), faiss.METRIC_INNER_PRODUCT)
        index.nprobe, lists = max(index.nlist // probed, 1), np.ascontiguousarray(arrays["lists"], np.int64)
        index.add_core(len(vectors), faiss.swig_ptr(vectors), None, faiss.swig_ptr(lists))
        return cls(index)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def length(self) -> int:
        """d, the length of a vector."""
        return int(self._index.d)

    def with_added(self, vectors: F32) -> Self:
        """The index with these vectors behind its own; lists and centroids are what they were. Raises ValueError as
        `of` does, and for vectors of another length."""
        _check(vectors, self.length)
        more = faiss.clone_index(self._index)
        more.add(vectors)
        return type(self)(more)

    def search(self, queries: F32, n: int) -> I64:
        """(B, n) rows, the largest inner product first; n at most the number of arms. A query of which the lists that
        it looks through hold fewer is answered from all of them. Raises ValueError for queries of another shape."""
        _check(queries, self.length)
        if not 0 < n <= len(self):
            raise ValueError(f"search: found n = {n}, expected 1 to {len(self)}, the number of arms")
        rows = self._index.search(queries, n)[1]
        if (rows < 0).any():
            short = np.flatnonzero((rows < 0).any(axis=1))
            rows[short] = self._index.search(queries[short], n, params=_every_list(len(self)))[1]
        return np.asarray(rows, np.int64)


def arrays_of(vectors: F32) -> dict[str, NDArray[Any]]:
    """What an index of these vectors is made of: `vectors` (A, d), and, of more than EXACT, `centroids` (L, d) and the
    list of each vector, `lists` (A,). The same vectors give the same arrays. Raises ValueError as `ArmIndex.of`
    does."""
    _check(vectors)
    if len(vectors) <= EXACT:
        return {"vectors": vectors}
    lists = 1 << round(float(np.log2(np.sqrt(len(vectors)))))
    some = np.random.default_rng(1).choice(len(vectors), min(len(vectors), SAMPLE * lists), replace=False)
    means = faiss.Kmeans(vectors.shape[1], lists, niter=ROUNDS, seed=1, spherical=True)
    means.train(vectors[np.sort(some)])
    nearest = faiss.IndexFlatIP(vectors.shape[1])
    centroids: F32 = np.asarray(means.centroids, np.float32)
    nearest.add(centroids)
    return {
        "vectors": vectors,
        "centroids": centroids,
        "lists": nearest.search(vectors, 1)[1][:, 0].astype(np.int32),
    }


def clusters_of(vectors: F32, count: int) -> ArmClusters:
    """At most so many clusters of the arms, by the direction of their vectors (A, d). The same vectors give the same
    ones. Raises ValueError as `ArmIndex.of` does."""
    _check(vectors)
    count = min(count, len(vectors))
    some = np.random.default_rng(1).choice(len(vectors), min(len(vectors), SAMPLE * count), replace=False)
    means = faiss.Kmeans(vectors.shape[1], count, niter=ROUNDS, seed=1, spherical=True, min_points_per_centroid=1)
    means.train(vectors[np.sort(some)])
    nearest = faiss.IndexFlatIP(vectors.shape[1])
    centroids: F32 = np.asarray(means.centroids, np.float32)
    nearest.add(centroids)
    return ArmClusters(vectors=vectors, centroids=centroids, of=nearest.search(vectors, 1)[1][:, 0])


def _every_list(most: int) -> Any:
    """What has faiss look through all lists, of which there are at most so many."""
    found: Any = faiss.SearchParametersIVF()
    found.nprobe = most
    return found


def _check(vectors: F32, length: int | None = None) -> None:
    if vectors.dtype != np.float32 or vectors.ndim != 2 or 0 in vectors.shape:
        raise ValueError(f"vectors: found {vectors.dtype} of shape {vectors.shape}, expected float32 of shape (n, d)")
    if length not in (None, vectors.shape[1]):
        raise ValueError(f"vectors: found length {vectors.shape[1]}, expected {length}")
    if not np.isfinite(vectors).all():
        raise ValueError("vectors: found NaN or infinity, expected finite numbers")
