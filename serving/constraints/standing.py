"""How rules and limits stand: what the logged decisions of the last days say of each."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial

import numpy as np
import orjson
import polars as pl

from croupier.features.declared.constraint import ALIKE, ConstraintSpec
from croupier.features.declared.rule import RuleSpec
from croupier.features.declared.segment import RequestSegment
from croupier.features.encoding.inline import given_in
from croupier.features.interactions.versions import read_interactions
from croupier.features.known_arms import known_arms
from croupier.features.spec_values import MinimumSpec
from croupier.features.workspace import Workspace
from croupier.serving.constraints import slates_standing
from croupier.serving.constraints.conservative_standing import conservative
from croupier.serving.constraints.long_run_standing import alike, long_run
from croupier.serving.constraints.measured import of_segment
from croupier.serving.constraints.one_standing import Standing
from croupier.serving.constraints.understood import asked
from croupier.serving.release import bundle_store
from croupier.serving.release.safeguards import Safeguards

WITHIN = 1e-9  # of a probability that was logged


def standing(w: Workspace, *, end: datetime, days: float) -> list[Standing]:
    """Each rule, constraint and minimum of slates of app.toml, over the joined decisions of the `days` before `end`."""
    rows = read_interactions(w.store, start=end - timedelta(days=days), end=end)
    now = current(w)
    return [
        *_rules(w, rows),
        *_limits(w, rows),
        *_safety(w, rows),
        *conservative(w),
        *long_run(w, rows, now, end, partial(_having, w)),
        *_slates(w, rows, now),
        *(each for one in w.spec.constraints if one.kind in ALIKE for each in alike(w, one, now, rows)),
    ]


def current(w: Workspace) -> Safeguards:
    """The rules and limits of the current release; none before there is one."""
    number = bundle_store.current(w.store)
    return Safeguards() if number is None else Safeguards.of(bundle_store.manifest(w.store, number))


def _having(w: Workspace, rows: pl.DataFrame, one: RuleSpec | ConstraintSpec | MinimumSpec) -> set[int]:
    """The releases among those that decided these rows whose manifest has the rule, constraint or minimum of now."""
    found = set()
    for number in map(int, rows["release"].unique()):
        try:
            held = Safeguards.of(bundle_store.manifest(w.store, number))
        except KeyError:  # pruned, or imported: nothing is known of it
            continue
        found |= {number} if one in (*held.rules, *held.constraints, *held.slates.minimums) else set()
    return found


def _rules(w: Workspace, rows: pl.DataFrame) -> list[Standing]:
    if not w.spec.rules:
        return []
    contexts, given = [orjson.loads(text) for text in rows["context"]], given_in(rows)
    arms, releases, now = rows["arms"].to_list(), rows["release"].to_list(), current(w)
    found = []
    for rule in w.spec.rules:
        ruled = Safeguards(rules=(rule,), strings=Safeguards.declared(w.spec).strings).ruled_out(known_arms(w))
        about = [rule.forbids(context) for context in contexts]
        out = [bool(ruled.why(*each)) for each in zip(contexts, arms, given, strict=True)]
        having = _having(w, rows, rule)
        broken = sum(o and release in having for o, release in zip(out, releases, strict=True))
        found.append(
            Standing(
                name=rule.name,
                kind="rule",
                target="never chosen where it holds",
                live=rule in now.rules,
                decisions=sum(about),
                so_far=None,
                least=None,
                most=None,
                broken=broken,
            )
        )
    return found


def _limits(w: Workspace, rows: pl.DataFrame) -> list[Standing]:
    if not w.spec.constraints:
        return []
    flat, now = Safeguards.declared(w.spec), current(w)
    features = {arm.arm_id: flat.flat(arm.features) for arm in known_arms(w)}
    found = []
    alone = not any(each.kind == "limit" for each in w.spec.constraints)  # an exploration gives way to limits
    for one in (each for each in w.spec.constraints if each.kind in ("limit", "exploration")):
        mine = set(one.arms) or {arm for arm, own in features.items() if one.concerns(own)}
        about = of_segment(RequestSegment.of(one.when), rows)
        masses = _least(about) if one.kind == "exploration" else _masses(about, mine, each=bool(one.arms))
        having = _having(w, about, one) if alone or one.kind == "limit" else set()
        broken = [
            release in having and not all(one.floor - WITHIN <= p <= one.cap + WITHIN for p in found)
            for found, release in zip(masses, about["release"], strict=True)
        ]
        some = [p for each in masses for p in each]
        low, mean, high = (float(f(some)) for f in (np.min, np.mean, np.max)) if some else (None, None, None)
        found.append(
            Standing(
                name=one.name,
                kind=one.kind,
                target=_target(one),
                live=one in now.constraints,
                decisions=sum(map(bool, masses)),
                so_far=mean,
                least=low,
                most=high,
                broken=sum(broken),
            )
        )
    return found


def _slates(w: Workspace, rows: pl.DataFrame, now: Safeguards) -> list[Standing]:
    if not w.spec.slates.minimums:
        return []
    rules, found = Safeguards.declared(w.spec).slate_rules(known_arms(w)), []
    for one, kept in zip(w.spec.slates.minimums, slates_standing.kept(rules, rows), strict=True):
        low, mean, high = kept.moments or (None, None, None)
        found.append(
            Standing(
                name=f"{one.feature} = {one.value!r}",
                kind="slates",
                target=f"≥ {one.least} of each slate",
                live=one in now.slates.minimums,
                decisions=len(kept.shown),
                so_far=mean,
                least=low,
                most=high,
                broken=kept.broken(one.least, _having(w, rows, one)),
            )
        )
    return found


def _safety(w: Workspace, rows: pl.DataFrame) -> list[Standing]:
    """How `never_dominated` stands: the mean share of candidates that decisions of releases with it left out."""
    if not w.spec.safety.never_dominated:
        return []
    mine = rows.filter(
        pl.col("release").is_in([number for number in rows["release"].unique() if _safe(w, int(number))])
    )
    out = [sum(p == 0 for p in pmf) / len(pmf) for pmf in mine["pmf"].to_list()]
    low, mean, high = (float(f(out)) for f in (np.min, np.mean, np.max)) if out else (None, None, None)
    return [
        Standing(
            name="never_dominated",
            kind="safety",
            target="no candidate that is surely worse than another; left out of the candidates",
            live=current(w).safety == w.spec.safety,
            decisions=len(out),
            so_far=mean,
            least=low,
            most=high,
            broken=0,
        )
    ]


def _safe(w: Workspace, number: int) -> bool:
    try:
        return Safeguards.of(bundle_store.manifest(w.store, number)).safety.never_dominated
    except KeyError:
        return False


def _masses(rows: pl.DataFrame, mine: set[str], *, each: bool) -> list[list[float]]:
    """The probabilities that are limited, of each decision: those of its arms that are `mine`, or their sum; empty
    where it lists none of them."""
    masses = []
    for arms, pmf in rows.select("arms", "pmf").iter_rows():
        found = [p for arm, p in zip(arms, pmf, strict=True) if arm in mine]
        masses.append(found if each or not found else [sum(found)])
    return masses


def _least(rows: pl.DataFrame) -> list[list[float]]:
    """The least probability of each decision's K candidates, times K."""
    return [[min(pmf) * len(pmf)] for pmf in rows["pmf"].to_list()]


