"""Judging what was retrained: the windows of a scheduled loop, each family by its models through time.

train    every row of the window; for a family new to the process also a model of the earlier rows, which judges it
judge    challengers: is the family better than the champion's? The champion's own family: is it at least not worse?
         By all rows of the process, and by the latest ones alone (recent.py). Where the users have changed since the
         champion learnt (changes.py), its log cannot tell what else would be better, and the rollout judges instead
after    the new models take over from the window's end on (models/ope/prequential.py says why that is sound)
"""

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from croupier.features.batch import Interactions
from croupier.features.build import Features, encoder_at, meta_of
from croupier.features.encoding.earlier_columns import extends
from croupier.features.encoding.encoder import Encoder
from croupier.features.schema import CHAMPION
from croupier.features.spec_values import seconds_of
from croupier.features.store import layout, released
from croupier.features.store.storage import Conflict
from croupier.features.utc import SECOND
from croupier.features.workspace import Workspace, get_folder
from croupier.models import changes, earlier, recent, stale
from croupier.models.constraints.held import limits_of
from croupier.models.gate.bounds.planned import LookSchedule
from croupier.models.gate.evaluation import Asked
from croupier.models.gate.guardrails import guarded
from croupier.models.gate.judged_quality import quality
from croupier.models.gate.reports import Evaluation
from croupier.models.gate.spending import Spending, SpentLook
from croupier.models.ope.kept_arms import judging, repeats
from croupier.models.ope.prequential import Piecewise, Process, Segment
from croupier.models.policy import Policy, load, make
from croupier.models.slates.judged.evaluation import any_better, evaluate, rounds_in

BEFORE = "-before"  # ends the name of a model of the earlier rows alone


@dataclass(frozen=True, kw_only=True)
class Champion:
    """Who serves: the family's name, where its policy is kept ("uniform" before a release), and the time (UTC µs)
    before which its training ended, so that later rows can judge it."""

    family: str
    policy: str
    trained_until: int


def champion_of(w: Workspace) -> Champion:
    """The current release's champion."""
    number = released.current(w.store)
    if number is None:
        return Champion(family="uniform", policy="uniform", trained_until=0)
    head = orjson.loads(w.store.get(layout.release(number, CHAMPION, layout.POLICY_FILE)))
    meta = released.manifest(w.store, number)["meta"]
    until = 0
    if head["policy"] != "uniform":
        with suppress(KeyError):  # features may have been deleted by retention: then it is old
            found = meta_of(w.store, meta.get("features", ""))
            until = stale.believed(int(found.get("end_us", found["split_at"])))
    return Champion(family=head["policy"], policy=layout.release(number, CHAMPION), trained_until=until)


def warm_start(w: Workspace, family: str, features: Features) -> tuple[Policy, int] | None:
    """The family's newest model from before this window's end, and the time from which rows are new to it; None before
    there is one, or where another encoder wrote the columns."""
    process = read_process(w)
    if features.end is None or process is None or process.encoder != features.encoder.digest:
        return None
    before = [s for s in process.candidates.get(family, ()) if s.since < features.end]
    if not before:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        return _loaded(w, before[-1].policy, Path(scratch), features.encoder), before[-1].since


def read_process(w: Workspace) -> Process | None:
    """Reads the prequential process of the trainings so far; None before the first."""
    raw, version = w.store.read(layout.PROCESS)
    return Process.from_json(raw) if version is not None else None


def process_for(w: Workspace, features: Features, candidates: Mapping[str, str]) -> tuple[Process, bool]:
    """The process that judges these candidates (family → where its newest model is, or will be, kept), and True if it
    is a new one: then its first models are those of the earlier rows."""
    assert features.end is not None
    champion, encoder = champion_of(w), features.encoder.digest
    found = read_process(w)
    if found and found.continues(champion.family, candidates, features.end) and _reads_on(w, found, features):
        return replace(found, encoder=encoder).judged_from(features.end, w.spec.training.days), False
    since = max(features.split_at, champion.trained_until)
    first = {name: (Segment(since=since, policy=prefix + BEFORE),) for name, prefix in candidates.items()}
    process = Process(
        champion=champion.family,
        encoder=encoder,
        start=since,
        candidates=first,
        champions=(Segment(since=0, policy=champion.policy),),
        held_back=repeats.keeps(features.chunks()),
    )
    return process, True


