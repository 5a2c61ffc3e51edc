"""An encoder that learns the categories which came after it was fitted, and stays the same in all else.

Of a feature whose values in the training window it does not know in more than `[training] unknown` of the rows, the
categories are added that its declaration admits (`min_count`, `max_vocabulary`). Numbers keep their mean and scale, and
no column goes: so whatever was trained on the earlier columns can be served, and judged, from the grown encoder's
(earlier_columns.py). Which columns there are depends on contexts and arms alone, never on a reward.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import orjson

from croupier.features.declared.feature import Feature
from croupier.features.encoding import inline
from croupier.features.encoding.columns import Columns
from croupier.features.encoding.encoder import SCOPES, Encoder
from croupier.features.encoding.fitted import Fitted
from croupier.features.encoding.validation import Row
from croupier.features.encoding.vocabulary import WITH_WORDS, commonest, counts_of, profile_of
from croupier.features.schema import Arm
from croupier.features.spec import AppSpec

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, kw_only=True)
class Growth:
    """A feature's new categories: how many, and the share of values that were unknown before them. `full` says that
    `max_vocabulary` kept some out."""

    feature: str
    added: int
    unknown: float
    full: bool = False

    def __str__(self) -> str:
        kept_out = "; max_vocabulary keeps the others out" if self.full else ""
        return f"{self.feature}: {self.added} new categories, {self.unknown:.1%} of its values were unknown{kept_out}"


def grown(
    encoder: Encoder, spec: AppSpec, interactions: "pl.DataFrame", arms: Sequence[Arm]
) -> tuple[Encoder, list[Growth]]:
    """The encoder with the window's new categories, and what grew; the very same where nothing did."""
    blocks, found = [], list[Growth]()
    for scope in SCOPES:
        block, wanted = encoder.block(scope), getattr(spec, scope)
        rows = _rows(scope, spec, interactions, arms) if any(f.type in WITH_WORDS for f in block.features) else []
        each = [_grown(f, wanted[f.name], scope, rows, spec.training.unknown) for f in block.features]
        blocks.append(Columns(scope, [feature for feature, _ in each]))
        found += [growth for _, growth in each if growth]
    if not any(growth.added for growth in found):
        return encoder, found
    return Encoder(blocks, list(chain.from_iterable(encoder.products.values()))), found


def _rows(scope: str, spec: AppSpec, interactions: "pl.DataFrame", arms: Sequence[Arm]) -> list[Row]:
    if scope == "arm":
        return [*inline.rows_of_arms(spec, arms), *inline.brought(interactions)]
    texts: Iterable[Any] = (orjson.loads(text) for text in interactions[scope])
    return list(chain.from_iterable(texts)) if scope == "arm_context" else list(texts)


def _grown(
    fitted: Fitted, declared: Feature, scope: str, rows: Sequence[Row], limit: float
) -> tuple[Fitted, Growth | None]:
    if fitted.type not in WITH_WORDS:
        return fitted, None
    values, known = [row.get(fitted.name) for row in rows], set(fitted.vocabulary)
    counts = counts_of(fitted.type, values)
    unknown = sum(n for text, n in counts.items() if text not in known) / max(counts.total(), 1)
    new = Counter({t: n for t, n in counts.items() if t not in known and n >= declared.min_count})
    if not new or unknown <= limit:
        return fitted, None
    added = commonest(new, declared, besides=len(fitted.vocabulary))
    growth = Growth(feature=f"{scope}.{fitted.name}", added=len(added), unknown=unknown, full=len(added) < len(new))
    if not added:
        return fitted, growth
    vocabulary = (*fitted.vocabulary, *added)
    profile = profile_of(fitted.type, values, vocabulary)
    if fitted.missing and not profile.missing:
        profile = replace(profile, missing=fitted.profile.missing)  # its column stays
    return replace(fitted, vocabulary=vocabulary, profile=profile), growth
