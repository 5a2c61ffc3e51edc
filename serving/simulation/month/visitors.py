"""The crowd in front of a running server: it asks, clicks or not, and what was served is held against the truth."""

from collections.abc import Sequence

from croupier.features import clock
from croupier.features.encoding import catalogue
from croupier.features.utc import HOUR
from croupier.features.workspace import Workspace
from croupier.features.worlds.reels import Visit, World
from croupier.serving.client.client import Client
from croupier.serving.contract.requests import Selection
from croupier.serving.operate import promotion
from croupier.serving.release import bundle_store
from croupier.serving.simulation.month.crowd import Crowd, request_of

REWARD_SECONDS = 600.0  # the reward window of an app that `declare` writes
SETTINGS = """
[training]
every = "6h"
[rollout]
min_decisions = 1000
latency_p99_ms = 1000.0
"""


def declare(w: Workspace, world: World) -> bool:
    """Writes app.toml and the catalogue of `world` if the app is not there, and release 1 if there is no release.
    Returns whether the app was new."""
    new = not (w.home / "app.toml").exists()
    if new:
        w.home.mkdir(parents=True, exist_ok=True)
        (w.home / "app.toml").write_text(world.app_toml(window_seconds=REWARD_SECONDS) + SETTINGS)
        catalogue.write(w.home / "catalogue.json", world.arms())
    if bundle_store.current(w.store) is None:
        promotion.bootstrap(w)
    return new


class Visitors:
    """Who comes between two moments of the loop's clock, answered by `client`. `sums` adds up the decisions, and what
    uniform, the served pmf and the best arm of each visit are truly worth (Crowd.values)."""

    def __init__(self, crowd: Crowd, client: Client) -> None:
        self.crowd, self.client, self.since = crowd, client, clock.now_us()
        self.sums: dict[str, float] = {}
        self.refused = 0

    def come(self) -> int:
        """Serves everybody who came since the last call, at most an hour's; returns how many."""
        now = clock.now_us()
        since, self.since = max(self.since, now - HOUR), now
        visits = self.crowd.visits(since, (now - since) / 1e6)
        for start in range(0, len(visits), 64):
            self._batch(since, visits[start : start + 64])
        return len(visits)

    def _batch(self, at: int, visits: Sequence[Visit]) -> None:
        answers = self.client.select_batch([request_of(visit) for visit in visits])
        answered = [(visit, answer) for visit, answer in zip(visits, answers, strict=True) if not answer.error]
        self.refused += len(visits) - len(answered)
        shown = [visit for visit, _ in answered]
        self._click(at, shown, [answer for _, answer in answered])
        for name, value in self.crowd.values(at, shown, [answer.pmf for _, answer in answered]).items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def _click(self, at: int, visits: Sequence[Visit], answers: Sequence[Selection]) -> None:
        places = [visit.arms.index(answer.arm) for visit, answer in zip(visits, answers, strict=True)]
        hits = self.crowd.clicks(at, visits, places)
        clicked = [answer.event_id for answer, hit in zip(answers, hits, strict=True) if hit]
        if clicked:
            self.client.reward_batch([{"event_id": event, "kind": "click", "value": 1.0} for event in clicked])

    def taken(self) -> dict[str, float]:
        """The sums so far; they begin anew."""
        sums, self.sums = self.sums, {}
        return sums
