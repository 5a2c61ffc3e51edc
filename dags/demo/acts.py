"""What both acts of the demo do: run the DAGs, send traffic, and hold what was served against what it should be."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from croupier.dags.demo import story
from croupier.dags.local.rest import AirflowError
from croupier.dags.local.standalone import Airflow
from croupier.features.batch import F64
from croupier.features.build import Features
from croupier.features.interactions.account import Account
from croupier.features.workspace import Workspace, get_folder
from croupier.features.worlds import reels
from croupier.models import policy
from croupier.models.exploration import with_floor
from croupier.serving.client.client import Client
from croupier.serving.contract.requests import Request, Selection
from croupier.serving.release import bundle, bundle_store


class Traffic:
    """Selections asked of a client, with how long single ones took."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.selections: list[Selection] = []
        self.milliseconds: list[float] = []
        self.errors = 0

    def select_one(self, request: Request) -> None:
        """Asks for one arm, and notes the time that it took."""
        began = time.perf_counter()
        self.select_batch([request])
        self.milliseconds.append(1e3 * (time.perf_counter() - began))

    def select_batch(self, requests: Sequence[Request]) -> list[Selection]:
        """Asks for arms, and notes selections and errors."""
        selections = self.client.select_batch(requests)
        self.errors += sum(bool(s.error) for s in selections)
        self.selections += selections
        return selections

    def reward_batch(self, rewards: Sequence[Mapping[str, Any]]) -> None:
        """Sends rewards, and notes those not taken."""
        outcomes = self.client.reward_batch(rewards)
        self.errors += sum(o.status != "accepted" for o in outcomes)

    def served(self) -> dict[str, Any]:
        """Returns counts and latencies."""
        p50, p99 = np.percentile(self.milliseconds, [50, 99])
        return {
            "requests": len(self.selections),
            "errors": self.errors,
            "p50_ms": round(float(p50), 2),
            "p99_ms": round(float(p99), 2),
        }


def pipeline(airflow: Airflow, app: str, start: str, end: str) -> dict[str, Any]:
    """Runs `build_features` by hand, and `train_and_gate` as its asset wakes it; what they found, as the summary has
    it."""
    airflow.unpause("train_and_gate")
    before = airflow.runs("train_and_gate")
    run = airflow.trigger("build_features", {"app": app, "start": start, "end": end})
    airflow.wait("build_features", run, say=story.say)
    gate_run = airflow.woken("train_and_gate", before)
    airflow.wait("train_and_gate", gate_run, say=story.say)
    account, quality, encoded = (
        airflow.result("build_features", run, task, index=0) for task in ("join", "validate", "encode")
    )
    return _facts(airflow, gate_run, account, quality) | {"features": encoded["features"]}


def on_schedule(airflow: Airflow, app: str, apps: Sequence[str]) -> dict[str, Any]:
    """Waits for the loop to do its work untouched: `build_features` runs when its schedule says, builds the hours that
    are due, and wakes `train_and_gate` when a training is. `apps` are all that are declared, in the order of their
    names."""
    before, gates = airflow.runs("build_features"), airflow.runs("train_and_gate")
    airflow.unpause("train_and_gate")
    airflow.unpause("build_features")
    gate_run = airflow.woken("train_and_gate", gates, timeout_seconds=420.0)
    airflow.wait("train_and_gate", gate_run, say=story.say)
    runs, index = airflow.runs("build_features") - before, list(apps).index(app)
    started = airflow.kinds("build_features", runs) | airflow.kinds("train_and_gate", {gate_run})
    if not started <= {"scheduled", "asset_triggered"}:
        raise RuntimeError(f"the loop was to turn by itself: found runs of kind {started}, expected scheduled ones")
    built = {run: found for run in runs if (found := _built(airflow, run, index))}
    accounts = [Account.from_dict(joined) for joined, _, _ in built.values()]
    hours = sorted({hour for joined, _, _ in built.values() for hour in joined["hours"]})
    (last,) = [encoded for _, _, encoded in built.values() if encoded.get("features")][:1]
    refused = {hour: why for _, validated, _ in built.values() for hour, why in validated["refused"].items()}
    pages = [validated["page"] for _, validated, _ in built.values() if validated["page"]]
    story.say(f"by the schedule alone: {len(hours)} hours built, a training was due, its verdict is published")
    facts = _facts(airflow, gate_run, sum(accounts, Account()).to_dict(), {})
    return facts | {
        "features": last["features"],
        "hours": hours,
        "quality": {"passed": not refused, "docs_path": str(Workspace.open(app).home / "reports" / pages[-1])},
    }


