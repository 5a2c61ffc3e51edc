"""Apps that show pages of three arms, by `Embedded.select_slate`, to readers who go down a page and leave after a click."""

from datetime import UTC, datetime, timedelta

import numpy as np

from croupier import Embedded
from croupier.features import clock
from croupier.features.build import Features
from croupier.features.utc import MINUTE, SECOND, to_us
from croupier.features.workspace import Workspace
from croupier.serving.contract.slates import SlateRequest
from croupier.serving.operate import loop

START = datetime(2026, 3, 1, 10, tzinfo=UTC)
TOML = """
[reward]
window_seconds = 60.0
range = [0, 1]
[reward.kinds.click]
[context.device]
type = "categorical"
[arm.name]
type = "categorical"
[[interactions]]
a = "context.device"
b = "arm.name"
[policies]
candidates = ["lin_ts"]
floor = 0.3
[policies.parameters.lin_ts]
draws = 32
[gate]
min_ess = 50
"""
ARMS = [f"arm-{i}" for i in range(4)]
DEVICES = ("phone", "desktop")
ALIKE = np.array([[0.9, 0.9, 0.1, 0.1], [0.9, 0.9, 0.1, 0.1]])
TASTES = np.array([[0.9, 0.05, 0.05, 0.05], [0.05, 0.05, 0.05, 0.9]])  # by device: a click on an arm that is seen
SLOTS, AT_ONCE = 3, 50


def cascade(taste, rng):
    """The clicks of a reader who leaves after the first."""
    clicks = rng.random(len(taste)) < taste
    return clicks & (np.cumsum(clicks) == 1)


def always_one(taste, rng):
    """Every page is worth one click: of the first attractive arm, which is there whatever is shown."""
    del rng
    return cascade((np.asarray(taste) > 0.5).astype(float), np.random.default_rng(0))


def logged(name, var, *, taste, clicks, pages, k=SLOTS, toml=TOML, arms=None):
    """Shows pages of k arms, fifty at a time every fifty seconds, and sends their clicks."""
    rng = np.random.default_rng(3)
    with clock.at(to_us(START)):
        app = Embedded.declared(name, toml=toml, arms=arms or {arm: {"name": arm} for arm in ARMS}, var=var)
    with app:
        for first in range(0, pages, AT_ONCE):
            with clock.at(to_us(START) + first * SECOND):
                device = rng.integers(2, size=AT_ONCE)
                asked = [
                    SlateRequest(
                        unit_id=f"reader-{n}", context={"device": DEVICES[d]}, arms=ARMS, k=k, event_id=f"page-{n}"
                    )
                    for n, d in enumerate(device, start=first)  # named: drawn alike in every run
                ]
                given = []
                for d, page in zip(device, app.select_slates(asked), strict=True):
                    hit = clicks(taste[d][[ARMS.index(arm) for arm in page.arms]], rng)
                    given += [s.event_id for s, click in zip(page.slots, hit, strict=True) if click]
                app.reward_batch([{"event_id": event, "kind": "click", "value": 1.0} for event in given])


def turned(name, pages):
    """One turn of the loop, as it is scheduled, once all of them are mature."""
    end = START + timedelta(hours=1 + pages // 3600)
    with clock.at(to_us(end) + 5 * MINUTE):
        return loop.turn(name)


def judged_log(w: Workspace, key: str, folder):
    """The rows that judged, of an interval by hand."""
    found = Features.fetch(w.store, key, folder)
    return found, [chunk[chunk.at >= found.split_at] for chunk in found.chunks()]
