"""The fast loop: a head is a fold over the rewards' log, and whatever happens in between, the fold is the same."""

import json
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from croupier.features.log.spool import Spool
from croupier.features.reward import combined
from croupier.features.spec import KindSpec, RewardSpec
from croupier.features.store import layout
from croupier.models.baselines import Uniform
from croupier.models.bayesian.posterior import RidgeMoments
from croupier.serving.client.client import Client
from croupier.serving.contract.rewards import RawReward
from croupier.serving.decide.rewards import Rewards
from croupier.serving.decide.selector import Selector
from croupier.serving.learning import fast_loop
from croupier.serving.learning.fast_loop import FastLoop, rebuilt
from croupier.serving.learning.head_file import HeadFile, State
from croupier.serving.learning.live_heads import LiveHeads
from croupier.serving.triton.server import Ports
from tests.serving import apps
from tests.serving.ended_at_once import EndedAtOnce
from tests.spooled import rewards_of

SPEC = RewardSpec(
    window_seconds=3600,
    range=(0.0, 2.0),
    kinds={
        "click": KindSpec(how="first"),
        "watch": KindSpec(how="sum", weight=0.5, clip=(0.0, 2.0)),
    },
)


@pytest.fixture
def spool(tmp_path):
    made = Spool(tmp_path / "log.db", durability="NORMAL")
    yield made
    made.close()


@pytest.fixture
def release(tmp_path):
    return apps.write(tmp_path, apps.trained("neural_linear"), apps.trained("lin_ts"))


def decide(release, spool, n, seed=0):
    s = Selector(release, recorder=spool, rollout=None, unit_key="k")
    requests = apps.sample().requests(n, seed=seed)
    return requests, s.select(requests)


def send(spool, answers, loop=None, *, chunk=7):
    """A click (0 or 1) for each decision, and watch seconds for a third of them, in small calls."""
    rng = np.random.default_rng(5)
    raws = [RawReward(a.event_id.encode(), b"click", float(rng.random() < 0.3)) for a in answers]
    raws += [
        RawReward(a.event_id.encode(), b"watch", float(rng.random()), f"w{i}".encode())
        for i, a in enumerate(answers[::3])
    ]
    raws += raws[:5]  # repeats change nothing
    taking = Rewards(spool, learn=loop.learn if loop else None)
    for start in range(0, len(raws), chunk):
        taking.take(raws[start : start + chunk])


def head(tmp_path, release, role):
    policy = getattr(release, role)
    path = layout.head(tmp_path / "posterior", release.number, role)
    return HeadFile(path, d=len(policy.head.moments.b), digest=release.manifest["digest"]).read()


def same(a, b):
    assert (a.step, a.cursor) == (b.step, b.cursor)
    assert np.array_equal(a.moments.A, b.moments.A)
    assert np.array_equal(a.moments.b, b.moments.b)
    assert (a.moments.rr, a.moments.n) == (b.moments.rr, b.moments.n)


@pytest.mark.parametrize("role", ["champion", "candidate"])
def test_the_fold_is_the_batch_solution_with_each_event_once(tmp_path, release, spool, role):
    requests, answers = decide(release, spool, 60)
    loop = FastLoop(tmp_path / "posterior", release, spool, SPEC)
    send(spool, answers, loop)
    policy, state = getattr(release, role), head(tmp_path, release, role)
    history = rewards_of(spool, [a.event_id for a in answers])
    decisions = spool.find([a.event_id for a in answers])
    r = [combined([x for _, x in history[a.event_id]], decisions[a.event_id].at, SPEC) for a in answers]
    batch = release.encoder.encode(
        [q.context for q in requests], [q.arms for q in requests], [q.arm_context for q in requests], release.catalogue
    )
    chosen = np.array([q.arms.index(a.arm) for q, a in zip(requests, answers, strict=True)])
    expected = policy.head.moments + RidgeMoments.of(policy.features(batch, chosen), policy.standardise(np.array(r)))
    scale = np.abs(expected.A).max()
    assert np.abs(state.moments.A - expected.A).max() / scale < 1e-6  # float32 products differ with the batch's size
    assert np.abs(state.moments.b - expected.b).max() / scale < 1e-6
    assert state.moments.n == pytest.approx(expected.n)
    changed = sum(
        combined([x for _, x in history[a.event_id]], decisions[a.event_id].at, SPEC)
        != combined([history[a.event_id][0][1]], decisions[a.event_id].at, SPEC)
        for a in answers
    )
    assert state.step == policy.head.step + 60 + changed