def _target(one: ConstraintSpec) -> str:
    parts = [f"≥ {one.floor:g}"] if one.floor else []
    parts += [f"≤ {one.cap:g}"] if one.cap < 1 else []
    if one.kind == "exploration":
        parts = [f"each candidate ≥ {one.floor:g}/K"]
    return f"{' and '.join(parts)} in each decision{f' where {asked(one.when)}' if one.when else ''}"


def lines(found: Sequence[Standing]) -> list[str]:
    """A line for each, for people."""
    return [f"{s.kind} {s.name}: {'; '.join(_said(s))}" for s in found]


def _said(s: Standing) -> Iterator[str]:
    yield s.target + ("" if s.live else " (not yet live)")
    if s.share is not None:
        yield from _promised(s)
        return
    if s.so_far is not None:
        of = "slate" if s.kind == "slates" else "decision"
        one = "" if s.least is None else f", of one {of} {_number(s.least)} to {_number(s.most)}"
        yield f"so far {_number(s.so_far)}{one}"
    yield f"{s.decisions:,} {'slates' if s.kind == 'slates' else 'decisions'}"
    yield from (f"overrun on {day} by {_number(much)}" for day, much in sorted(s.overrun.items()))
    if s.price is None or s.broken:
        yield f"{s.broken:,} broke it" if s.broken else "none broke it"
    if s.price is not None:
        yield f"price {_number(s.price)}"


def _promised(s: Standing) -> Iterator[str]:
    if s.so_far is None:
        yield "nothing counted yet: an hour counts once it is over and its rewards are complete"
    else:
        yield f"so far {_number(s.so_far)} of it, at least {_number(s.least)}"
        yield f"{s.decisions:,} decisions until {s.until}"
    yield f"share of the policy now {_number(s.share)}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
