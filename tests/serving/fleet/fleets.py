"""Several hosts of one app: homes of their own, one store, one Redis; and what one host would have learnt."""

import time

import numpy as np
import orjson

from croupier.features.log.spool import Spool
from croupier.features.log.spool_rows import decision
from croupier.features.schema import Reward
from croupier.features.settings import Settings
from croupier.features.store import layout
from croupier.features.workspace import Workspace
from croupier.serving.learning.fast_loop import FastLoop
from croupier.serving.learning.head_file import HeadFile
from croupier.serving.release import bundle
from tests.serving.embedded import shop


def until(true, seconds=90.0):
    """Waits until it is true, since the machine may be busy; returns the value, or fails."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")


def workspaces(tmp_path, url, n, champion):
    """The app "shop" on `n` hosts, and its first release."""
    store, made = str(tmp_path / "store"), []
    for i in range(n):
        shop.opened(tmp_path / f"host-{i}", fast_loop=True, store=store)
        key = "k" * 32
        made.append(Workspace(Settings(app="shop", var=tmp_path / f"host-{i}", store=store, redis=url, unit_key=key)))
    shop.publish(made[0], champion)
    return made


def release_of(w, number=1):
    return bundle.load(layout.embedded(w.home, number))


def moments(w, release, *, others=True):
    """What a host decides with, from its files: its own head, or the release's, and what it knows of the others."""
    head, digest = release.champion.head, release.manifest["digest"]
    found = []
    for theirs in (False, True):
        file = layout.head(w.home / layout.HEADS, release.number, "champion", others=theirs)
        file = HeadFile(file, d=len(head.moments.b), digest=digest) if file.exists() else None
        found.append(file.read() if file else None)
    own, theirs = found
    made = head.moments if own is None else own.moments
    return made + theirs.moments if theirs is not None and others else made


def one_host(tmp_path, workspaces, release):
    """The fold of a single host whose log has every decision and every reward of all hosts, each once."""
    whole = Spool(tmp_path / "one" / "log.db", durability="NORMAL")
    for w in workspaces:
        spool = Spool(w.home / layout.SPOOL_LOG, durability="NORMAL")
        whole.append_decisions([decision(body) for _, body in spool.read("decisions", limit=10**6)])
        spool.close()
    for w in workspaces:
        spool = Spool(w.home / layout.SPOOL_LOG, durability="NORMAL")
        rewards = [Reward(**orjson.loads(body)) for _, body in spool.read("rewards", limit=10**6)]
        whole.append_rewards(rewards)
        spool.close()
    loop = FastLoop(tmp_path / "one" / "heads", release, whole, workspaces[0].spec.reward)
    loop.learn()
    (head,) = loop.heads()
    whole.close()
    return head


def apart(a, b):
    """The largest difference of two heads' moments, relative to the largest moment."""
    scale = np.abs(b.A).max()
    gaps = [np.abs(a.A - b.A).max(), np.abs(a.b - b.b).max(), abs(a.rr - b.rr), abs(a.n - b.n)]
    return max(gaps) / scale
