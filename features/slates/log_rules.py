"""What a log's rows would not offer now: by the rules of app.toml, and by what it asks of every slate."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import polars as pl

from croupier.features.batch import Bool
from croupier.features.declared.rule import RuleSpec
from croupier.features.declared.ruled_out import RuledOut
from croupier.features.declared.segment import RequestSegment
from croupier.features.schema import InvalidEvent
from croupier.features.slates.held import SlateRules, Slot
from croupier.features.slates.logged import COLUMNS
from croupier.features.slates.so_far import Shown, SlateSoFar

Row = Mapping[str, Any]
SO_FAR = "slate_so_far"


class LogRules(RuledOut):
    """As RuledOut, and what is asked of slates beside it."""

    def __init__(
        self,
        rules: Sequence[RuleSpec],
        catalogue: Mapping[str, Row],
        segments: Sequence[RequestSegment],
        slates: SlateRules,
    ) -> None:
        super().__init__(rules, catalogue, segments)
        self.slates = slates

    def __bool__(self) -> bool:
        return bool(self.rules or self.slates)

    def marks(
        self, rows: pl.DataFrame, contexts: Sequence[Row], given: Sequence[Sequence[Row | None]], width: int
    ) -> Bool:
        """As `places`, with what slates' minimums leave out of the candidates that the rules leave in."""
        arms = rows["arms"].to_list()
        found = self.places(contexts, arms, given, width)
        for row, so_far in enumerate(so_fars(rows) if self.slates.declared.minimums else ()):
            if so_far is not None:
                self._mark(found[row], so_far, arms[row], given[row])
        return found

    def _mark(self, out: Bool, so_far: SlateSoFar, arms: Sequence[str], given: Sequence[Row | None]) -> None:
        left = [place for place in range(len(arms)) if not out[place]]
        names, own = [arms[place] for place in left], [given[place] for place in left] if given else ()
        try:
            found = self.slates.left_out(so_far, names, own)
        except InvalidEvent:
            return  # it would be refused, and says nothing of a policy
        if len(found) < len(left):
            out[[place for place, arm in zip(left, names, strict=True) if arm in found]] = True


def so_fars(rows: pl.DataFrame) -> list[SlateSoFar | None]:
    """What each row says of its slate; None where it is no slot of one."""
    texts = rows[SO_FAR] if SO_FAR in rows.columns else [""] * len(rows)
    return list(map(SlateSoFar.recorded, texts))


def slots_of(rows: pl.DataFrame) -> list[Slot]:
    """The rows as SlateRules asks for them."""
    given = (
        [orjson.loads(text) for text in rows["arm_features"]] if "arm_features" in rows.columns else [()] * len(rows)
    )
    return list(zip(so_fars(rows), rows["arms"].to_list(), given, strict=True))


def told(rows: pl.DataFrame) -> pl.DataFrame:
    """Fills in `slate_so_far` at the slots of whole slates that were decided before anything was asked of slates; for
    rows that `with_slots` has been over."""
    if COLUMNS[0] not in rows.columns:
        return rows
    texts = rows[SO_FAR].to_list() if SO_FAR in rows.columns else [""] * len(rows)
    names = ["row", "slot", "slots", "arm", "arms", *(["arm_features"] if "arm_features" in rows.columns else [])]
    slots = rows.with_row_index("row").filter(pl.col("slots") > 1).sort("slate", "slot").select(names)
    above = list[Shown]()
    for row, slot, k, arm, arms, *given in slots.iter_rows():
        above = above if slot else []
        texts[row] = texts[row] or SlateSoFar.of(k, above).to_json()
        above.append(_shown(arm, arms, orjson.loads(given[0]) if given and len(given[0]) > 2 else ()))
    return rows.with_columns(pl.Series(SO_FAR, texts, pl.String))


def _shown(arm: str, arms: Sequence[str], given: Sequence[Row | None]) -> Shown:
    own = given[arms.index(arm)] if given else None
    return arm if own is None else {"id": arm, "features": own}
