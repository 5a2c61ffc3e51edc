"""The steps of the `train_and_gate` DAG up to the verdict: plan, train on the earlier rows, judge on the later ones.

    features/<key>/…            what `features.build.encode` wrote: encoder, catalogue, encoded parts, meta.json
    candidates/<key>/<policy>/  a trained policy of it
    verdicts/<key>.json         the evaluation of all of them against the champion

They take and return plain JSON values, and every output is keyed by what it was made from.
"""

import tempfile
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from croupier.features.batch import Interactions
from croupier.features.build import Features, encoder_at
from croupier.features.declared.policies import PoliciesSpec
from croupier.features.encoding.encoder import Encoder
from croupier.features.interactions import window
from croupier.features.schema import CANDIDATE, CHAMPION
from croupier.features.spec import SpecError
from croupier.features.store import layout, released
from croupier.features.utc import YEAR_2100, from_us
from croupier.features.workspace import Workspace, get_folder, put_folder
from croupier.models import changes, choosing, earlier, retraining, same_features
from croupier.models.constraints.held import limits_of
from croupier.models.gate.gate_page import write_report
from croupier.models.gate.spending import Spending, SpentLook
from croupier.models.gate.verdict_text import held_back
from croupier.models.health.learning import predicted
from croupier.models.ope.kept_arms import judging, repeats
from croupier.models.policy import Policy, Primable, load, make
from croupier.models.pricing import amounts
from croupier.models.slates.judged.evaluation import evaluate, rounds_in

Job = dict[str, str]


@dataclass(frozen=True)
class Rows:
    """A re-iterable part of encoded features: the rows of [since, before), UTC µs; all unless given. Those before
    `changed` (UTC µs) count `weight` times what they do else."""

    features: Features
    since: int = 0
    before: int = YEAR_2100
    changed: int = 0
    weight: float = 1.0
    half: bool = False  # of the units alone (ope/kept_arms/judging.py)
    changes: bool = False  # whether the rows before `since` are of users as they are no more

    def __iter__(self) -> Iterator[Interactions]:
        for chunk in self.features.chunks():
            rows = (chunk.at >= self.since) & (chunk.at < self.before)
            if self.half:
                rows &= judging.learnt(chunk.unit)
            if rows.any():
                yield self._counted(chunk[rows])

    def _counted(self, chunk: Interactions) -> Interactions:
        if not self.changed:
            return chunk
        return replace(chunk, weight=np.where(chunk.at < self.changed, self.weight, 1.0) * chunk.weight)


def plan(pairs: Iterable[tuple[str, str]]) -> list[Job]:
    """One training job per (app, features) and policy that the app asks for; of several features of one app the last,
    since a newer window holds what the older ones held. Raises SpecError where these are not the features that the
    champion reads."""
    newest = dict(pairs)
    for app, key in newest.items():
        same_features.refuse_others(Workspace.open(app), key)
        choosing.choose(Workspace.open(app), key)
    jobs = [
        {"app": app, "features": key, "policy": policy}
        for app, key in sorted(newest.items())
        for policy in choosing.policies(Workspace.open(app), key).candidates
    ]
    if not jobs:
        raise ValueError("features: found none; give the key that build_features.encode returned")
    return jobs


def train(app: str, features: str, policy: str) -> Job:
    """Learn `policy` and keep it in the store.

    From an interval by hand it learns the earlier rows, and the later ones judge it. From a rolling window it learns
    every row; where its family is new to the process, a second model of the earlier rows is kept, to be judged by."""
    w = Workspace.open(app)
    prefix = layout.candidate(features, policy)
    with tempfile.TemporaryDirectory() as scratch:
        found = Features.fetch(w.store, features, Path(scratch) / "features")
        for place, (start, rows) in _parts(w, found, prefix, policy).items():
            learned = _primed(start, rows, seed=w.spec.policies.seed).learn(rows, seed=w.spec.policies.seed)
            folder = Path(scratch) / place.replace("/", "-")
            folder.mkdir()
            predicted.save(learned, rows, folder)
            put_folder(w.store, place, folder)
    return {"app": app, "features": features, "policy": policy, "candidate": prefix}