def _reads_on(w: Workspace, process: Process, features: Features) -> bool:
    """True if the process's models find their own columns among these features': then it goes on, since each decides as
    it would have. Other columns make another process."""
    if process.encoder == features.encoder.digest:
        return True
    newest = max((s for found in process.candidates.values() for s in found), key=lambda s: s.since)
    try:
        return extends(features.encoder, encoder_at(w, layout.encoder_beside(newest.policy)))
    except KeyError:  # deleted by retention
        return False


def judge_window(w: Workspace, features: Features, candidates: Mapping[str, str], scratch: Path) -> "Judged":
    """The verdict on each family, from the rows since the process began."""
    process, _ = process_for(w, features, candidates)
    features, log = judging.rows(features, process.trained, held_back=process.held_back)
    if log is None or len(log) < 2:
        return Judged(process=process)
    pieces = partial(_pieces, w, scratch=scratch, now=features.encoder)
    champion = Piecewise(process.champion, pieces(process.champions))
    policies = {name: Piecewise(name, pieces(found)) for name, found in process.candidates.items()}
    asked = recent.stretches(process.start, features.end or 0, w.spec.training.days)
    if w.spec.gate.looks:  # the plan is of all rows, with all of its error
        asked = [recent.Stretch(since=process.start, share=1.0)]
    evaluations = []
    for refresh, chosen in _grouped(process.champion, policies, refresh=_refreshable(w, features.end or 0)):
        known: dict[str, Any] = {"w": w, "champion": champion, "candidates": chosen, "refresh": refresh}
        evaluate = partial(_evaluated, features=features, start=process.start, **known)
        evaluations.append(recent.judged(log, asked, evaluate, partial(_any_better, **known)))
    return _judged(process, evaluations, _changed(w, features, process), old=_old(w, features.end or 0))


def _refreshable(w: Workspace, end: int) -> bool:
    """True if the champion may be renewed by models that learnt all rows before `end` (UTC µs): not too often."""
    return w.spec.refresh.enabled and _age(w, end) >= seconds_of(w.spec.refresh.every) * SECOND


def _old(w: Workspace, end: int) -> bool:
    """True if the champion has waited for a refresh for as long as it may (stale.py)."""
    return w.spec.refresh.enabled and _age(w, end) >= seconds_of(w.spec.refresh.after) * SECOND


def _age(w: Workspace, end: int) -> int:
    """How long before `end` the training of the champion ended, in µs."""
    return end - champion_of(w).trained_until


def _grouped(
    champion: str, policies: Mapping[str, Piecewise], *, refresh: bool
) -> list[tuple[bool, dict[str, Piecewise]]]:
    """Challengers, judged for a promotion; and the champion's own family, judged for a refresh."""
    others = {name: policy for name, policy in policies.items() if name != champion}
    own = {champion: policies[champion]} if refresh and champion in policies else {}
    return [(kind, group) for kind, group in ((False, others), (True, own)) if group]


def _evaluated(
    log: Interactions, share: float, *, w: Workspace, features: Features, start: int, **known: Any
) -> Evaluation:
    """What the rows of `log` say at this share of α; `start`: of the process, which names its plan of looks."""
    asked, rows = _asked(log, share, w=w, **known), features.segments(int(log.at.min()))
    look = SpentLook(candidates=sorted(known["candidates"]), start=start, last=int(log.at.max()), rows=rounds_in(log))
    schedule = Spending(w.store, known["champion"].name, asked["gate"]).planned(look)
    return evaluate(
        log=log, segments=rows, born=features.born(), **asked, **beside(w, features, log, schedule=schedule)
    )


def _any_better(log: Interactions, share: float, **known: Any) -> bool:
    return any_better(log=log, **_asked(log, share, **known))


def _asked(
    log: Interactions,
    share: float,
    *,
    w: Workspace,
    champion: Piecewise,
    candidates: Mapping[str, Piecewise],
    refresh: bool,
) -> dict[str, Any]:
    """What the gate is asked: the champion's models beside the candidates', and by which margin and α."""
    gate = w.spec.gate
    if refresh:  # non-inferiority: the lift may be shown to be above minus a share of what a decision earns
        allowed = w.spec.refresh.margin * abs(float(log.reward.mean()))
        gate = gate.model_copy(update={"margin": -allowed, "alpha": w.spec.refresh.alpha, "looks": 0, "horizon": 0})
    name = f"{champion.name} (serving)" if champion.name in candidates else champion.name
    return {
        "policies": {name: champion, **candidates},
        "champion": name,
        "floor": w.spec.policies.floor,
        "gate": gate,
        "seed": w.spec.policies.seed,
        "alpha": gate.alpha * share,
        "limits": limits_of(w),
    }


