"""The encoder: declared features → arrays, fitted once, the very same offline and in Triton. numpy only.

A request carries three scopes: `context` of the request, `arm` of the catalogue (or of the request, for arms that it
brings along: inline.py), `arm_context` of the pair of both.
Each becomes its own block (d_u, d_a, d_p); a product of two features lands in the widest scope it needs. What it must
be told apart from is caught by one digest over the whole fitted state, which decisions and releases carry.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import orjson

from croupier.features.batch import F32, F64, I64, Batch, Bool, Catalogue
from croupier.features.declared.segmented import SegmentedRows
from croupier.features.encoding import catalogue as raw_catalogue
from croupier.features.encoding import inline
from croupier.features.encoding.columns import Columns
from croupier.features.encoding.fits.log_gathered import log_gathered
from croupier.features.encoding.fitted import Fitted
from croupier.features.encoding.undeclared import Undeclared
from croupier.features.encoding.validation import Row
from croupier.features.schema import MAX_ARMS, Arm, InvalidEvent
from croupier.features.spec import AppSpec, SpecError
from croupier.features.store import layout

if TYPE_CHECKING:
    import polars as pl  # the serving path never loads it

    from croupier.features.encoding.fits.log_gathered import Log

ENCODER_VERSION = 1
SCOPES = ("context", "arm", "arm_context")
_NOTHING: Row = {}
Product = tuple[str, str, str, str]  # scope and name of each factor


class Encoder:
    """Immutable once made, by `fit`, `empty` or `load`. `context_names`, `arm_names`, `pair_names` name the columns."""

    def __init__(self, blocks: Sequence[Columns], products: Sequence[Product] = ()) -> None:
        self.context, self.arm, self.pair = blocks
        self._products = {scope: [p for p in products if _home(p) == scope] for scope in SCOPES}
        self.context_names = self.context.names + self._product_names("context")
        self.arm_names = self.arm.names + self._product_names("arm")
        self.pair_names = self.pair.names + self._product_names("arm_context")

    @classmethod
    def fit(cls, spec: AppSpec, interactions: "Log", arms: Sequence[Arm]) -> Self:
        """Fits the encoder on the training window's interactions (arrow.INTERACTIONS), a frame or the parts of one, and
        on the arms of the catalogue and of these interactions."""
        found = log_gathered(interactions, {scope: getattr(spec, scope) for scope in SCOPES}, spec, arms)
        blocks = [Columns(scope, found[scope].fitted()) for scope in SCOPES]
        return cls(blocks, [_product(spec, p.a, p.b) for p in spec.interactions])

    @classmethod
    def empty(cls, spec: AppSpec, arms: Sequence[Arm]) -> Self:
        """Returns the encoder before the first log: numbers as they are, every category of a request `<unk>`; arms are
        known. Raises InvalidEvent naming the arm and the feature that is not of its type."""
        cls.fit(spec, (), ())._rows(arms)
        return cls.fit(spec, (), arms)

    def encode(
        self,
        contexts: "Sequence[Row] | pl.DataFrame",
        arms: Sequence[Sequence[str]],
        arm_contexts: Sequence[Sequence[Row]],
        catalogue: Catalogue,
        arm_features: Sequence[Sequence[Row | None]] = (),
    ) -> Batch:
        """B requests → Batch. `contexts`: one object each, or typed columns. `arm_contexts[i]` is empty or one row per
        candidate, `arm_features[i]` too, with None for an arm of the catalogue. Raises InvalidEvent on an arm that
        neither the catalogue nor the request has."""
        if any(arm_features):
            catalogue, found = inline.extended(self, arms, arm_features, catalogue)
            rows, mask = placed(found, list(map(len, arms)))
        else:
            rows, mask = _candidates(arms, catalogue)
        return self.batch(contexts, rows, mask, arm_contexts, catalogue)

    def batch(
        self,
        contexts: "Sequence[Row] | pl.DataFrame",
        rows: I64,
        mask: Bool,
        arm_contexts: Sequence[Sequence[Row]],
        catalogue: Catalogue,
    ) -> Batch:
        """Encodes requests whose candidates are given as catalogue rows (B, K) and mask."""
        if hasattr(contexts, "columns"):  # isinstance(…, Sequence) costs a request as much as a ufunc
            context = self.context.frame_matrix(cast("pl.DataFrame", contexts))
        else:
            context = self.context.matrix(contexts)
        context = self._extended(context, "context")
        pair = self._pairs(arm_contexts, mask)
        known = SegmentedRows(contexts)
        batch = Batch(context=context, arm=rows, mask=mask, pair=pair, catalogue=catalogue, segmented=known)
        return self._with_products(batch)

    def catalogue(self, arms: Sequence[Arm]) -> Catalogue:
        """Arms → (A, d_a), with the digest of the raw catalogue. Raises InvalidEvent naming arm and feature."""
        with raw_catalogue.uncollected():
            features = self.arm_matrix(self._rows(arms))
        ids = tuple(a.arm_id for a in arms)
        return Catalogue(ids=ids, features=features, digest=raw_catalogue.digest(arms))

    def _rows(self, arms: Sequence[Arm]) -> list[Row]:
        """The arms as rows. Raises InvalidEvent naming arm and feature."""
        strings = [f.name for f in self.arm.features if f.strings]
        rows = [inline.row_of_arm(arm, strings) for arm in arms]
        for row in rows:
            self.arm.validation.check_values(row, f"catalogue.{row['arm_id']}")
        return rows

    def arm_matrix(self, rows: Sequence[Row]) -> F32:
        """Returns (n, d_a): rows of arms' features, with their `arm_id`, as a catalogue has them."""
        return self._extended(self.arm.matrix(rows), "arm")

    def arm_matrix_of(self, n: int, numbers: F64, codes: I64) -> F32:
        """Returns (n, d_a) as `arm_matrix`, of the values of n rows (Columns.matrix_of)."""
        return self._extended(self.arm.matrix_of(n, numbers, codes), "arm")

    def validate(
        self,
        context: Any,
        arms: Any,
        arm_context: Any,
        catalogue: Catalogue | None = None,
        arm_features: Sequence[Row | None] = (),
    ) -> None:
        """Validates one request as a log has it. A feature may be missing; an undeclared name is an error. Raises
        InvalidEvent naming the field."""
        if not isinstance(arms, list | tuple) or not 0 < len(arms) <= MAX_ARMS:
            found = f"{len(arms)} arms" if isinstance(arms, list | tuple) else arms
            raise InvalidEvent("arms", found, f"a list of 1 to {MAX_ARMS} arm ids")
        if not {str}.issuperset(map(type, arms)) or len(set(arms)) != len(arms):
            raise InvalidEvent("arms", arms, "distinct strings")
        listed = (
            {a for a, given in zip(arms, arm_features, strict=True) if given is None} if arm_features else set(arms)
        )
        if catalogue is not None and not catalogue.row.keys() >= listed:
            unknown = next(a for a in arms if a in listed and a not in catalogue.row)
            raise InvalidEvent("arms", unknown, "an arm_id of the published catalogue")
        if arm_context and (not isinstance(arm_context, list | tuple) or len(arm_context) != len(arms)):
            raise InvalidEvent("arm_context", arm_context, f"no list, or one object per arm ({len(arms)})")
        self.context.validation.check(context, "context")
        self.pair.validation.check_all(arm_context or (), "arm_context")
        if arm_features:
            inline.check(self, arm_features, None, arms)

    def taken(
        self, context: Any, arm_context: Any, arm_features: Sequence[Row | None], undeclared: Undeclared
    ) -> tuple[Row, Sequence[Row], Sequence[Row | None]]:
        """Returns the features of one request, whose arms are known to be right, as they are declared: what is nested
        is flat, what is null or empty is left out. Raises InvalidEvent naming the field."""
        own = self.context.validation.taken(context, "context", undeclared)
        pairs = self.pair.validation.taken_all(arm_context or (), "arm_context", undeclared)
        return own, pairs, inline.taken(self, arm_features, undeclared) if arm_features else ()

    @cached_property
    def digest(self) -> str:
        """32 hex digits over the fitted state."""
        return _digest(self._state)

    def save(self, folder: Path) -> None:
        """Write `encoder.json`."""
        option = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2
        (folder / layout.ENCODER_FILE).write_bytes(orjson.dumps(self._state | {"digest": self.digest}, option=option))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises ValueError when the file is not the one that was saved, or of another encoder version."""
        path = folder / layout.ENCODER_FILE
        state = orjson.loads(path.read_bytes())
        said = state.pop("digest", None)
        if said != _digest(state):
            raise ValueError(f"{path}: digest found {said}, expected {_digest(state)}: the file was changed; refit it")
        if state["version"] != ENCODER_VERSION:
            raise ValueError(f"{path}: version {state['version']}, expected {ENCODER_VERSION}: refit the encoder")
        blocks = [Columns(scope, [Fitted.from_json(f) for f in state[scope]]) for scope in SCOPES]
        return cls(blocks, [tuple(p) for p in state["products"]])

    @cached_property
    def _state(self) -> dict[str, Any]:
        blocks = zip(SCOPES, (self.context, self.arm, self.pair), strict=True)
        fitted = {scope: [f.to_json() for f in block.features] for scope, block in blocks}
        products = list(chain.from_iterable(self._products.values()))
        return {"version": ENCODER_VERSION, **fitted, "products": products}

    def _pairs(self, arm_contexts: Sequence[Sequence[Row]], mask: Bool) -> F32:
        d = len(self.pair.names)
        if not d:
            return np.zeros((*mask.shape, 0), np.float32)
        if not all(arm_contexts):
            lengths, nothing = np.add.reduce(mask, axis=1, dtype=np.intp).tolist(), [_NOTHING]
            arm_contexts = [given or nothing * k for k, given in zip(lengths, arm_contexts, strict=True)]
        rows = list(chain.from_iterable(arm_contexts))
        if len(rows) == mask.size:
            return self.pair.matrix(rows).reshape(*mask.shape, d)
        pair = np.zeros((*mask.shape, d), np.float32)
        pair[mask] = self.pair.matrix(rows)
        return pair

    def _extended(self, x: F32, scope: str) -> F32:
        """Returns (n, d) with the products that live in its own scope."""
        made = [_times(x[:, self._cut(p, 0)], x[:, self._cut(p, 1)]) for p in self._products[scope]]
        return np.hstack([x, *made]) if made else x

    def _with_products(self, batch: Batch) -> Batch:
        products = self._products["arm_context"]
        if not products:
            return batch
        K = batch.arm.shape[1]
        block = {
            "context": np.repeat(batch.context[:, None, :], K, axis=1), "arm": batch.arm_features,
            "arm_context": batch.pair,
        }  # fmt: skip
        made = [_times(block[p[0]][..., self._cut(p, 0)], block[p[2]][..., self._cut(p, 1)]) for p in products]
        pair = np.concatenate([batch.pair, *(m * batch.mask[..., None] for m in made)], axis=-1)
        return replace(batch, pair=pair)

    def block(self, scope: str) -> Columns:
        """The fitted features of a scope: context, arm or arm_context."""
        return {"context": self.context, "arm": self.arm, "arm_context": self.pair}[scope]

    @property
    def products(self) -> dict[str, list[Product]]:
        """The products of two features, by the scope that each lives in."""
        return self._products

    def _cut(self, product: Product, factor: int) -> slice:
        return self.block(product[2 * factor]).span[product[2 * factor + 1]]

    def _product_names(self, home: str) -> tuple[str, ...]:
        factors = [[self.block(p[2 * i]).names[self._cut(p, i)] for i in (0, 1)] for p in self._products[home]]
        return tuple(f"{a}*{b}" for left, right in factors for a in left for b in right)


def _product(spec: AppSpec, a: str, b: str) -> Product:
    parts = []
    for text in (a, b):
        scope, _, name = text.partition(".")
        if scope not in SCOPES or name not in getattr(spec, scope):
            raise SpecError(f"interactions: found {text!r}, expected SCOPE.NAME of a declared feature")
        parts += [scope, name]
    return parts[0], parts[1], parts[2], parts[3]


def _home(product: Product) -> str:
    """Where a product lives: in its own scope if both factors do, else with the pair."""
    return product[0] if product[0] == product[2] else "arm_context"


def _times(a: F32, b: F32) -> F32:
    """Maps (…, m) and (…, n) to (…, m·n): every product of a column of each."""
    return (a[..., :, None] * b[..., None, :]).reshape(*a.shape[:-1], a.shape[-1] * b.shape[-1])


def _candidates(arms: Sequence[Sequence[str]], catalogue: Catalogue) -> tuple[I64, Bool]:
    """Ragged lists of arm ids → catalogue rows (B, K), 0 on padding, and the mask."""
    try:
        return placed(map(catalogue.row.__getitem__, chain.from_iterable(arms)), list(map(len, arms)))
    except KeyError as error:
        raise InvalidEvent("arms", error.args[0], "an arm_id of the catalogue (retired arms stay in it)") from None


def placed(flat: Iterable[int] | I64, lengths: Sequence[int]) -> tuple[I64, Bool]:
    """Rows of candidates, one request after the other → rows (B, K), 0 on padding, and the mask."""
    B, K, n = len(lengths), max(lengths, default=0), sum(lengths)
    found = flat if isinstance(flat, np.ndarray) else np.fromiter(flat, np.int64, n)
    if n == B * K:
        full = np.empty((B, K), np.bool_)
        full.fill(True)  # a fifth of the price of np.ones
        return found.reshape(B, K), full
    mask = np.arange(K) < np.array(lengths)[:, None]
    rows = np.zeros((B, K), np.int64)
    rows[mask] = found
    return rows, mask


def _digest(state: Mapping[str, Any]) -> str:
    return hashlib.blake2b(orjson.dumps(state, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
