"""Numbers about an interval as a whole, each with its rule: the account, features against the encoder's training
window, arms against the catalogue, the candidate's share against the stage, and the propensity audit."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from math import log, log1p, sqrt
from typing import Any

import polars as pl

from croupier.features.encoding import inline, inline_log, profile
from croupier.features.encoding.columns import Columns
from croupier.features.encoding.encoder import Encoder
from croupier.features.encoding.validation import Row
from croupier.features.encoding.vocabulary import WITH_WORDS
from croupier.features.interactions.account import Account
from croupier.features.interactions.parts.interval_rows import IntervalRows
from croupier.features.quality import seen_values
from croupier.features.quality.audit import ALPHA, Audit
from croupier.features.quality.rules import Rule, Severity
from croupier.features.quality.seen_values import SeenValues
from croupier.features.schema import CANDIDATE, CHAMPION, HOLDOUT, IN_CANDIDATES_PLACE, WATCH, share_of

CHANGE = 0.05  # of a share of missing, unknown or out-of-range values, against training
MOVED = 0.2  # share of a feature's values that may have moved to other bins
NEW_ARMS, GONE_ARMS, MALFORMED = 0.2, 0.5, 0.05


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What the interval is held against; whatever is None is not looked at."""

    account: Account | None = None
    encoder: Encoder | None = None
    arms: Collection[str] | None = None  # of the catalogue that the releases in use know
    audit: Audit | None = None  # evidence so far, this interval's included


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A number and its rule."""

    value: float
    rule: Rule


def measures(rows: IntervalRows, expected: Expected) -> list[Measure]:
    """Returns all measures that have something to look at."""
    out = [_at_least("interactions", float(len(rows)), 1.0, "the interval is not empty", "critical")]
    if expected.account:
        out += _account(expected.account)
    if len(rows) and expected.encoder:
        out += list(_features(rows, expected.encoder, [] if expected.arms else _brought(rows)))
    if len(rows) and expected.arms:
        out += _arms(rows, expected.arms)
    return out + list(_shares(rows)) + list(_audits(expected.audit or {}))


def _account(account: Account) -> list[Measure]:
    malformed = account.refused / max(account.rewards_in, 1)
    unbalanced = float(not account.balanced)
    return [
        _at_most("account_balances", unbalanced, 0.0, "events in = events accounted for", "critical"),
        _at_most("malformed_share", malformed, MALFORMED, "few rewards were refused on receipt"),
    ]


def _brought(rows: IntervalRows) -> list[Any]:
    """The inline arms, each id of equal features once."""
    found: dict[inline.ArmKey, Row] = {}
    for part in rows.parts("arms", inline.COLUMN):
        inline.brought(part, found)
    return list(found.values())


def _features(rows: IntervalRows, encoder: Encoder, arms: Sequence[Any]) -> Iterator[Measure]:
    """`arms`: those that requests brought along, where there are no others: the encoder was fitted on both together."""
    of_context, of_pairs = seen_values.of_interactions(rows.parts(*seen_values.COLUMNS), encoder)
    of_arms = seen_values.of_columns(encoder.arm)
    seen_values.add(of_arms, arms)
    for columns, each in ((encoder.context, of_context), (encoder.pair, of_pairs), (encoder.arm, of_arms)):
        for seen in each:
            if seen.n and seen.feature.profile.n:
                yield from _feature(columns, seen)


def _feature(columns: Columns, seen: SeenValues) -> Iterator[Measure]:
    """Measures a feature against training: share missing; unknown or out of range; moved between bins."""
    f, now = seen.feature, seen.profile
    name, trained = f"{columns.scope}.{f.name}", f.profile
    slack = CHANGE + sqrt(log(1 / ALPHA) / (2 * seen.n))
    limit = trained.missing + slack
    yield _at_most(f"missing_share {name}", now.missing, limit, f"missing about as often as in training ({name})")
    if not trained.shares or not now.shares:
        return
    if f.type in WITH_WORDS:
        says = f"few categories unknown to the encoder ({name})"
        yield _at_most(f"unknown_share {name}", now.shares[-1], trained.shares[-1] + slack, says)
    else:
        outside = seen.outside / seen.present
        says = f"few values outside {trained.low:g} to {trained.high:g} ({name})"
        yield _at_most(f"outside_range {name}", outside, slack, says)
    limit = MOVED + profile.chance(len(now.shares), min(seen.n, trained.n))
    says = f"spread as in training ({name}): share of values that moved"
    yield _at_most(f"moved {name}", profile.moved(now.shares, trained.shares), limit, says)


def _arms(rows: IntervalRows, known: Collection[str]) -> list[Measure]:
    """Arms of the catalogue alone: those that a request brings along are new by their nature."""
    offers = new = 0
    missing = set(known)
    for part in rows.parts("arms", inline.COLUMN):
        offered = inline_log.keyed(part).explode().drop_nulls()
        offered = offered.filter(offered != inline_log.INLINE)
        offers, new = offers + len(offered), new + int((~offered.is_in(list(known))).sum())
        missing -= set(offered.unique().to_list())
    gone = len(missing) / len(known)
    return [
        _at_most(
            "arms_new", new / offers if offers else 0.0, NEW_ARMS, "few candidates are new to the encoder's catalogue"
        ),
        _at_most("arms_gone", gone, GONE_ARMS, "most arms of the catalogue are still offered"),
    ]


def _shares(rows: IntervalRows) -> Iterator[Measure]:
    """Units on the candidate, or kept back ("watch 1%"), against the stage's share p: n·KL(found ‖ p) nats; by
    Chernoff's bound it exceeds log(2/α) with probability at most α."""
    for (release, stage), (on, n) in _units(rows).items():
        found, name = on / n, _on(stage)
        says = f"{stage} of {n:,} units on the {name} (found {found:.2%}); nats of evidence against"
        evidence = n * _kl(found, share_of(stage))
        yield _at_most(f"{name}_share release {release} at {stage}", evidence, log(2 / ALPHA), says)


