"""Interactions of the log as arrays: whole, or as encoded Parquet that training streams chunk by chunk."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from croupier.features.batch import I64, Batch, Bool, Catalogue, Interactions, Texts
from croupier.features.declared.segmented import SegmentedRows
from croupier.features.encoding import inline, inline_log
from croupier.features.encoding.encoder import Encoder, placed
from croupier.features.ids import hash64
from croupier.features.interactions.whole_requests import allocate, requests_of
from croupier.features.schema import Arm, InvalidEvent
from croupier.features.slates.log_rules import LogRules, slots_of, told
from croupier.features.slates.logged import COLUMNS, slots_in, with_slots

CHUNK_ROWS = 20_000
SEGMENT = "segment "  # how the column of a declared segment begins


def encode_interactions(
    df: pl.DataFrame, encoder: Encoder, catalogue: Catalogue, rules: LogRules | None = None
) -> Interactions:
    """Rows of arrow.INTERACTIONS → arrays, in the order given; `context` may be a struct instead of JSON text.
    `rules`: those of now, and the segments, whose marks the batch then has. Raises InvalidEvent on a chosen arm that
    was no candidate, or an arm the catalogue does not have."""
    typed = isinstance(df["context"].dtype, pl.Struct)
    contexts = df["context"].struct.unnest() if typed else [orjson.loads(text) for text in df["context"]]
    pairs = [orjson.loads(text) if len(text) > 2 else () for text in df["arm_context"]]
    if inline_log.brings(df):
        catalogue, (mask, rows, chosen) = _with_inline(df, encoder, catalogue)
    else:
        mask, rows, chosen = _candidates(df, catalogue)
    pmf = np.zeros(mask.shape)
    pmf[mask] = df["pmf"].explode(keep_nulls=False, empty_as_null=False).to_numpy()
    batch = encoder.batch(contexts, rows, mask, pairs, catalogue)
    if rules:
        batch = replace(batch, left_out=_ruled_out(df, contexts, rules, mask.shape[1]))
    if rules is not None and rules.slates.declared.diversity:
        batch = replace(batch, price=rules.slates.prices(slots_of(df), mask.shape[1]))
    if rules is not None and batch.segmented is not None:
        batch = replace(batch, segmented=batch.segmented.marked(rules.segments))
    return Interactions(
        batch=replace(batch, allocation=_allocation(df)),
        chosen=chosen,
        pmf=pmf,
        reward=df["reward"].to_numpy().astype(np.float64),
        propensity=df["propensity"].to_numpy().astype(np.float64),
        at=df["at"].to_numpy().astype(np.int64),
        unit=np.array([_unit(u) for u in df["unit_id"]], np.uint64),
        weight=1.0 / df["pass_probability"].to_numpy(),
        slate=slots_in(df),
    )


def _ruled_out(df: pl.DataFrame, contexts: Any, rules: LogRules, width: int) -> Bool:
    """(B, K): the candidates that the rules, and the minimums of slates, of now would leave out."""
    rows = contexts.to_dicts() if isinstance(contexts, pl.DataFrame) else contexts
    given = inline.given_in(df) if inline_log.brings(df) else [()] * len(df)
    return rules.marks(df, rows, given, width)


def _allocation(df: pl.DataFrame) -> Texts | None:
    return df["allocation"].to_numpy().astype(np.object_) if allocate(df) else None


def _candidates(df: pl.DataFrame, catalogue: Catalogue) -> tuple[Bool, I64, I64]:
    """mask (B, K), catalogue rows (B, K), position of the chosen arm (B,)."""
    lengths = df["arms"].list.len().to_numpy().astype(np.int64)
    mask = np.arange(lengths.max(initial=0)) < lengths[:, None]
    rows, numbers = np.zeros(mask.shape, np.int64), pl.Series(range(len(catalogue.ids)), dtype=pl.Int64)
    ids = pl.Series(catalogue.ids, dtype=pl.String)
    flat = df["arms"].explode(keep_nulls=False, empty_as_null=False)
    found = flat.replace_strict(ids, numbers, default=None)
    if found.null_count():
        unknown = flat.filter(found.is_null())[0]
        raise InvalidEvent("arms", unknown, "an arm_id of the catalogue (retired arms stay in it)")
    rows[mask] = found.to_numpy()
    wanted = df["arm"].replace_strict(ids, numbers, default=-1).to_numpy()
    hit = (rows == wanted[:, None]) & mask
    if not hit.any(axis=1).all():
        i = int(np.argmin(hit.any(axis=1)))
        raise InvalidEvent("arm", df["arm"][i], f"one of the decision's candidates {df['arms'][i].to_list()}")
    return mask, rows, hit.argmax(axis=1)


def _with_inline(df: pl.DataFrame, encoder: Encoder, catalogue: Catalogue) -> tuple[Catalogue, tuple[Bool, I64, I64]]:
    """Returns the catalogue with the inline arms of these rows behind its own, and what `_candidates` does."""
    catalogue, found = inline.extended_by_log(encoder, df, catalogue)
    rows, mask = placed(found, df["arms"].list.len().to_list())
    places = [arms.index(arm) if arm in arms else -1 for arms, arm in df.select("arms", "arm").iter_rows()]
    if -1 in places:
        i = places.index(-1)
        raise InvalidEvent("arm", df["arm"][i], f"one of the decision's candidates {df['arms'][i].to_list()}")
    return catalogue, (mask, rows, np.array(places, np.int64))


def _unit(unit_id: str) -> int:
    """64 of the 128 bits of a keyed hash; ids from elsewhere are hashed here."""
    try:
        return int(unit_id[:16], 16) if len(unit_id) == 32 else hash64("unit", unit_id)
    except ValueError:
        return hash64("unit", unit_id)


class EncodedLog:
    """A Parquet file of encoded interactions, re-iterable: each pass yields `Interactions` a row group at a time, so
    that training holds one chunk, never the log."""

    def __init__(self, path: Path, catalogue: Catalogue) -> None:
        self.path, self.catalogue = path, catalogue
        head = pq.read_schema(path).metadata or {}
        self.encoder = head.get(b"croupier.encoder", b"").decode()
        self.widths: dict[str, int] = orjson.loads(head.get(b"croupier.widths", b"{}"))
        found = head.get(b"croupier.catalogue", b"").decode()
        if found != catalogue.digest:
            raise ValueError(f"{path}: encoded with catalogue {found}, expected {catalogue.digest}: encode it again")

    def __len__(self) -> int:
        return int(pq.ParquetFile(self.path).metadata.num_rows)

    def __iter__(self) -> Iterator[Interactions]:
        with pq.ParquetFile(self.path) as file:
            for group in range(file.num_row_groups):
                yield self._interactions(file.read_row_group(group))

    def _interactions(self, table: pa.Table) -> Interactions:
        flat = {name: _flat(table[name]) for name in table.column_names}
        lengths = _lengths(table["arm"])
        mask = np.arange(lengths.max(initial=0)) < lengths[:, None]
        arm, pmf = np.zeros(mask.shape, np.int64), np.zeros(mask.shape)
        arm[mask], pmf[mask] = flat["arm"], flat["pmf"]
        pair = np.zeros((*mask.shape, self.widths["pair"]), np.float32)
        pair[mask] = flat["pair"].reshape(-1, self.widths["pair"]) if self.widths["pair"] else 0.0
        context = flat["context"].reshape(len(lengths), self.widths["context"])
        out = None
        if "left_out" in flat:
            out = np.zeros(mask.shape, np.bool_)
            out[mask] = flat["left_out"]
        price = None
        if "price" in flat:
            price = np.zeros(mask.shape)
            price[mask] = flat["price"]
        known = SegmentedRows(
            marks={name.removeprefix(SEGMENT): flat[name] for name in flat if name.startswith(SEGMENT)}
        )
        batch = Batch(
            context=context,
            arm=arm,
            mask=mask,
            pair=pair,
            catalogue=self._catalogue(flat),
            left_out=out,
            price=price,
            segmented=known,
        )
        if "allocation" in flat:
            batch = replace(batch, allocation=flat["allocation"])
        rest = {k: flat[k] for k in ("chosen", "reward", "propensity", "at", "unit", "weight")}
        slate = np.column_stack([flat[name] for name in COLUMNS]) if COLUMNS[0] in flat else None
        return Interactions(batch=batch, pmf=pmf, slate=slate, **rest)

    def _catalogue(self, flat: Mapping[str, Any]) -> Catalogue:
        """The catalogue, extended by the inline arms of a row group."""
        ids = flat.get("inline_arm", ())
        if not len(ids):
            return self.catalogue
        return self.catalogue.with_inline(ids.tolist(), flat["inline"].reshape(len(ids), self.widths["arm"]))


def read(path: Path, catalogue: Catalogue) -> EncodedLog:
    """Raises ValueError when the file was encoded with another catalogue."""
    return EncodedLog(path, catalogue)


def write(path: Path, chunks: Iterable[Interactions], encoder: Encoder) -> int:
    """Write chunks as row groups, whole or not at all (a rename). Returns the rows written; none is a ValueError."""
    scratch, writer, rows = path.with_suffix(".tmp"), None, 0
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        for chunk in chunks:
            table = _table(chunk, encoder)
            writer = writer or pq.ParquetWriter(scratch, table.schema, compression="zstd")
            writer.write_table(table, row_group_size=max(len(chunk), 1))
            rows += len(chunk)
    finally:
        if writer:
            writer.close()
    if not writer:
        raise ValueError(f"{path}: found no interactions to encode, expected at least one chunk")
    scratch.replace(path)
    return rows


def write_log(path: Path, df: pl.DataFrame, encoder: Encoder, arms: Sequence[Arm], rules: LogRules | None) -> int:
    """Writes the rows of a log over a catalogue's `arms`, with the marks of the `rules`; see `write`."""
    return write(path, encode_chunks(df, encoder, encoder.catalogue(arms), rules=rules), encoder)


