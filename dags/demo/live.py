"""The users of acts two and three: visits in rounds; `watch_rollout` looks when its schedule says."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson

from croupier.dags.demo import story
from croupier.dags.demo.acts import Traffic
from croupier.dags.local.standalone import Airflow
from croupier.features.batch import concatenate
from croupier.features.build import Features
from croupier.features.encoding.dataset import encode_chunks
from croupier.features.workspace import Workspace
from croupier.features.worlds import reels
from croupier.models.policy import make
from croupier.serving.client.client import Client
from croupier.serving.contract.requests import Request
from croupier.serving.operate import promotion
from croupier.serving.release import bundle, bundle_store
from croupier.serving.simulation.month.crowd import request_of

APPS = ("obd", "reels")
ROUND_VISITS = 3_000
MOST_ROUNDS = 20
SETTLE_SECONDS = 1.0  # the selector reads the rollout's state twice a second


class Users:
    """A world's users in front of a client: they ask, look, and click or not, as the world's truth has it."""

    def __init__(self, w: Workspace, world: reels.World, client: Client, *, window_seconds: float) -> None:
        self.w, self.world, self.client, self.window_seconds = w, world, client, window_seconds
        self.rng = np.random.default_rng(1)

    def visit(self, n: int) -> tuple[list[Request], Traffic]:
        """Makes n visits in batches of 64, clicks posted at once; returns what was asked and answered."""
        traffic, requests = Traffic(self.client), []
        visits = self.world.users(n, self.rng)
        for start in range(0, n, 64):
            part = visits[start : start + 64]
            asked = [request_of(v) for v in part]
            chosen = traffic.select_batch(asked)
            p = self.world.truth(part)
            traffic.reward_batch(
                [
                    {"event_id": s.event_id, "kind": "click", "value": 1.0}
                    for i, (v, s) in enumerate(zip(part, chosen, strict=True))
                    if self.rng.random() < p[i, v.arms.index(s.arm)]
                ]
            )
            requests += asked
        return requests, traffic

    def mature(self) -> None:
        """Waits until the last visit's reward window has passed."""
        time.sleep(self.window_seconds + 1)


def candidate_units(requests: Sequence[Request], traffic: Traffic) -> tuple[float, set[str]]:
    """Returns the share of units served by the candidate, and which; a unit served by both roles is a fault."""
    roles: dict[str, set[str]] = {}
    for request, selection in zip(requests, traffic.selections, strict=True):
        roles.setdefault(request.unit_id, set()).add(selection.role)
    mixed = [unit for unit, seen in roles.items() if len(seen) > 1]
    if mixed:
        raise RuntimeError(f"{len(mixed)} units saw both policies within one stage, e.g. {mixed[:3]}")
    chosen = {unit for unit, seen in roles.items() if seen == {"candidate"}}
    return len(chosen) / len(roles), chosen


def watched(airflow: Airflow, users: Users, *, served: int) -> dict[str, Any]:
    """Rounds of visits, and after each the next look of the schedule, until the rollout has ended: at 100 % or aborted.
    `served`: decisions of this rollout already made."""
    steps: list[dict[str, Any]] = []
    decisions, index = served, sorted(APPS).index(users.w.settings.app)
    airflow.unpause("watch_rollout")
    for _ in range(MOST_ROUNDS):
        users.mature()
        run = airflow.ended_since("watch_rollout", datetime.now(UTC).isoformat())
        look = _as_ended(users.w, steps, airflow.result("watch_rollout", run, "look", index=index))
        if not steps or (look["stage"], look["held"]) != (steps[-1]["stage"], steps[-1]["held"]):
            story.say(f"release {look['release']}: {look['stage']} ({look['reason']}) after {decisions:,} decisions")
            steps.append(look | {"after_decisions": decisions})
        if look["promoted"] or look["stage"] == "aborted":
            return {"steps": steps, "decisions": decisions, "ended": look["stage"], "promoted": look["promoted"]}
        time.sleep(SETTLE_SECONDS)
        users.visit(ROUND_VISITS)
        decisions += ROUND_VISITS
    raise RuntimeError(f"the rollout has not ended after {MOST_ROUNDS} rounds; its steps: {steps}")


def _as_ended(w: Workspace, steps: list[dict[str, Any]], look: dict[str, Any]) -> dict[str, Any]:
    """The look; or, where the DAG's own schedule was faster and has promoted the candidate already, how that ended."""
    if not steps or look["release"] == steps[0]["release"]:
        return look
    last = orjson.loads(w.store.get(f"rollout/history/{steps[0]['release']:06d}.json"))["history"][-1]
    shown = {"stage": last["stage"], "share": last["share"], "reason": last["reason"]}
    return look | shown | {"release": steps[0]["release"], "promoted": look["release"]}


def force_harmful(w: Workspace, world: reels.World, features: Features) -> int:
    """A release whose candidate learnt from a log with every preference flipped, put past the gate by hand: what a
    broken feature does to a model, and what the rollout is there for. Returns its number."""
    encoder, arms = features.encoder, w.arms()
    log = concatenate(list(encode_chunks(world.flipped().interactions(6_000), encoder, encoder.catalogue(arms))))
    number = bundle_store.current(w.store)
    champion = bundle.load(w.home / "triton" / "select_arm" / str(number)).champion
    done = promotion.release_policies(
        w,
        champion=champion,
        candidate=make("vw_cb_adf").learn([log]),
        encoder=encoder,
        arms=arms,
        meta={"verdict": "forced past the gate by the demo: it learnt from flipped preferences"},
    )
    return done.number