def test_whatever_the_calls_and_restarts_the_fold_is_the_same_to_the_bit(tmp_path, release, spool):
    _, answers = decide(release, spool, 40)
    loop = FastLoop(tmp_path / "posterior", release, spool, SPEC)
    send(spool, answers[:20], loop, chunk=3)
    loop = FastLoop(tmp_path / "posterior", release, spool, SPEC)  # a restart: goes on from the file
    send(spool, answers[20:], loop, chunk=11)
    steady = head(tmp_path, release, "champion")
    afresh = FastLoop(tmp_path / "elsewhere" / "posterior", release, spool, SPEC)
    afresh.learn()
    same(head(tmp_path / "elsewhere", release, "champion"), steady)
    path = layout.head(tmp_path / "posterior", 1, "champion")
    torn = bytearray(path.read_bytes())
    torn[500:508] = b"\0" * 8
    path.write_bytes(torn)
    assert head(tmp_path, release, "champion") is None  # seen by its checksum
    FastLoop(tmp_path / "posterior", release, spool, SPEC).learn()
    same(head(tmp_path, release, "champion"), steady)


def test_instances_decide_with_the_newest_head_and_log_its_step(tmp_path, release, spool):
    loop = FastLoop(tmp_path / "posterior", release, spool, SPEC)
    heads = LiveHeads(tmp_path / "posterior", release)
    s = Selector(release, recorder=spool, rollout=None, unit_key="k", heads=heads)
    requests = apps.sample().requests(30, seed=3)
    first = s.select(requests)
    step = release.champion.head.step
    assert {d.posterior_step for d in spool.find([a.event_id for a in first]).values()} == {step}
    send(spool, first, loop)
    time.sleep(0.01)
    second = s.select([replace(r, event_id="") for r in requests])
    later = spool.find([a.event_id for a in second])
    assert {d.posterior_step for d in later.values()} == {head(tmp_path, release, "champion").step}
    assert max(np.abs(np.array(a.pmf) - b.pmf).max() for a, b in zip(first, second, strict=True)) > 0.01
    policy = rebuilt(release, "champion", spool, SPEC, until_step=later[second[0].event_id].posterior_step)
    live = replace(release, champion=policy)
    expected = apps.offline(live, requests)
    assert max(np.abs(np.array(a.pmf) - p[: len(a.pmf)]).max() for a, p in zip(second, expected, strict=True)) < 1e-12
    with pytest.raises(ValueError, match=r"the log gives .* steps"):
        rebuilt(release, "champion", spool, SPEC, until_step=10**9)


@pytest.mark.parametrize("values", [[1e308], [-1e308], [1e308, 1e308], [1e200, 5e-324]])
def test_a_reward_beyond_the_declared_range_teaches_no_more_than_its_end(tmp_path, release, spool, values):
    """One reward of 1e308 made the head infinite, and every later decision of its policy uniform."""
    spec = RewardSpec(range=(0.0, 2.0), kinds={"click": KindSpec(how="sum")})
    requests, answers = decide(release, spool, 10)
    raws = [RawReward(answers[0].event_id.encode(), b"click", v, str(i).encode()) for i, v in enumerate(values)]
    loops = {name: FastLoop(tmp_path / name / "posterior", release, spool, spec) for name in ("wild", "tame")}
    Rewards(spool, learn=loops["wild"].learn).take(raws)
    wild = head(tmp_path / "wild", release, "champion")
    heads = LiveHeads(tmp_path / "wild" / "posterior", release)
    s = Selector(release, recorder=spool, rollout=None, unit_key="k", heads=heads)
    assert {a.role for a in s.select([replace(r, event_id="") for r in requests])} == {"champion"}
    end = float(np.clip(values[0], 0.0, 2.0))
    decision = spool.find([answers[0].event_id])[answers[0].event_id]
    fold, _ = loops["tame"]._folds[0]
    fold.apply([fast_loop.Step(wild.cursor, decision, None, end)])
    assert np.array_equal(wild.moments.b, fold.state.moments.b)
    assert wild.moments.rr == fold.state.moments.rr


