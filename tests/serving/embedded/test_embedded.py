"""The selector in one's own process: what it answers, what is on record, and what it follows."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import orjson
import pytest

from croupier import Embedded, Refused
from croupier.features.spec import SpecError
from croupier.features.store import layout
from croupier.features.utc import SECOND
from croupier.models.baselines import FixedArm, Uniform
from croupier.serving.operate import watch
from croupier.serving.release import rollout_state, rollout_store
from tests.serving import apps
from tests.serving.embedded.shop import asked, opened, publish

TOML = """
[reward]
range = [0, 1]
[reward.kinds.click]
[context.device]
type = "categorical"
"""


def until(true, seconds=20.0):
    """Waits, since the machine may be busy; what is waited for is what the assertion after it compares."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.02)


def logged(shop):
    return shop._own().spool.find


def test_a_new_app_is_declared_asked_and_rewarded(tmp_path):
    arms = {"red": {}, "green": {}, "blue": {}}
    with Embedded.declared("shop", toml=TOML, arms=arms, var=tmp_path) as shop:
        chosen = shop.select(unit_id="u7", context={"device": "phone"}, event_id="e1")
        assert (shop.release, shop.arms()) == (1, ["red", "green", "blue"])
        assert chosen.pmf == pytest.approx([1 / 3] * 3)
        assert shop.reward(event_id="e1", kind="click", value=1.0).status == "accepted"
        assert shop.reward(event_id="e1", kind="click", value=1.0, reward_id="r").status == "accepted"
        assert shop.reward(event_id="e1", kind="click", value=1.0, reward_id="r").status == "duplicate"
        decision = logged(shop)(["e1"])["e1"]
        assert (decision.arm, decision.propensity, decision.release) == (chosen.arm, chosen.propensity, 1)
        assert decision.unit_id != "u7", "the log keeps a keyed hash"
        assert shop.select(unit_id="u7", context={"device": "phone"}, event_id="e1") == chosen, "a repeat"
    with Embedded.declared("shop", toml=TOML, arms=arms, var=tmp_path) as again:
        assert again.release == 1, "no second first release"


def test_others_on_the_host_can_neither_read_nor_write_what_it_keeps(tmp_path):
    """Whatever the umask: the log, the store, keys, and each copy of a release, whose manifest has the draws' salt."""
    before = os.umask(0)
    try:
        with Embedded.declared("shop", toml=TOML, arms={"red": {}, "blue": {}}, var=tmp_path) as shop:
            shop.select(unit_id="u", event_id="e1")
            with shop.host.w.quarantine("H") as folder:
                (folder / "rows.parquet").write_bytes(b"rows")
    finally:
        os.umask(before)
    home = tmp_path / "shop"
    kept = {"spool", "store", "quarantine", "unit.key", "embedded/1", "triton/select_arm/1"}
    assert {name: f"{(home / name).stat().st_mode & 0o027:03o}" for name in kept} == dict.fromkeys(kept, "000")
    salted = [p for p in home.rglob("manifest.json") if b'"salt"' in p.read_bytes()]
    assert len(salted) == 3
    for path in salted:
        assert any(not each.stat().st_mode & 0o007 for each in path.parents if home in each.parents), path


@pytest.mark.parametrize(("wrong", "says"), [
    ({"kind": "clikc"}, "clikc"), ({"value": 7.0}, "7.0"), ({"value": float("nan")}, "finite"), ({"at": 0.5}, "at"),
    ({"event_id": 7}, "event_id"), ({"value": True}, "True"), ({"value": "1"}, "'1'"), ({"value": 10**400}, "1000"),
])  # fmt: skip
def test_a_wrong_reward_is_refused_by_name_and_a_sound_one_beside_it_taken(tmp_path, wrong, says):
    sound = {"event_id": "e1", "kind": "click", "value": 1.0}
    with Embedded.declared("shop", toml=TOML, arms={"red": {}, "blue": {}}, var=tmp_path) as shop:
        shop.select(unit_id="u", event_id="e1")
        with pytest.raises(Refused, match=says):
            shop.reward(**sound | wrong)
        statuses = [o.status for o in shop.reward_batch([sound | wrong, sound])]
        assert statuses == ["rejected", "accepted"]
        kept = [orjson.loads(body) for _, body in shop.host.spool.read("rejects")]
        assert [(r["kind"], r["field"], says in r["reason"]) for r in kept] == [("reward", *wrong, True)] * 2