def beside(
    w: Workspace,
    features: Features,
    log: Interactions,
    *,
    schedule: LookSchedule | None = None,
    judged_share: float = 1.0,
) -> dict[str, Any]:
    """What `evaluate` is asked beside the log: the guardrails of app.toml on these very rows, whether their hours
    passed their checks, what the features are called, the plan of looks, and which share of decisions judges."""
    watched = guarded(w.spec, features.guardrails(int(log.at.min())))
    passed, says, unknown = quality(w.store, features, log)
    encoder = features.encoder
    names = [*(f"context.{n}" for n in encoder.context_names), *(f"arm_context.{n}" for n in encoder.pair_names)]
    asked = Asked(
        margins=watched.margins,
        widths=watched.widths,
        declared=w.spec.reward.range,
        quality_passed=passed,
        quality_says=says,
        late=features.late(int(log.at.min())),
        features=names,
        unchecked=(*watched.unchecked, *unknown),
        often=features.end is not None,
        schedule=schedule,
        judged_share=judged_share,
    )
    return {"guardrails": watched.values, "asked": asked}


def _changed(w: Workspace, features: Features, process: Process) -> int:
    """When the users changed (UTC µs), if the champion's own family is to be renewed for that; 0 if not."""
    refresh, found = w.spec.refresh, changes.change(w, features, features.end or 0)
    own = process.champion in process.candidates and refresh.enabled and refresh.on_change
    since = max(found.since, found.changed)
    return since if own and changes.missed(found, champion_of(w).trained_until, features.end or 0) else 0


@dataclass(frozen=True, kw_only=True)
class Judged:
    """`kind` is "promotion", "refresh", or "" where nothing is to be published; `evaluation` is None before two rows
    have come after the first models. `changed` (UTC µs): it is a refresh because the users changed then; else 0.
    `old`: it is one because the log could not judge it for so long (stale.py)."""

    process: Process
    evaluation: Evaluation | None = None
    kind: str = ""
    promoted: str = ""
    changed: int = 0
    old: bool = False


def _judged(process: Process, evaluations: list[Evaluation], changed: int, *, old: bool) -> Judged:
    """One report of both groups. A better family goes before a refresh of the one that serves."""
    renewed = Judged(process=process, kind=released.REFRESH, promoted=process.champion, changed=changed)
    if not evaluations:
        return renewed if changed else Judged(process=process)
    whole = evaluations[0]
    for other in evaluations[1:]:
        whole = replace(whole, policies=other.policies | whole.policies, failed=whole.failed | other.failed)
    promoted = whole.promoted_among(set(process.candidates) - {process.champion})
    refreshed = whole.promoted_among({process.champion})
    waited = old and not refreshed and stale.undecidable(whole.policies.get(process.champion))
    if not promoted and (changed or waited):
        return replace(renewed, evaluation=whole, old=not changed)
    kind = released.PROMOTION if promoted else released.REFRESH if refreshed else ""
    return Judged(process=process, evaluation=whole, kind=kind, promoted=promoted or refreshed)


def _pieces(w: Workspace, segments: tuple[Segment, ...], scratch: Path, now: Encoder) -> list[tuple[int, Any]]:
    return [(s.since, partial(_loaded, w, s.policy, scratch, now)) for s in segments]


def _loaded(w: Workspace, prefix: str, scratch: Path, now: Encoder) -> Policy:
    """The policy, reading its own encoder's columns in what `now` writes."""
    if prefix == "uniform":
        return make("uniform")
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        policy = load(get_folder(w.store, prefix, Path(folder)))
    return earlier.reading(policy, now, encoder_at(w, layout.encoder_beside(prefix)))


def carry_on(w: Workspace, judged: Judged, features: Features, candidates: Mapping[str, str]) -> None:
    """The models that learnt this window take over from its end on."""
    assert features.end is not None
    process = judged.process.then(features.end, champion_of(w).policy, candidates)
    while True:
        _, version = w.store.read(layout.PROCESS)
        with suppress(Conflict):
            w.store.swap(layout.PROCESS, process.to_json(), version)
            return