def _parts(w: Workspace, features: Features, prefix: str, policy: str) -> dict[str, tuple[Policy, Rows]]:
    """What is trained: where it is kept → the policy it starts from, and the rows it learns."""
    policies = choosing.policies(w, features.meta["features"])
    untrained = _untrained(policies, policy, w, features.encoder)
    if features.end is None:
        half = repeats.keeps(features.chunks())
        return {prefix: (untrained, Rows(features, before=features.split_at, half=half))}
    names = {name: layout.candidate(features.meta["features"], name) for name in policies.candidates}
    process, new = retraining.process_for(w, features, names)
    if new:
        before = replace(_rows(w, features, process.start), half=process.held_back)
        return {
            prefix: (untrained, _rows(w, features, features.end)),
            prefix + retraining.BEFORE: (untrained, before),
        }
    if policies.parameters.get(policy, {}).get("warm_start"):
        warm = retraining.warm_start(w, policy, features)
        if warm is not None:
            return {prefix: (warm[0], Rows(features, since=warm[1]))}
    return {prefix: (untrained, _rows(w, features, features.end))}


def _rows(w: Workspace, features: Features, before: int) -> Rows:
    """The rows before `before` (UTC µs) that are learnt from: all, unless the users have changed."""
    found = changes.change(w, features, before)
    if found.changed:
        what = "are left out" if found.since >= found.changed else f"count {found.weight:g} times"
        print(
            f"{w.settings.app}: health saw the users change on {from_us(found.changed):%Y-%m-%d %H:%M} UTC: older rows "
            f"{what}"
        )
        rows = Rows(features, since=found.since, before=before, changes=found.since > 0)
        return replace(rows, changed=found.changed, weight=found.weight)
    if not found.since:
        return Rows(features, before=before)
    print(
        f"{w.settings.app}: learns from {from_us(found.since):%Y-%m-%d %H:%M} UTC on: older rows make the "
        f"prediction of the latest ones worse, by {found.better:.1f} standard errors"
    )
    return Rows(features, since=found.since, before=before, changes=True)


def _primed(start: Policy, rows: Rows, *, seed: int) -> Policy:
    """Where the users have changed, a network begins with what the rows before that have made of it: after two days of
    new rows it is then where it else is after three (models/README.md)."""
    earlier = Rows(rows.features, before=rows.since)
    if not rows.changes or not isinstance(start, Primable) or next(iter(earlier), None) is None:
        return start
    return start.primed(earlier, seed=seed)


def _untrained(settings: PoliciesSpec, policy: str, w: Workspace, encoder: Encoder) -> Policy:
    try:
        priced = amounts.parameters(policy, encoder, w.spec.pricing)
        return make(policy, **(settings.parameters.get(policy, {}) | priced))
    except (TypeError, ValueError) as error:
        where = f"policies.candidates {policy!r}, with policies.parameters.{policy}"
        raise SpecError(f"app.toml: {where}: {error}") from None


def judge(trained: list[Job]) -> list[dict[str, Any]]:
    """A verdict for each (app, features) among the trained policies: every candidate against the champion."""
    groups: dict[tuple[str, str], list[Job]] = {}
    for job in trained:
        groups.setdefault((job["app"], job["features"]), []).append(job)
    return [_judge(Workspace.open(app), key, jobs) for (app, key), jobs in groups.items()]


