"""Arrays that policies read: a batch of requests, and a log of what came of them.

A catalogue's arms are indexed once, so a batch carries row numbers (B, K) instead of copying features (B, K, d_a):
policies precompute the arm's share of their work once per catalogue (models/vw/form.py), and per-arm
policies know which arm is which. Ragged candidate lists are padded to the longest; `mask` is False on padding.

Arms that requests bring along (inline arms) are rows behind those of the published catalogue, in an extended one that
serves for these requests alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from croupier.features.declared.segmented import AnySegment, SegmentedRows, joined_rows

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Floats = F32 | F64
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]
Texts = NDArray[np.object_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Catalogue:
    """Encoded arms: `ids` (A,) and `features` (A, d_a). `digest` is that of the raw catalogue it came from. An extended
    one has the catalogue that was `published`, which its first rows are; None where it is that itself."""

    ids: tuple[str, ...]
    features: F32
    digest: str
    published: "Catalogue | None" = None

    @cached_property
    def row(self) -> dict[str, int]:
        """The row of each published arm's id in `features`; inline arms have none, since several may share an id."""
        return {arm: i for i, arm in enumerate(self.ids[: self.size])}

    @cached_property
    def size(self) -> int:
        """The number of published arms: rows from there on are inline arms."""
        return len((self.published or self).ids)

    @cached_property
    def rank(self) -> I64:
        """(A,): the row of each published arm; of an inline arm `size` and the place of its id among the others'."""
        ids = self.ids[self.size :]
        place = {arm: self.size + i for i, arm in enumerate(sorted(set(ids)))}
        return np.array([*range(self.size), *map(place.__getitem__, ids)], np.int64)

    @property
    def inline_features(self) -> F32:
        """(A − size, d_a): the features of the inline arms."""
        return self.features[self.size :]

    def with_inline(self, ids: Sequence[str], features: F32) -> "Catalogue":
        """Returns this catalogue with inline arms, `features` (n, d_a), behind its rows."""
        return Catalogue(
            ids=(*self.ids, *ids),
            features=np.concatenate([self.features, features]),
            digest=self.digest,
            published=self.published or self,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """B requests with up to K candidates: context (B, d_u), arm (B, K) rows of the catalogue (0 where masked),
    mask (B, K), pair (B, K, d_p) features of (request, arm); d_p may be 0. `allocation` (B,): where rows are items of
    requests to allocate, what each says of its request as JSON ("": of none); None where no row is. Of a log, left_out
    (B, K): candidates of then that the rules of now would leave out. price (B, K): what comes off each candidate's
    score before a policy explores, in units of reward. `segmented` knows which requests are of which segments. share
    (B,): the policy's beside a declared baseline. Each of them is None where there is nothing of the kind."""

    context: F32
    arm: I64
    mask: Bool
    pair: F32
    catalogue: Catalogue
    allocation: Texts | None = None
    left_out: Bool | None = None
    price: F64 | None = None
    segmented: SegmentedRows | None = None
    share: F64 | None = None

    def __len__(self) -> int:
        return len(self.context)

    def __getitem__(self, rows: slice | NDArray[np.intp] | I64 | Bool) -> Self:
        return type(self)(
            context=self.context[rows],
            arm=self.arm[rows],
            mask=self.mask[rows],
            pair=self.pair[rows],
            catalogue=self.catalogue,
            allocation=None if self.allocation is None else self.allocation[rows],
            left_out=None if self.left_out is None else self.left_out[rows],
            price=None if self.price is None else self.price[rows],
            segmented=None if self.segmented is None else self.segmented[rows],
            share=None if self.share is None else self.share[rows],
        )

    def of_segment(self, segment: AnySegment) -> Bool:
        """(B,) True where a request is of the segment. Raises ValueError where nobody can say."""
        return (self.segmented or SegmentedRows()).of(segment)

    def priced(self, scores: Floats) -> Floats:
        """The scores (B, K) of the candidates, less their prices."""
        return scores if self.price is None else scores - self.price

    @property
    def out(self) -> Bool:
        """(B, K) `left_out`, where nothing is declared all False."""
        return np.zeros(self.mask.shape, np.bool_) if self.left_out is None else self.left_out

    @property
    def paid(self) -> F64:
        """(B, K) `price`, where nothing has one all 0."""
        return np.zeros(self.mask.shape) if self.price is None else self.price

    @property
    def by_rules(self) -> Self:
        """The batch with the candidates that the rules of now leave it."""
        return self if self.left_out is None else replace(self, mask=self.mask & ~self.left_out, left_out=None)

    @property
    def arm_features(self) -> F32:
        """(B, K, d_a): a copy, for learners that want it whole."""
        return self.catalogue.features[self.arm]

    @property
    def order(self) -> I64:
        """(B, K): by what ties are broken. Published arms come in the catalogue's order, behind them inline arms in
        that of their ids, whoever else is in the batch."""
        return self.arm if self.catalogue.published is None else self.catalogue.rank[self.arm]


@dataclass(frozen=True, kw_only=True, eq=False)
class Left:
    """What is left of some requests' candidates, in their order: `rows` (n,) of a batch, `place` (n, k) in K (0 where
    masked), `mask` (n, k); k is the longest list. price (n, k): off its scores, beside what the batch says, if any."""

    rows: I64
    place: I64
    mask: Bool
    whole: bool = False  # nothing is left out
    price: F64 | None = None

    @classmethod
    def all(cls, mask: Bool, price: F64 | None = None) -> Self:
        """Leaves everything of a batch, mask (B, K)."""
        place = np.tile(np.arange(mask.shape[1]), (len(mask), 1))
        return cls(rows=np.arange(len(mask)), place=place, mask=mask, whole=True, price=price)

    @classmethod
    def of(cls, mask: Bool, rows: I64, shown: I64) -> Self:
        """Leaves out what is shown: mask (B, K) of the batch, rows (n,), shown (n, j) places."""
        keep = mask[rows]
        keep[np.arange(len(rows))[:, None], shown] = False
        return cls.kept(rows, keep)

    @classmethod
    def kept(cls, rows: I64, keep: Bool, price: F64 | None = None) -> Self:
        """Leaves what is True in keep (n, K), of rows (n,) of a batch; price (n, K) of all candidates."""
        number = np.add.reduce(keep, 1, dtype=np.intp)
        found = np.arange(number.max(initial=0)) < number[:, None]
        place = np.zeros(found.shape, np.int64)
        place[found] = keep.nonzero()[1]
        off = None if price is None else np.where(found, np.take_along_axis(price, place, 1), 0.0)
        return cls(rows=rows, place=place, mask=found, price=off)

    def take(self, x: NDArray[Any]) -> NDArray[Any]:
        """Returns (…, n, k) of an array (…, B, K)."""
        (*before, B, K), flat = x.shape, self.rows[:, None] * x.shape[-1] + self.place
        return x.reshape(*before, B * K).take(flat, axis=-1)

    def batch(self, whole: Batch) -> Batch:
        """Returns the requests as a batch of n, over what is left."""
        if self.whole:
            return whole if self.price is None else replace(whole, price=whole.paid + self.price)
        price = None if whole.price is None else np.where(self.mask, self.take(whole.price), 0.0)
        return Batch(
            context=whole.context[self.rows],
            arm=np.where(self.mask, self.take(whole.arm), 0),
            mask=self.mask,
            pair=np.where(self.mask[:, :, None], whole.pair[self.rows[:, None], self.place], 0.0),
            catalogue=whole.catalogue,
            price=self.price if price is None else price if self.price is None else price + self.price,
            segmented=None if whole.segmented is None else whole.segmented[self.rows],
            share=None if whole.share is None else whole.share[self.rows],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Interactions:
    """B logged decisions with rewards: `chosen` (B,) position in K, `reward` (B,), `propensity` (B,) of the chosen
    arm, `pmf` (B, K) as logged, `at` (B,) UTC µs, `unit` (B,) a 64-bit hash for splits by unit, `weight` (B,) =
    1 / pass_probability. `slate` (B, 3), where the log has slates: the slate's number, the slot's place, the slate's
    slots (features/slates/logged.py); None where it has none."""

    batch: Batch
    chosen: I64
    reward: F64
    propensity: F64
    pmf: F64
    at: I64
    unit: NDArray[np.uint64]
    weight: F64
    slate: I64 | None = None

    def __len__(self) -> int:
        return len(self.chosen)

    @cached_property
    def shown(self) -> tuple[I64, F32]:
        """Returns the chosen candidates' rows of the catalogue (B,) and pair features (B, d_p)."""
        (n, K), d_p = self.batch.mask.shape, self.batch.pair.shape[2]
        flat = np.arange(n) * K + self.chosen  # `take` from flat arrays: several times faster than two indices
        return self.batch.arm.reshape(n * K).take(flat), self.batch.pair.reshape(n * K, d_p).take(flat, axis=0)

    @cached_property
    def unit_number(self) -> I64:
        """(n,) the rows' units, numbered from 0."""
        return np.unique(self.unit, return_inverse=True)[1]

    def __getitem__(self, rows: slice | NDArray[np.intp] | I64 | Bool) -> Self:
        return type(self)(
            batch=self.batch[rows],
            chosen=self.chosen[rows],
            reward=self.reward[rows],
            propensity=self.propensity[rows],
            pmf=self.pmf[rows],
            at=self.at[rows],
            unit=self.unit[rows],
            weight=self.weight[rows],
            slate=None if self.slate is None else self.slate[rows],
        )


def concatenate(chunks: Sequence[Interactions]) -> Interactions:
    """One log of several that share a catalogue, padded to the widest. Raises ValueError when there is none."""
    if not chunks:
        raise ValueError("interactions: found no rows, expected at least one; is the interval right, has it matured?")
    K = max(c.batch.mask.shape[1] for c in chunks)
    catalogue, arms = _one_catalogue([c.batch for c in chunks])

    def joined(arrays: Sequence[NDArray[Any]]) -> Any:
        wide = [np.pad(a, [(0, 0), (0, K - a.shape[1]), *[(0, 0)] * (a.ndim - 2)]) for a in arrays]
        return np.concatenate(wide)

    batch = Batch(
        context=np.concatenate([c.batch.context for c in chunks]),
        arm=joined(arms),
        mask=joined([c.batch.mask for c in chunks]),
        pair=joined([c.batch.pair for c in chunks]),
        catalogue=catalogue,
        allocation=_one_column([c.batch for c in chunks]),
        left_out=joined([c.batch.out for c in chunks]) if any(c.batch.left_out is not None for c in chunks) else None,
        price=joined([c.batch.paid for c in chunks]) if any(c.batch.price is not None for c in chunks) else None,
        segmented=joined_rows([c.batch.segmented for c in chunks]),
    )
    flat = {n: np.concatenate([getattr(c, n) for c in chunks]) for n in _FLAT}
    slate = None if all(c.slate is None for c in chunks) else np.concatenate(list(map(_slots_of, chunks)))
    return Interactions(batch=batch, pmf=joined([c.pmf for c in chunks]), slate=slate, **flat)


def _slots_of(log: Interactions) -> I64:
    """(n, 3): the slots of a log; zeros, decisions by themselves, where it has no slates."""
    return np.zeros((len(log), 3), np.int64) if log.slate is None else log.slate


def _one_column(batches: Sequence[Batch]) -> Texts | None:
    """What the rows of all batches say of their requests to allocate."""
    if all(b.allocation is None for b in batches):
        return None
    none = [np.full(len(b), "", np.object_) if b.allocation is None else b.allocation for b in batches]
    return np.concatenate(none)


def _one_catalogue(batches: Sequence[Batch]) -> tuple[Catalogue, list[I64]]:
    """The catalogue of all batches, the inline arms of each behind those of the batches before it, and the rows (B, K)
    of each batch in it."""
    first, size = batches[0].catalogue, batches[0].catalogue.size
    if all(b.catalogue.published is None for b in batches):
        return first, [b.arm for b in batches]
    each = list({id(b.catalogue): b.catalogue for b in batches if b.catalogue.published is not None}.values())
    ends = np.cumsum([0, *(len(c.ids) - size for c in each)])
    shift = {id(c): int(end) for c, end in zip(each, ends, strict=False)}
    whole = (first.published or first).with_inline(
        [arm for c in each for arm in c.ids[size:]], np.concatenate([c.inline_features for c in each])
    )
    return whole, [np.where(b.arm < size, b.arm, b.arm + shift.get(id(b.catalogue), 0)) for b in batches]


_FLAT = ("chosen", "reward", "propensity", "at", "unit", "weight")
