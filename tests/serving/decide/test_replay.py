"""Replay: whatever was logged can be derived again, and a change anywhere is named."""

import shutil
from dataclasses import replace

import pytest

from croupier.features.log.spool import Spool
from croupier.features.spec import RewardSpec
from croupier.features.store.storage import StoreUnavailable
from croupier.models.baselines import FixedArm, Uniform
from croupier.serving.contract.rewards import RawReward
from croupier.serving.decide.replay import loader, replay
from croupier.serving.decide.rewards import Rewards
from croupier.serving.decide.selector import Selector
from croupier.serving.learning.fast_loop import FastLoop
from croupier.serving.learning.live_heads import LiveHeads
from croupier.serving.release import bundle as releases
from croupier.serving.release.rollout_mirror import RolloutReader
from tests.serving import apps
from tests.serving.apps import Sample
from tests.serving.decide.selectors import calm

N = 1000


@pytest.fixture
def spool(tmp_path):
    made = Spool(tmp_path / "log.db", durability="NORMAL")
    yield made
    made.close()


class Failing(Uniform):
    def pmf(self, batch):
        if len(batch) % 3 == 0:
            raise RuntimeError("now and then")
        return super().pmf(batch)


def serve(tmp_path, spool, n):
    """n decisions of a learning champion and a candidate that fails now and then, rewards arriving in between."""
    app: Sample = apps.sample()
    loaded = apps.write(tmp_path, apps.trained("neural_linear"), FixedArm(arm="reel-04"), share=0.4)
    loop = FastLoop(tmp_path / "posterior", loaded, spool, RewardSpec())
    heads = LiveHeads(tmp_path / "posterior", loaded, clock=iter(range(10**9)).__next__)
    live = Selector(
        replace(loaded, candidate=Failing()),
        recorder=spool,
        rollout=RolloutReader(tmp_path / "rollout.json"),
        unit_key="k",
        heads=heads,
        breaker=calm(),
    )
    events = []
    rewards = Rewards(spool, learn=loop.learn)
    for start in range(0, n, 20):
        answers = live.select(app.requests(20, seed=start))
        events += [a.event_id for a in answers]
        rewards.take([RawReward(a.event_id.encode(), b"click", float(i % 4 == 0)) for i, a in enumerate(answers)])
    return loaded, events


@pytest.mark.medium
def test_every_logged_decision_is_derived_again(tmp_path, spool):
    loaded, events = serve(tmp_path, spool, 60)
    decisions = spool.find(events)
    roles = {d.role for d in decisions.values()}
    assert "champion" in roles
    assert len(roles) > 1
    assert len({d.posterior_step for d in decisions.values()}) > 3
    for event in events:
        d = decisions[event]
        if d.role == "candidate":
            continue  # the candidate on disk is another policy than the failing one that served
        findings = replay(d, load=lambda _: loaded, spool=spool, spec=RewardSpec())
        assert [f.step for f in findings] == [
            "release",
            "encoder",
            "catalogue",
            "posterior",
            "pmf",
            "draw",
            "propensity",
        ]
        assert all(f.holds for f in findings), findings


@pytest.mark.parametrize(
    ("change", "step"),
    [
        ({"encoder": "0" * 32}, "encoder"), ({"catalogue": "0" * 32}, "catalogue"), ({"posterior_step": 10**9}, "posterior"),
        ({"arms": ("nobody", "reel-01")}, "request"), ({"context": {"misspelt": []}}, "request"), ({"pmf": ()}, "pmf"),
        ({"context": {"age": 99.0}}, "pmf"), ({"event_id": "another"}, "draw"), ({"propensity": 0.5}, "propensity"),
    ],
)  # fmt: skip
@pytest.mark.medium
def test_a_change_anywhere_is_named(tmp_path, spool, change, step):
    loaded, events = serve(tmp_path, spool, 40)
    decisions = [d for d in spool.find(events).values() if d.role == "champion" and len(d.arms) > 4]
    named = {replay(replace(d, **change), load=lambda _: loaded, spool=spool, spec=RewardSpec())[-1] for d in decisions}
    differing = [f for f in named if not f.holds]
    assert {f.step for f in differing} == {step}


def test_a_changed_release_is_refused_before_it_is_used(tmp_path, spool):
    _, events = serve(tmp_path, spool, 20)
    folder = tmp_path / "triton" / "select_arm" / "1"
    file = folder / "champion" / "policy.json"
    file.write_bytes(file.read_bytes().replace(b"0", b"1", 1))
    decision = next(iter(spool.find(events).values()))
    (finding,) = replay(decision, load=lambda n: releases.load(folder), spool=spool, spec=RewardSpec())
    assert (finding.step, finding.holds) == ("release", False)
    assert "champion/policy.json" in finding.detail


def test_a_decision_made_elsewhere_has_nothing_to_derive_but_its_propensity(tmp_path, spool):
    loaded, events = serve(tmp_path, spool, 20)
    decision = replace(next(iter(spool.find(events).values())), release=0)
    findings = replay(decision, load=lambda _: loaded, spool=spool, spec=RewardSpec())
    assert [f.step for f in findings] == ["release", "propensity"]
    stray = replay(replace(decision, arm="nobody"), load=lambda _: loaded, spool=spool, spec=RewardSpec())
    assert [f.holds for f in stray] == [True, False]


def test_a_fetch_that_broke_off_leaves_nothing_behind(tmp_path):
    apps.write(tmp_path / "elsewhere", Uniform(), number=3)

    def breaks_off(_number, folder):
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
        raise StoreUnavailable("out of reach")

    with pytest.raises(StoreUnavailable):
        loader(tmp_path, breaks_off)(3)
    load = loader(
        tmp_path, lambda _, folder: shutil.copytree(tmp_path / "elsewhere" / "triton" / "select_arm" / "3", folder)
    )
    assert load(3).number == load(3).number == 3
    assert [p.name for p in (tmp_path / "replay").iterdir()] == ["3"]