def _units(rows: IntervalRows) -> dict[tuple[Any, str], tuple[int, int]]:
    """By release and stage that names a share of units: how many are on the policy that it names, of how many."""
    columns, key = ("role", "release", "stage"), ("release", "stage")
    served = pl.col("role").is_in([CHAMPION, *IN_CANDIDATES_PLACE])
    seen = (part.filter(served).select(key).unique(maintain_order=True).iter_rows() for part in rows.parts(*columns))
    found = {(release, str(stage)): (0, 0) for release, stage in chain.from_iterable(seen)}
    found = {each: (0, 0) for each in found if 0 < share_of(each[1]) < 1}
    for shard in rows.shards("unit_id", *columns) if found else ():
        for (release, stage), some in shard.filter(served).partition_by(key, as_dict=True).items():
            if (each := (release, str(stage))) in found:
                units = some.group_by("unit_id").agg((pl.col("role") == _on(each[1])).any())["role"]
                on, n = found[each]
                found[each] = (on + int(units.sum()), n + len(units))
    return found


def _on(stage: str) -> str:
    """The role whose share of units a stage names."""
    return HOLDOUT if stage.startswith(WATCH) else CANDIDATE


def _kl(q: float, p: float) -> float:
    """KL(Bernoulli q ‖ Bernoulli p), nats."""
    return (q * log(q / p) if q else 0.0) + ((1 - q) * (log1p(-q) - log1p(-p)) if q < 1 else 0.0)


def _audits(audit: Audit) -> Iterator[Measure]:
    for group, found in audit.items():
        says = f"arms drawn from the logged pmf ({found.n:,} rows; nats of evidence against, best fit: {found.suspect})"
        yield _at_most(f"propensity_audit {group}", found.log_e, log(1 / ALPHA), says, "critical")


def _at_most(name: str, value: float, limit: float, says: str, severity: Severity = "warning") -> Measure:
    return _measure(name, value, {"max_value": limit}, says, severity)


def _at_least(name: str, value: float, limit: float, says: str, severity: Severity = "warning") -> Measure:
    return _measure(name, value, {"min_value": limit}, says, severity)


def _measure(name: str, value: float, limits: dict[str, float], says: str, severity: Severity) -> Measure:
    rule = Rule(
        name=name, column=name, says=says, severity=severity, limits=limits, expectation="ExpectColumnMaxToBeBetween"
    )
    return Measure(value=value, rule=rule)