def _judge(w: Workspace, key: str, jobs: list[Job]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        features = Features.fetch(w.store, key, Path(scratch) / "features")
        judge = _judge_interval if features.end is None else _judge_window
        verdict = judge(w, key, jobs, features, Path(scratch))
    w.store.put(layout.verdict(key), orjson.dumps(verdict))
    if features.end is not None:
        window.end(w.store, key, features.meta)
    return verdict


def _judge_window(w: Workspace, key: str, jobs: list[Job], features: Features, scratch: Path) -> dict[str, Any]:
    """A rolling window: each family by its models through time; the new models are judged by the rows to come."""
    candidates = {job["policy"]: job["candidate"] for job in jobs}
    judged = retraining.judge_window(w, features, candidates, scratch)
    if judged.evaluation is None:
        verdict = _nothing_to_judge(w, key, candidates)
    else:
        body = judged.evaluation.to_dict() | {"promoted": judged.promoted, "kind": judged.kind}
        verdict = _verdict(w, key, jobs, body)
    retraining.carry_on(w, judged, features, candidates)
    return verdict | {"kind": judged.kind, "promoted": judged.promoted} | _renewed(judged, verdict["summary"])


def _renewed(judged: retraining.Judged, summary: str) -> dict[str, Any]:
    """The summary, with why the champion is renewed though no log could judge what renews it; and since when."""
    if not judged.changed and not judged.old:
        return {}
    why = f"the users changed on {from_us(judged.changed):%Y-%m-%d %H:%M} UTC, which the champion has not learnt"
    if judged.old:
        why = "the champion is old, and its log can neither show nor refute that its refresh loses little"
    said = f"{judged.promoted}: refreshed, its rollout judges: {why}\n{summary}"
    return {"summary": said} | ({"changed": judged.changed} if judged.changed else {})


def _nothing_to_judge(w: Workspace, key: str, candidates: dict[str, str]) -> dict[str, Any]:
    why = "not judged: fewer than two rows have matured since the models were first trained"
    return {
        "app": w.settings.app,
        "features": key,
        "promoted": "",
        "candidates": candidates,
        "evaluation": None,
        "report": "",
        "page": "",
        "summary": why,
    }


def _judge_interval(w: Workspace, key: str, jobs: list[Job], features: Features, scratch: Path) -> dict[str, Any]:
    """An interval by hand: what learnt its earlier rows is judged on its later ones."""
    features, log = judging.rows(features, [features.split_at], held_back=repeats.keeps(features.chunks()))
    if log is None:
        return _nothing_to_judge(w, key, {job["policy"]: job["candidate"] for job in jobs})
    candidates = {job["policy"]: load(get_folder(w.store, job["candidate"], scratch / job["policy"])) for job in jobs}
    name, champion = current_champion(w, scratch / "champion", features.encoder, candidates)
    spending = Spending(w.store, name, w.spec.gate)
    look = SpentLook(
        candidates=[job["candidate"] for job in jobs], start=int(log.at[0]), last=int(log.at[-1]), rows=rounds_in(log)
    )
    alpha, schedule = spending.reserve(look)
    beside = retraining.beside(w, features, log, schedule=schedule, judged_share=len(log) / features.rows)
    evaluation = evaluate(
        {name: champion} | candidates,
        log,
        champion=name,
        floor=w.spec.policies.floor,
        gate=w.spec.gate,
        seed=w.spec.policies.seed,
        alpha=alpha,
        limits=limits_of(w),
        segments=features.segments(),
        born=features.born(),
        **beside,
    )
    spending.decided(look, {n: p.verdict.decision for n, p in evaluation.policies.items() if p.verdict})
    return _verdict(w, key, jobs, evaluation.to_dict()) | {"kind": released.PROMOTION if evaluation.promoted else ""}


def _verdict(w: Workspace, key: str, jobs: list[Job], body: dict[str, Any]) -> dict[str, Any]:
    """What later tasks need, and the report: as JSON, as a page, and the page in the store for the UI."""
    with w.report("gate", key) as folder:
        (folder / layout.VERDICT_FILE).write_bytes(orjson.dumps(body, option=orjson.OPT_INDENT_2))
        page = write_report(body, folder / layout.PAGE, title=f"{w.settings.app}: the gate's verdict")
    return {
        "app": w.settings.app,
        "features": key,
        "promoted": body["promoted"],
        "candidates": {job["policy"]: job["candidate"] for job in jobs},
        "evaluation": body,
        "report": str(page),
        "page": layout.gate_report(key),
        "summary": summary(body),
    }


def current_champion(w: Workspace, folder: Path, now: Encoder, candidates: Container[str]) -> tuple[str, Policy]:
    """The champion of the current release, reading what encoder `now` writes, or `uniform` before there is one. A name
    that one of `candidates` bears, too, gets the release's number."""
    number = released.current(w.store)
    if number is None:
        return "uniform", make("uniform")
    champion = load(get_folder(w.store, layout.release(number, CHAMPION), folder))
    if champion.name not in earlier.READ_NO_FEATURES:
        champion = earlier.reading(champion, now, encoder_at(w, layout.release(number, layout.ENCODER)))
    taken = champion.name in candidates
    return (f"{champion.name}@{number}" if taken else champion.name), champion


def summary(evaluation: Mapping[str, Any]) -> str:
    """Returns one line a candidate, for a person who is asked to approve."""
    each = " a slate" if evaluation.get("slates") else ""
    lines = [f"{name}: not judged, {why}" for name, why in evaluation["failed"].items()]
    for name, policy in evaluation["policies"].items():
        if policy["role"] == CANDIDATE:
            lift, lower = policy["lift"], policy["lift"]["lower"]
            why = held_back(policy["conditions"])
            if policy["rows_needed"]:
                why += f"; about {policy['rows_needed']:,} more rows would tell"
            lines.append(
                f"{name}: {policy['verdict']} (lift {lift['value']:+.4f}{each}, lower bound {_number(lower)}{why})"
            )
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:+.4f}"