@pytest.mark.parametrize(("given", "says"), [
    ({"context": {"devise": "phone"}}, "devise"), ({"arms": ["red", "pink"]}, "pink"), ({"unit_id": ""}, "unit_id"),
    ({"context": {"device": {"a": 7}}}, "device"),
])  # fmt: skip
def test_a_wrong_request_is_refused_by_name(tmp_path, given, says):
    with Embedded.declared("shop", toml=TOML, arms={"red": {}, "blue": {}}, var=tmp_path) as shop:
        with pytest.raises(Refused, match=says):
            shop.select(**{"unit_id": "u"} | given)
        assert shop.select(unit_id="u").arm in {"red", "blue"}


def test_a_declaration_is_checked_and_never_written_over(tmp_path):
    with pytest.raises(SpecError, match="rewrad"):
        Embedded.declared("shop", toml=TOML.replace("[reward]", "[rewrad]"), arms={"red": {}}, var=tmp_path)
    assert not (tmp_path / "shop" / layout.APP_TOML).exists()
    Embedded.declared("shop", toml=TOML, arms={"red": {}, "blue": {}}, var=tmp_path).close()
    with pytest.raises(ValueError, match="another declaration"):
        Embedded.declared("shop", toml=TOML.replace("[0, 1]", "[0, 2]"), arms={}, var=tmp_path)
    with pytest.raises(ValueError, match=r"shpo: found no app\.toml in .*, expected a declared app"):
        Embedded("shpo", var=tmp_path)
    assert not (tmp_path / "shpo").exists()


@pytest.mark.medium
def test_a_release_and_a_stage_are_followed_without_a_call(tmp_path):
    w = opened(tmp_path)
    publish(w, Uniform())
    with Embedded("shop", var=tmp_path, follow_seconds=0.05) as shop:
        second = publish(w, Uniform(), FixedArm(arm="reel-01"))
        until(lambda: shop.release == second)
        assert shop.release == second
        salt, view = rollout_store.read_state(w.store).salt, shop._own().selector.rollout.view
        for seed, share in enumerate((0.05, 0.2)):
            until(lambda share=share: view(second).share == share)
            requests = apps.sample().requests(400, seed=seed)
            roles = [a.role for a in shop.select_batch(requests)]
            units = [d.unit_id for d in logged(shop)([r.event_id for r in requests]).values()]
            assert roles.count("candidate") == sum(rollout_state.in_candidate(salt, u, share) for u in units) > 0
            rollout_store.change(w.store, lambda s: rollout_state.advance(s, reason="test", now=2, by="test"))


@pytest.mark.medium
def test_the_mirror_grows_old_when_nobody_watches(tmp_path):
    """A controller that looks makes it young; a process that only follows does not."""
    w = opened(tmp_path)
    publish(w, Uniform(), FixedArm(arm="reel-01"))
    mirror = w.home / layout.ROLLOUT_MIRROR
    with Embedded("shop", var=tmp_path, follow_seconds=0.02) as shop:
        until(lambda: shop._own()._mirror._seen is not None)
        os.utime(mirror, (1.0, 1.0))
        time.sleep(0.3)
        assert mirror.stat().st_mtime == 1.0
        rollout_store.note_watched(w.store, 5 * SECOND)
        until(lambda: mirror.stat().st_mtime > 1.0)
        assert mirror.stat().st_mtime > 1.0
    assert watch.tick(w.store, w.home, w.spec, 9 * SECOND).release == 1
    assert rollout_store.watched(w.store) == 9 * SECOND


def test_without_its_store_the_release_that_is_here_serves(tmp_path):
    store = tmp_path / "far"
    w = opened(tmp_path / "var", store=str(store))
    publish(w, FixedArm(arm="reel-03"))
    os.environ["CROUPIER_STORE"] = str(store)
    try:
        with Embedded("shop", var=tmp_path / "var") as shop:
            store.rename(tmp_path / "gone")
            (request,) = apps.sample().requests(1)
            assert shop.select(**asked(request)).release == 1
    finally:
        del os.environ["CROUPIER_STORE"]


@pytest.mark.medium
def test_the_fast_loop_learns_in_this_process_and_for_its_neighbours(tmp_path):
    w = opened(tmp_path, fast_loop=True)
    publish(w, apps.trained("neural_linear"))
    base, requests = apps.trained("neural_linear").head.step, apps.sample().requests(3)
    with Embedded("shop", var=tmp_path) as first, Embedded("shop", var=tmp_path) as second:
        for shop, request in zip((first, second), requests, strict=False):
            shop.select(**asked(request))
            assert shop.reward(event_id=request.event_id, kind="click", value=1.0).status == "accepted"
        steps = []

        def step(shop, i):
            steps.append(shop.select(**asked(requests[2]) | {"event_id": f"later-{i}-{len(steps)}"}))
            return logged(shop)([steps[-1].event_id])[steps[-1].event_id].posterior_step

        for i, shop in enumerate((first, second)):
            until(lambda i=i, shop=shop: step(shop, i) == base + 2)
            assert step(shop, i) == base + 2, "both rewards, whoever took them in"