def encode_chunks(
    df: pl.DataFrame,
    encoder: Encoder,
    catalogue: Catalogue,
    *,
    rows: int = CHUNK_ROWS,
    rules: LogRules | None = None,
) -> Iterator[Interactions]:
    """The frame in slices of `rows`, each encoded when asked for; a request to allocate is never cut in two."""
    requests = requests_of(df) if allocate(df) else None
    start, df = 0, with_slots(df)
    df = told(df) if rules is not None and rules.slates else df
    while start < len(df):
        end = min(start + rows, len(df))
        while requests is not None and end < len(df) and requests[end - 1] == requests[end]:
            end += 1
        part = encode_interactions(df[start:end], encoder, catalogue, rules)
        yield part if requests is None else _with_column(part)
        start = end


def _with_column(part: Interactions) -> Interactions:
    """A chunk of a log in which others have requests to allocate: Parquet's row groups are alike."""
    if part.batch.allocation is not None:
        return part
    return replace(part, batch=replace(part.batch, allocation=np.full(len(part), "", np.object_)))


def _table(log: Interactions, encoder: Encoder) -> pa.Table:
    batch, mask = log.batch, log.batch.mask
    lengths, ids, width = mask.sum(axis=1), np.array(batch.catalogue.ids, np.object_), batch.catalogue.features.shape[1]
    arm, brought, met = inline.of_chunk(batch.arm, mask, batch.catalogue.size)
    columns: dict[str, Any] = {
        "context": _lists(batch.context.reshape(-1), np.full(len(log), batch.context.shape[1])),
        "arm": _lists(arm, lengths), "pmf": _lists(log.pmf[mask], lengths),
        "pair": _lists(batch.pair[mask].reshape(-1), lengths * batch.pair.shape[2]),
        "inline_arm": _lists(pa.array(ids[brought], pa.string()), met),
        "inline": _lists(batch.catalogue.features[brought].reshape(-1), met * width),
    }  # fmt: skip
    if batch.left_out is not None:
        columns["left_out"] = _lists(batch.left_out[mask], lengths)
    if batch.price is not None:
        columns["price"] = _lists(batch.price[mask], lengths)
    for key, held in (batch.segmented.marks if batch.segmented else {}).items():
        columns[f"{SEGMENT}{key}"] = pa.array(held)
    for name in ("chosen", "reward", "propensity", "at", "unit", "weight"):
        columns[name] = pa.array(getattr(log, name))
    if batch.allocation is not None:
        columns["allocation"] = pa.array(batch.allocation, pa.string())
    if log.slate is not None:
        columns |= {name: pa.array(log.slate[:, i]) for i, name in enumerate(COLUMNS)}
    widths = {"context": batch.context.shape[1], "pair": batch.pair.shape[2], "arm": width}
    head = {"croupier.encoder": encoder.digest, "croupier.catalogue": batch.catalogue.digest,
            "croupier.widths": orjson.dumps(widths)}  # fmt: skip
    return pa.table(columns).replace_schema_metadata(head)


def _lists(values: Any, lengths: Any) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    flat = values if isinstance(values, pa.Array) else pa.array(np.ascontiguousarray(values))
    return pa.ListArray.from_arrays(pa.array(offsets), flat)


def _flat(column: pa.ChunkedArray) -> Any:
    """Values of a (list) column as one array, a writable copy (torch warns about others)."""
    whole = column.combine_chunks()
    return np.array((whole.flatten() if pa.types.is_list(column.type) else whole).to_numpy(zero_copy_only=False))


def _lengths(column: pa.ChunkedArray) -> Any:
    return np.diff(column.combine_chunks().offsets.to_numpy())
