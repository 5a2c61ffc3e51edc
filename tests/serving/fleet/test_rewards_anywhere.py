"""Rewards at any host reach the head of every host: three selectors in one process, a real Redis, one store."""

import json
import random
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from croupier.features.log.ship import prune, ship
from croupier.features.log.shipped import REWARD, open_log
from croupier.features.log.spool import Spool
from croupier.serving.commands.replay import app
from croupier.serving.contract.rewards import RawReward
from croupier.serving.decide.replay import replay
from croupier.serving.embedded.host import Host
from croupier.serving.fleet import contribution
from croupier.serving.fleet.contribution import Contribution
from tests.redis_here import needs_redis
from tests.serving import apps
from tests.serving.fleet.fleets import apart, moments, one_host, release_of, until, workspaces

pytestmark = [needs_redis, pytest.mark.slow]


@pytest.fixture
def fleet(tmp_path, redis):
    spaces = workspaces(tmp_path, redis.url, 3, apps.trained("lin_ts"))
    hosts = [Host(w, every=0.5) for w in spaces]
    yield spaces, hosts
    for host in hosts:
        host.close()


def sent(hosts, rng, n, seed):
    """n decisions at random hosts, each rewarded at a random host, some twice; returns (host, event id) and fates."""
    decided, fates = [], []
    for request in apps.sample().requests(n, seed=seed):
        at = rng.randrange(len(hosts))
        (answer,) = hosts[at].selector.select([request])
        assert not answer.error
        decided.append((at, answer.event_id))
    for i, (at, event) in enumerate(decided):
        for where in {rng.randrange(len(hosts)) for _ in range(1 + i % 2)}:
            raw = RawReward(event.encode(), b"click", float(i % 3 == 0), f"r{i}".encode())
            (outcome,) = hosts[where].rewards.take([raw])
            fates.append((where == at, outcome.status))
    return decided, fates


def replayed(monkeypatch, w, event, logs):
    """What `croupier replay` says on the host `w`, with these other hosts' logs."""
    s = w.settings
    for name, value in {"VAR": s.var, "STORE": s.store, "UNIT_KEY": s.unit_key.get_secret_value()}.items():
        monkeypatch.setenv(f"CROUPIER_{name}", str(value))
    named = [part for path in logs for part in ("--log", str(path))]
    done = CliRunner().invoke(app, [event, "--app", "shop", "--json", *named])
    return done.exit_code, json.loads(done.stdout)


def test_every_host_decides_with_what_all_have_learnt_and_each_decision_is_derived_again(fleet, tmp_path, monkeypatch):
    spaces, hosts = fleet
    rng, release = random.Random(5), release_of(spaces[0])
    _, fates = sent(hosts, rng, 60, seed=1)
    assert {fate for here, fate in fates if not here} == {"elsewhere"}
    assert {fate for here, fate in fates if here} <= {"accepted", "duplicate"}  # one that was passed on came before
    expected = one_host(tmp_path, spaces, release)
    assert expected.state.step - expected.base.step == 60
    until(lambda: all(apart(moments(w, release), expected.state.moments) < 1e-9 for w in spaces))
    for host in hosts:
        until(
            lambda host=host: apart(host.selector.heads.policy("champion").head.moments, expected.state.moments) < 1e-9
        )
    apart_from_others = [apart(moments(w, release, others=False), expected.state.moments) for w in spaces]
    assert min(apart_from_others) > 1e-5, "no host had learnt it alone"
    later, _ = sent(hosts, rng, 12, seed=2)
    logs = {host.spool.id: host.spool for host in hosts}
    for at, event in later:
        spool = hosts[at].spool
        logged = spool.find([event])[event]
        assert logged.shared_posterior
        steps = replay(logged, load=lambda _: release, spool=spool, spec=spaces[at].spec.reward, logs=logs.get)
        assert [s for s in steps if not s.holds] == []
        assert logged.shared_posterior in next(s.detail for s in steps if s.step == "posterior")
    asked = {"load": lambda _: release, "spec": spaces[0].spec.reward}
    rows = [(hosts[at].spool, hosts[at].spool.find([event])[event]) for at, event in later]
    alone = [replay(replace(d, shared_posterior=""), spool=spool, logs=logs.get, **asked) for spool, d in rows]
    assert {s.step for steps in alone for s in steps if not s.holds} == {"pmf"}, "its own steps alone do not give it"
    at, event = later[0]
    logged = hosts[at].spool.find([event])[event]
    paths = [host.spool.path for host in hosts]
    for i, w in enumerate(spaces):  # on any host: whose decision it is is found
        code, said = replayed(monkeypatch, w, event, [path for j, path in enumerate(paths) if j != i])
        assert (code, said["same"], said["arm"]) == (0, True, logged.arm)
    code, said = replayed(monkeypatch, spaces[at], event, [])
    assert (code, said["same"], said["steps"][-1]["step"]) == (1, False, "posterior")
    (missing,) = [s for s in replay(logged, spool=hosts[at].spool, **asked) if not s.holds]
    assert (missing.step, "--log" in missing.detail) == ("posterior", True)
    wrong = replace(logged, shared_posterior="0" * 15)
    (unknown,) = [s for s in replay(wrong, spool=hosts[at].spool, logs=logs.get, **asked) if not s.holds]
    assert "does not know the shared posterior" in unknown.detail
    with closing(sqlite3.connect(tmp_path / "changed.db")) as changed:
        hosts[(at + 1) % 3].spool.db.backup(changed)
    copy = Spool(tmp_path / "changed.db")
    with copy.transaction() as db:
        db.execute("UPDATE rewards SET body = replace(CAST(body AS TEXT), '\"value\":0.0', '\"value\":1.0')")
    found = replay(logged, spool=hosts[at].spool, logs=(logs | {copy.id: copy}).get, **asked)
    copy.close()
    assert "expected" in next(s.detail for s in found if not s.holds and s.step == "posterior")


