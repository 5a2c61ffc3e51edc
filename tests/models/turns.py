"""Turns of the loop by its functions, on a shop of the reels world whose champion is `lin_ts`."""

from datetime import UTC, datetime, timedelta

from croupier.features import build, clock, scheduled
from croupier.features.build import Features
from croupier.features.encoding import catalogue
from croupier.features.utc import HOUR, to_us
from croupier.features.workspace import Workspace, get_folder
from croupier.features.worlds.reels import World
from croupier.models import training
from croupier.models.policy import load
from croupier.serving.operate import verdict_release

WORLD = World(seed=5)
START = datetime(2026, 3, 1, tzinfo=UTC)
APP = """
[training]
every = "1h"
min_rows = 100
[policies]
candidates = ["lin_ts"]
"""


def opened(tmp_path, monkeypatch, refresh: str) -> Workspace:
    """A new shop, whose [refresh] is this."""
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("CROUPIER_QUALITY_PAGES", "false")
    w = Workspace.open("shop")
    w.home.mkdir(parents=True)
    text = WORLD.app_toml(window_seconds=60)
    (w.home / "app.toml").write_text(text[: text.index("[policies]")] + APP + f"[refresh]\n{refresh}\n")
    catalogue.write(w.home / "catalogue.json", WORLD.arms())
    return Workspace.open("shop")


def log(w, world, hour: int, hours: int) -> None:
    """1,800 decisions an hour, from `hour` hours after the start on."""
    at = to_us(START + timedelta(hours=hour))
    made, rewards = world.log(1800 * hours, seed=hour, start=at, gap=2_000_000)
    spool = w.spool()
    spool.append_decisions(made)
    spool.append_rewards(rewards)
    spool.close()


def turn(hour: int) -> tuple[str, dict]:
    """What build_features and train_and_gate do at `hour`, and what was published."""
    with clock.at(to_us(START) + hour * HOUR + HOUR // 2):
        build.collect("shop")
        scheduled.validate("shop", None, scheduled.join("shop", None))
        key = scheduled.encode("shop", None)["features"]
        (verdict,) = training.judge([training.train(**job) for job in training.plan([("shop", key)])])
        return key, verdict | {"outcome": verdict_release.publish_verdict(verdict)}


def released(w, key: str, tmp_path) -> None:
    """What was trained on features `key` serves."""
    found = Features.fetch(w.store, key, tmp_path / "features")
    verdict_release.release_policies(
        w,
        champion=load(get_folder(w.store, f"candidates/{key}/lin_ts", tmp_path / "lin_ts")),
        candidate=None,
        encoder=found.encoder,
        arms=w.arms(),
        meta={"features": key, "declared": found.meta["declared"]},
    )
