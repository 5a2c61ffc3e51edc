"""The steps of the `train_and_gate` DAG up to the verdict: plan, train on the earlier rows, judge on the later ones.

    features/<key>/…            what `features.build.encode` wrote: encoder, catalogue, encoded parts, meta.json
    candidates/<key>/<policy>/  a trained policy of it
    verdicts/<key>.json         the evaluation of all of them against the champion

They take and return plain JSON values, and every output is keyed by what it was made from.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from features.batch import Interactions, concatenate
from features.build import Features
from features.spec import PoliciesSpec, SpecError
from features.storage import Conflict
from features.workspace import Workspace, get_folder, put_folder
from models.evaluation import evaluate
from models.gate_report import write_report
from models.looks import Ledger
from models.policy import Policy, load, make
from models.reports import Evaluation

Job = dict[str, str]


@dataclass(frozen=True)
class Rows:
    """A re-iterable part of encoded features: those before `split_at` (UTC µs), or from it on."""

    features: Features
    later: bool

    def __iter__(self) -> Iterator[Interactions]:
        for chunk in self.features.chunks():
            rows = (chunk.at >= self.features.split_at) == self.later
            if rows.any():
                yield chunk[rows]


def plan(pairs: Iterable[tuple[str, str]]) -> list[Job]:
    """One training job per (app, features) and policy that the app asks for."""
    jobs = [
        {"app": app, "features": key, "policy": policy}
        for app, key in pairs
        for policy in Workspace.open(app).spec.policies.candidates
    ]
    if not jobs:
        raise ValueError("features: found none; give the key that build_features.encode returned")
    return jobs


def train(app: str, features: str, policy: str) -> Job:
    """Learn `policy` from the earlier rows and keep it in the store."""
    w = Workspace.open(app)
    settings = w.spec.policies
    prefix = f"candidates/{features}/{policy}"
    with tempfile.TemporaryDirectory() as scratch:
        rows = Rows(Features.fetch(w.store, features, Path(scratch) / "features"), later=False)
        learned = _untrained(settings, policy).learn(rows, seed=settings.seed)
        folder = Path(scratch) / "policy"
        folder.mkdir()
        learned.save(folder)
        put_folder(w.store, prefix, folder)
    return {"app": app, "features": features, "policy": policy, "candidate": prefix}


def _untrained(settings: PoliciesSpec, policy: str) -> Policy:
    try:
        return make(policy, **settings.parameters.get(policy, {}))
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
        log = concatenate(list(Rows(features, later=True)))
        candidates = {
            job["policy"]: load(get_folder(w.store, job["candidate"], Path(scratch) / job["policy"])) for job in jobs
        }
        name, champion = current_champion(w, Path(scratch) / "champion")
        ledger = _Looks(w, name)
        evaluation = evaluate(
            {name: champion} | candidates, log, champion=name, floor=w.spec.policies.floor, gate=w.spec.gate,
            seed=w.spec.policies.seed, alpha=ledger.alpha(jobs, log), segments=features.segments(),
            born=features.born(),
        )  # fmt: skip
        ledger.record(jobs, log, evaluation)
    verdict = _verdict(w, key, jobs, evaluation.to_dict())
    w.store.put(f"verdicts/{key}.json", orjson.dumps(verdict))
    return verdict


def _verdict(w: Workspace, key: str, jobs: list[Job], body: dict[str, Any]) -> dict[str, Any]:
    """What later tasks need, and the report: as JSON, as a page, and the page in the store for the UI."""
    with w.report("gate", key) as folder:
        (folder / "verdict.json").write_bytes(orjson.dumps(body, option=orjson.OPT_INDENT_2))
        page = write_report(body, folder / "index.html", title=f"{w.settings.app}: the gate's verdict")
    return {
        "app": w.settings.app, "features": key, "promoted": body["promoted"],
        "candidates": {job["policy"]: job["candidate"] for job in jobs}, "evaluation": body,
        "report": str(page), "page": f"gate/{key}/index.html", "summary": summary(body),
    }  # fmt: skip


@dataclass(frozen=True)
class _Looks:
    """The ledger of looks at this champion's challengers, kept in the store (models/looks.py says why)."""

    w: Workspace
    champion: str

    @property
    def _key(self) -> str:
        return f"looks/{self.champion}.json"

    def _ledger(self) -> tuple[Ledger, str | None]:
        raw, version = self.w.store.read(self._key)
        new = Ledger(family=self.champion, alpha=self.w.spec.gate.alpha)
        return (new if version is None else Ledger.from_json(raw.decode())), version

    def alpha(self, jobs: list[Job], log: Interactions) -> float:
        return self._ledger()[0].next_alpha([j["candidate"] for j in jobs], int(log.at[0]))

    def record(self, jobs: list[Job], log: Interactions, evaluation: Evaluation) -> None:
        """Keyed by the last row judged, so that a repeated task records the same look."""
        decisions = {n: p.verdict.decision for n, p in evaluation.policies.items() if p.verdict}
        names, at = [j["candidate"] for j in jobs], int(log.at[-1])
        while True:
            ledger, version = self._ledger()
            if any((look.at, look.candidates) == (at, tuple(sorted(names))) for look in ledger.looks):
                return
            last = max([at, *(look.at for look in ledger.looks)])
            grown = ledger.record(at=last, candidates=names, start=int(log.at[0]), rows=len(log), decisions=decisions)
            with suppress(Conflict):  # the same task runs twice, or another looked meanwhile: read again
                self.w.store.swap(self._key, grown.to_json().encode(), version)
                return


def current_champion(w: Workspace, folder: Path) -> tuple[str, Policy]:
    """The champion of the current release, or `uniform` before there is one. A name that a candidate may bear too
    gets the release's number."""
    try:
        number = int(orjson.loads(w.store.get("releases/current"))["number"])
    except KeyError:
        return "uniform", make("uniform")
    champion = load(get_folder(w.store, f"releases/{number:06d}/champion", folder))
    taken = champion.name in w.spec.policies.candidates
    return (f"{champion.name}@{number}" if taken else champion.name), champion


def summary(evaluation: Mapping[str, Any]) -> str:
    """One line a candidate, for a person who is asked to approve."""
    lines = [f"{name}: not judged, {why}" for name, why in evaluation["failed"].items()]
    for name, policy in evaluation["policies"].items():
        if policy["role"] == "candidate":
            lift = policy["lift"]
            failed = [c["name"] for c in policy["conditions"] if not c["passed"]]
            why = f"; not met: {', '.join(failed)}" if failed else ""
            if policy["rows_needed"]:
                why += f"; about {policy['rows_needed']:,} more rows would tell"
            lines.append(
                f"{name}: {policy['verdict']} (lift {lift['value']:+.4f}, lower bound {_number(lift['lower'])}{why})"
            )
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:+.4f}"
