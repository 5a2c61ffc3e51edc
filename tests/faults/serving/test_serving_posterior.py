"""The learner killed again and again in the middle of learning: its head ends as that of one that never was."""

import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from croupier.features.log.spool import Spool
from croupier.features.spec import RewardSpec
from croupier.features.store import layout
from croupier.serving.contract.rewards import RawReward
from croupier.serving.decide.rewards import Rewards
from croupier.serving.decide.selector import Selector
from croupier.serving.learning.fast_loop import FastLoop
from croupier.serving.learning.head_file import HeadFile
from tests.serving import apps

LEARNER = """
import sys, time
from pathlib import Path
from croupier.features.spec import RewardSpec
from croupier.features.log.spool import Spool
from croupier.serving.release import bundle as release
from croupier.serving.learning.fast_loop import FastLoop
home = Path(sys.argv[1])
spool = Spool(home / "log.db", durability="NORMAL")
loop = FastLoop(home / "posterior", release.load(home / "triton/select_arm/1"), spool, RewardSpec())
print("ready", flush=True)
while True:
    loop.learn()
    time.sleep(0.001)
"""


@pytest.mark.slow
def test_kill_nine_in_the_middle_of_learning(tmp_path):
    release = apps.write(tmp_path, apps.trained("neural_linear"))
    spool = Spool(tmp_path / "log.db", durability="NORMAL")
    selector = Selector(release, recorder=spool, rollout=None, unit_key="k")
    rng, rewards = random.Random(1), Rewards(spool)
    for round_ in range(4):
        learner = subprocess.Popen([sys.executable, "-c", LEARNER, str(tmp_path)], stdout=subprocess.PIPE)
        assert learner.stdout.readline() == b"ready\n"
        until = time.monotonic() + rng.uniform(0.3, 1.0)
        i = 0
        while time.monotonic() < until:
            answers = selector.select(apps.sample().requests(20, seed=1000 * round_ + i))
            rewards.take([RawReward(a.event_id.encode(), b"click", float(rng.random() < 0.3)) for a in answers])
            i += 1
        learner.send_signal(signal.SIGKILL)
        learner.wait()
        learner.stdout.close()

    def head(folder):
        path = layout.head(folder, 1, "champion")
        return HeadFile(path, d=len(release.champion.head.moments.b), digest=release.manifest["digest"]).read()

    FastLoop(tmp_path / "posterior", release, spool, RewardSpec()).learn()
    FastLoop(tmp_path / "never killed", release, spool, RewardSpec()).learn()
    killed, steady = head(tmp_path / "posterior"), head(tmp_path / "never killed")
    assert killed.step == steady.step == release.champion.head.step + spool.counts()["rewards"]
    assert np.array_equal(killed.moments.A, steady.moments.A)
    assert np.array_equal(killed.moments.b, steady.moments.b)
    spool.close()