def test_what_is_passed_on_is_in_the_log_once(fleet, tmp_path):
    spaces, hosts = fleet
    decided, fates = sent(hosts, random.Random(7), 40, seed=3)
    received = sum(status != "duplicate" for _, status in fates)
    until(lambda: sum(map(_learnt, hosts)) == 40)
    assert sum(host.spool.counts()["rewards"] for host in hosts) == received
    assert sum(len(host.spool.read("rewards")) for host in hosts) > received, "and those that were passed on"
    for i, host in enumerate(hosts):
        ship(host.spool, spaces[0].store, host=f"host-{i}")
    with open_log(spaces[0].store) as log:
        rows = log.read("rewards", log.hours("rewards"), REWARD)
    assert len(rows) == received
    assert set(rows["event_id"]) == {event for _, event in decided}
    for host in hosts:
        prune(host.spool, spaces[0].store, before=2**60)
        assert host.spool.read("rewards") == []
    assert sum(host.spool.counts()["rewards"] for host in hosts) == received


def _learnt(host):
    """The steps that a host's own head took."""
    return sum(head.state.step - head.base.step for head in host._writer.heads() or ())


def test_a_part_that_is_added_twice_or_left_out_is_seen(fleet, tmp_path):
    """What the sums are held against tells the errors that it is for."""
    spaces, hosts = fleet
    sent(hosts, random.Random(9), 30, seed=4)
    release = release_of(spaces[0])
    expected = one_host(tmp_path, spaces, release)
    until(lambda: all(apart(moments(w, release), expected.state.moments) < 1e-9 for w in spaces))
    parts = [Contribution.of(h.spool.id, head.base, head.state) for h in hosts for head in h._writer.heads()]
    base, d = expected.base.moments, len(expected.base.moments.b)

    def gap(some):
        return apart(base + contribution.total(contribution.ordered(some), d), expected.state.moments)

    assert gap(parts) < 1e-9
    assert gap(parts[::-1]) == gap(parts), "in one order, whoever adds"
    assert min(gap([*parts, each]) for each in parts) > 1e-6
    assert min(gap([p for p in parts if p is not each]) for each in parts) > 1e-6


def test_a_store_that_lost_everything_is_given_it_again_and_a_host_without_it_serves(fleet, tmp_path, redis):
    spaces, hosts = fleet
    rng, release = random.Random(11), release_of(spaces[0])
    sent(hosts, rng, 30, seed=5)
    redis.stop()
    decided, fates = sent(hosts, rng, 30, seed=6)
    assert len(decided) == 30
    assert {fate for here, fate in fates if not here} == {"elsewhere"}
    until(lambda: all(_staleness(host) > 0.5 for host in hosts))
    redis.start()
    expected = one_host(tmp_path, spaces, release)
    assert expected.state.step - expected.base.step == 60
    until(lambda: all(apart(moments(w, release), expected.state.moments) < 1e-9 for w in spaces))
    until(lambda: all(_staleness(host) < 0.5 for host in hosts))


def test_a_store_that_hangs_keeps_no_call_waiting_and_is_followed_again(fleet, tmp_path, redis):
    spaces, hosts = fleet
    rng, release = random.Random(13), release_of(spaces[0])
    sent(hosts, rng, 10, seed=7)
    redis.hang()
    sent(hosts, rng, 20, seed=8)
    until(lambda: all(_staleness(host) > 3 for host in hosts))
    hosts.append(Host(spaces[2], every=0.5))  # a second process of a host begins and ends all the same
    sent(hosts[3:], rng, 5, seed=9)
    hosts.pop().close()
    redis.go_on()
    expected = one_host(tmp_path, spaces, release)
    assert expected.state.step - expected.base.step == 35
    until(lambda: all(apart(moments(w, release), expected.state.moments) < 1e-9 for w in spaces))


def _staleness(host):
    return host.meter._gauges.get(("croupier_fleet_staleness_seconds", ()), -1.0)