def test_a_forked_child_and_its_parent_both_answer_and_nothing_is_lost(tmp_path):
    with Embedded.declared("shop", toml=TOML, arms={"red": {}, "blue": {}}, var=tmp_path) as shop:
        shop.select(unit_id="u", event_id="before")
        child = os.fork()
        if not child:
            try:
                for i in range(50):
                    shop.select(unit_id=f"c{i}", event_id=f"child-{i}")
                    shop.reward(event_id=f"child-{i}", kind="click", value=1.0)
                shop.close()
            finally:
                os._exit(0)
        for i in range(50):
            shop.select(unit_id=f"p{i}", event_id=f"parent-{i}")
        os.waitpid(child, 0)
        names = ["before", *(f"{who}-{i}" for who in ("child", "parent") for i in range(50))]
        assert sorted(logged(shop)(names)) == sorted(names)
        assert shop.reward(event_id="child-7", kind="click", value=0.0).status == "accepted"


ORPHAN = """
import os, sys, time
from croupier import Embedded

def step(i):
    chosen = shop.select(unit_id="u", arms=["reel-01", "reel-02"], event_id=f"e{i}")
    return shop._own().spool.find([chosen.event_id])[chosen.event_id].posterior_step

shop, (reading, writing), parent = Embedded("shop", var=sys.argv[1]), os.pipe(), os.getpid()
if os.fork():
    os.read(reading, 1)
    os.kill(parent, 9)  # it held the lock of the heads; its child goes on
first = step(0)
os.write(writing, b"x")
while os.getppid() == parent:
    time.sleep(0.01)
shop.reward(event_id="e0", kind="click", value=1.0)
end, i = time.monotonic() + 20, 1
while step(i) == first and time.monotonic() < end:
    i += 1
    time.sleep(0.05)
print(step(i + 1) - first, flush=True)
"""


@pytest.mark.medium
def test_a_child_learns_when_the_parent_that_wrote_the_heads_has_died(tmp_path):
    publish(opened(tmp_path, fast_loop=True), apps.trained("neural_linear"))
    with subprocess.Popen([sys.executable, "-c", ORPHAN, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.read() == "1\n"


KILLED = """
import sys
from croupier import Embedded
shop = Embedded("shop", var=sys.argv[1])
for i in range(10_000):
    chosen = shop.select(unit_id=f"u{i}")
    print(chosen.event_id, chosen.arm, repr(chosen.propensity), flush=True)
"""


def test_kill_9_loses_nothing_that_was_answered(tmp_path):
    Embedded.declared("shop", toml=TOML, arms={"red": {}, "blue": {}}, var=tmp_path).close()
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        answered = [process.stdout.readline().split() for _ in range(40)]
        process.send_signal(signal.SIGKILL)
        answered += [line.split() for line in process.stdout if line.endswith("\n")]
    answered = [a for a in answered if len(a) == 3]
    with Embedded("shop", var=tmp_path) as shop:
        found = logged(shop)([event for event, _, _ in answered])
        assert len(answered) >= 40
        assert [(found[e].arm, repr(found[e].propensity)) for e, _, _ in answered] == [(a, p) for _, a, p in answered]


LIGHT = """
import sys
from croupier import Embedded
with Embedded("shop", var=sys.argv[1]) as shop:
    print(shop.select(unit_id="u").role, shop.release)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.mark.parametrize("name", ["uniform", "neural_linear", "lin_ts", "vw_cb_adf"])
def test_it_brings_no_server_no_grpc_and_no_torch(tmp_path, name):
    w = opened(tmp_path)
    number = publish(w, Uniform() if name == "uniform" else apps.trained(name))
    done = subprocess.run([sys.executable, "-c", LIGHT, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"champion {number}\n")
    heavy = {"torch", "grpc", "tritonclient", "airflow", "great_expectations", "vowpalwabbit", "pandas", "matplotlib"}
    assert heavy & set(done.stdout.split()) == set()
    assert "numpy" in done.stdout.split()


@pytest.mark.parametrize("name", ["neural_linear", "vw_cb_adf"])
def test_its_answers_are_the_policys_own(tmp_path, name):
    w = opened(tmp_path)
    publish(w, apps.trained(name))
    requests = apps.sample().requests(64, strange=True)
    with Embedded("shop", var=tmp_path) as shop:
        answers = shop.select_batch(requests)
        expected = apps.offline(shop._own().selector.release, requests)
    for answer, row in zip(answers, expected, strict=True):
        np.testing.assert_allclose(answer.pmf, row[: len(answer.pmf)], atol=1e-6)
