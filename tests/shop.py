"""An app `shop` of the reels world with its log in the spool, for tests of what tasks and commands make of it."""

from pathlib import Path

import pytest

from croupier.features.encoding import catalogue
from croupier.features.workspace import Workspace
from croupier.features.worlds.reels import World


def write(decisions: int, seed: int) -> Workspace:
    """Below CROUPIER_VAR as it is set; nothing is shipped yet."""
    world, w = World(seed=seed), Workspace.open("shop")
    w.home.mkdir(parents=True)
    (w.home / "app.toml").write_text(world.app_toml(window_seconds=600))
    catalogue.write(w.home / "catalogue.json", world.arms())
    made, rewards = world.log(decisions)
    spool = w.spool()
    spool.append_decisions(made)
    spool.append_rewards(rewards)
    spool.close()
    return w


def of_commands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands run in `folder` from now on, and are about a `shop` below it. Returns the shop's own folder, not made."""
    monkeypatch.setenv("CROUPIER_VAR", str(folder / "var"))
    monkeypatch.setenv("CROUPIER_APP", "shop")
    monkeypatch.delenv("CROUPIER_TRITON", raising=False)
    monkeypatch.chdir(folder)
    return folder / "var" / "shop"