def test_decisions_of_other_releases_teach_nothing(tmp_path, release, spool):
    other = apps.write(tmp_path, Uniform(), number=2)
    _, answers = decide(other, spool, 10)
    loop = FastLoop(tmp_path / "posterior", release, spool, SPEC)
    send(spool, answers, loop)
    assert loop.learn() == 0
    assert head(tmp_path, release, "champion") is None  # never written


@pytest.mark.medium
def test_a_reader_never_sees_half_a_head(tmp_path):
    """A writer at full speed beside readers: every head read has all its numbers from one write."""
    import threading

    path = tmp_path / "x.head"
    writer = HeadFile.create(path, d=40, digest="ab" * 16)
    stop, seen, torn = threading.Event(), [0], []

    def write():
        step = 0
        while not stop.is_set():
            step += 1
            writer.write(
                State(RidgeMoments(A=np.full((40, 40), step), b=np.full(40, step), rr=step, n=step), step, step)
            )

    def read():
        reader = HeadFile(path, d=40, digest="ab" * 16)
        while not stop.is_set():
            state = reader.read()
            if state is not None:
                seen[0] += 1
                values = {state.step, state.moments.rr, *np.unique(state.moments.A), *np.unique(state.moments.b)}
                if len(values) != 1:
                    torn.append(values)

    threads = [threading.Thread(target=f) for f in (write, read, read)]
    for t in threads:
        t.start()
    time.sleep(1.0)
    stop.set()
    for t in threads:
        t.join()
    assert seen[0] > 100
    assert torn == []


@pytest.mark.alone
@pytest.mark.slow
def test_through_triton_a_reward_is_visible_at_the_next_batch(tmp_path):
    (tmp_path / "app.toml").write_text(
        apps.sample().world.app_toml().replace("floor = 0.02", "floor = 0.02\nfast_loop = true")
    )
    release = apps.write(tmp_path, apps.trained("neural_linear"))
    base, (request,), delays = release.champion.head.step, apps.sample().requests(1), []
    spool = Spool(tmp_path / "spool" / "log.db")
    with EndedAtOnce(tmp_path, ports=Ports.free()) as triton, Client(triton.grpc, deadline_ms=10_000) as client:
        ask = {
            "unit_id": request.unit_id,
            "context": request.context,
            "arms": request.arms,
            "arm_context": request.arm_context,
        }
        chosen = client.select(**ask)
        for i in range(50):
            assert client.reward(event_id=chosen.event_id, kind="click", value=float(i % 2)).status == "accepted"
            rewarded = time.perf_counter()
            while True:
                chosen = client.select(**ask)
                if spool.find([chosen.event_id])[chosen.event_id].posterior_step == base + i + 1:
                    break
                assert time.perf_counter() - rewarded < 5
            delays.append((time.perf_counter() - rewarded) * 1e3)
    spool.close()
    print(json.dumps({"visible_ms": {"p50": float(np.median(delays)), "p99": float(np.quantile(delays, 0.99))}}))
    assert np.quantile(delays, 0.9) < 50


@pytest.mark.parametrize(("name", "learner"), [("vw_cb_adf", False), ("neural_linear", True)])
@pytest.mark.medium
def test_a_server_loads_the_learners_libraries_only_for_a_policy_that_learns(tmp_path, name, learner):
    """Each publish starts three processes beside those that serve: what they import is what users wait for."""
    apps.write(tmp_path, apps.trained(name))
    args = {
        "model_repository": str(tmp_path / "triton" / "select_arm"),
        "model_version": "1",
        "model_name": "select_arm",
    }
    code = f"import sys; from croupier.serving.triton.arms import SelectArm; SelectArm({args!r}).close(); print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    heavy = {"torch", "scipy", "pandas", "polars", "vowpalwabbit", "tritonclient"}
    assert heavy & set(found) == ({"scipy"} if learner else set())
