"""The hotel's app below a folder, with releases of the policy of prices: what the served tests run on."""

import tomllib
from functools import cache
from pathlib import Path

import numpy as np

from croupier.features.encoding import catalogue
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.encoding.encoder import Encoder
from croupier.features.settings import Settings
from croupier.features.spec import AppSpec
from croupier.features.store import layout
from croupier.features.workspace import Workspace
from croupier.features.worlds.rates import Hotel
from croupier.models.policy import make
from croupier.models.pricing.amounts import parameters
from croupier.serving.contract.requests import Request
from croupier.serving.operate import verdict_release

WORLD = Hotel(seed=4)
TONIGHT = WORLD.app_toml(window_seconds=60).replace("cost = 25.0", 'cost = "context.clean"') + (
    '\n[context.clean]\ntype = "numeric"\n'
)


def opened(var: Path, text: str = "", *, store: str = "") -> Workspace:
    """The declared app "hotel" below `var`; nothing is released yet."""
    w = Workspace(Settings(app="hotel", var=var, store=store))
    w.home.mkdir(parents=True, exist_ok=True)
    (w.home / layout.APP_TOML).write_text(text or WORLD.app_toml(window_seconds=60))
    catalogue.write(w.home / layout.CATALOGUE, WORLD.arms())
    return w


@cache
def learnt(text: str = ""):
    """(encoder, the policy of prices learnt from 1,500 uniform decisions)."""
    spec = AppSpec.model_validate(tomllib.loads(text or WORLD.app_toml()))
    table = WORLD.interactions(1500)
    encoder = Encoder.fit(spec, table, WORLD.arms())
    log = encode_interactions(table, encoder, encoder.catalogue(WORLD.arms()))
    return encoder, make("demand_ts", **parameters("demand_ts", encoder, spec.pricing)).learn([log], seed=1)


def publish(w: Workspace, text: str = "", arms=None) -> int:
    """Publishes a release of the policy; returns its number."""
    encoder, policy = learnt(text)
    known = WORLD.arms() if arms is None else arms
    return verdict_release.release_policies(
        w, champion=policy, candidate=None, encoder=encoder, arms=known, meta={"verdict": "test"}
    ).number


def requests(n: int, seed: int = 0) -> list[Request]:
    """n guests' requests, for all rates."""
    ids, rng = tuple(arm.arm_id for arm in WORLD.arms()), np.random.default_rng([9, seed])
    contexts = WORLD.guests(n, rng)
    return [Request(unit_id=f"g{i}", context=c, arms=ids, event_id=f"event-{seed}-{i}") for i, c in enumerate(contexts)]
