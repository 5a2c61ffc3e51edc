"""An encoder that learns the categories which came after it was fitted, and stays the same in all else.

Of a feature whose values in the training window it does not know in more than `[training] unknown` of the rows, the
categories are added that its declaration admits (`min_count`, `max_vocabulary`). Numbers keep their mean and scale, and
no column goes: so whatever was trained on the earlier columns can be served, and judged, from the grown encoder's
(earlier_columns.py). Which columns there are depends on contexts and arms alone, never on a reward.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from croupier.features.encoding.columns import Columns
from croupier.features.encoding.encoder import SCOPES, Encoder
from croupier.features.encoding.fits.gathered import ScopeGathered, WordsGathered
from croupier.features.encoding.fits.log_gathered import log_gathered
from croupier.features.encoding.fitted import Fitted
from croupier.features.encoding.vocabulary import WITH_WORDS, commonest
from croupier.features.schema import Arm
from croupier.features.spec import AppSpec

if TYPE_CHECKING:
    from croupier.features.encoding.fits.log_gathered import Log


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


def grown(encoder: Encoder, spec: AppSpec, interactions: "Log", arms: Sequence[Arm]) -> tuple[Encoder, list[Growth]]:
    """The encoder with the new categories of the window's interactions (a frame, or the parts of one), and what grew;
    the very same where nothing did."""
    words = {s: {n: f for n, f in getattr(spec, s).items() if f.type in WITH_WORDS} for s in SCOPES}
    seen = log_gathered(interactions, words, spec, arms) if any(words.values()) else {}
    blocks, found = [], list[Growth]()
    for scope in SCOPES:
        each = [_grown(f, scope, seen, spec.training.unknown) for f in encoder.block(scope).features]
        blocks.append(Columns(scope, [feature for feature, _ in each]))
        found += [growth for _, growth in each if growth]
    if not any(growth.added for growth in found):
        return encoder, found
    return Encoder(blocks, list(chain.from_iterable(encoder.products.values()))), found


def _grown(fitted: Fitted, scope: str, seen: Mapping[str, ScopeGathered], limit: float) -> tuple[Fitted, Growth | None]:
    words = seen[scope].features[fitted.name] if fitted.type in WITH_WORDS else None
    if not isinstance(words, WordsGathered):
        return fitted, None
    counts, declared, known = words.counts, words.feature, set(fitted.vocabulary)
    unknown = sum(n for text, n in counts.items() if text not in known) / max(counts.total(), 1)
    new = Counter({t: n for t, n in counts.items() if t not in known and n >= declared.min_count})
    if not new or unknown <= limit:
        return fitted, None
    added = commonest(new, declared, besides=len(fitted.vocabulary))
    growth = Growth(feature=f"{scope}.{fitted.name}", added=len(added), unknown=unknown, full=len(added) < len(new))
    if not added:
        return fitted, growth
    vocabulary = (*fitted.vocabulary, *added)
    profile = words.profile(vocabulary)
    if fitted.missing and not profile.missing:
        profile = replace(profile, missing=fitted.profile.missing)  # its column stays
    return replace(fitted, vocabulary=vocabulary, profile=profile), growth
