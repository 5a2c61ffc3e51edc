"""A small app of the reels world with its log in the spool, for tests of what the DAGs make of it."""

from croupier.features.encoding import catalogue
from croupier.features.workspace import Workspace
from croupier.features.worlds.reels import START, World

CANDIDATES = 'candidates = ["vw_cb_adf", "neural_linear"]'


def small_app(name, candidates=CANDIDATES, **options):
    """Returns its workspace, decisions and rewards; `candidates` is the line of its app.toml."""
    world, w = World(seed=3), Workspace.open(name)
    w.home.mkdir(parents=True)
    text = world.app_toml(window_seconds=600)
    assert CANDIDATES in text
    (w.home / "app.toml").write_text(text.replace(CANDIDATES, candidates))
    catalogue.write(w.home / "catalogue.json", world.arms())
    decisions, rewards = world.log(1500, start=START, **options)
    spool = w.spool()
    spool.append_decisions(decisions)
    spool.append_rewards(rewards)
    spool.close()
    return w, decisions, rewards