def _built(airflow: Airflow, run: str, index: int) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]] | None:
    """What a run of `build_features` joined, validated and encoded for the app at `index`; None if it has not ended, or
    if no hour was due."""
    try:
        joined, validated = (airflow.result("build_features", run, t, index=index) for t in ("join", "validate"))
    except AirflowError:
        return None
    try:
        encoded = airflow.result("build_features", run, "encode", index=index)
    except AirflowError:  # skipped: no training was due
        encoded = {}
    return (joined, validated, encoded) if joined["hours"] else None


def _facts(airflow: Airflow, gate_run: str, account: dict[str, Any], quality: Mapping[str, Any]) -> dict[str, Any]:
    (verdict,) = airflow.result("train_and_gate", gate_run, "judge")
    (published,) = airflow.result("train_and_gate", gate_run, "publish")
    return {
        "decisions": account["decisions_in"],
        "interactions": account["interactions"],
        "account": _in_and_out(account),
        "quality": quality,
        "policies": verdict["evaluation"]["policies"],
        "promoted": verdict["promoted"],
        "summary": verdict["summary"],
        "report": verdict["report"],
        "release": published["release"],
        "rows_judged": verdict["evaluation"]["rows"],
    }


def _in_and_out(counts: Mapping[str, Any]) -> dict[str, Any]:
    """An account with its two sides added up: events that came in, and events whose fate is named."""
    account = Account.from_dict(counts)
    sides = {"in": account.decisions_in + account.rewards_in, "out": account.decisions_out + account.rewards_out}
    return {**counts, **sides}


def offline_error(w: Workspace, requests: Sequence[Request], selections: Sequence[Selection]) -> float:
    """Returns the largest difference between a served pmf and the same release's, computed here without a server."""
    number = bundle_store.current(w.store)
    loaded = bundle.load(w.home / "triton" / "select_arm" / str(number))
    batch = loaded.encoder.encode(
        [r.context for r in requests], [r.arms for r in requests], [r.arm_context for r in requests], loaded.catalogue
    )
    pmf = {role: loaded.pmf(role, batch) for role in {s.role for s in selections}}
    return max(float(np.abs(np.asarray(s.pmf) - pmf[s.role][i, : len(s.pmf)]).max()) for i, s in enumerate(selections))


def true_values(w: Workspace, world: reels.World, key: str) -> dict[str, float]:
    """Each policy's exact value in the world, as it would be served: with the floor."""
    with tempfile.TemporaryDirectory() as scratch:
        features = Features.fetch(w.store, key, Path(scratch) / "features")
        encoder = features.encoder
        arms = encoder.catalogue(w.arms())
        policies = {
            name: policy.load(get_folder(w.store, f"candidates/{key}/{name}", Path(scratch) / name))
            for name in w.spec.policies.candidates
        } | {"uniform": policy.make("uniform")}

        def served(name: str, visits: Sequence[reels.Visit]) -> F64:
            batch = encoder.encode(
                [v.context for v in visits], [v.arms for v in visits], [v.arm_context for v in visits], arms
            )
            return with_floor(policies[name].pmf(batch), batch.mask, w.spec.policies.floor)

        return {name: world.true_value(lambda visits, name=name: served(name, visits)) for name in policies}  # type: ignore[misc]
