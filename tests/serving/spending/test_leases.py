"""A day's budget on a host: never a unit more, whoever is killed, however many processes, and however demand jumps."""

import multiprocessing
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from croupier import Client, Embedded
from croupier.features import build, clock
from croupier.features.spec import RewardSpec
from croupier.features.utc import HOUR, from_us
from croupier.models.constraints import kept_multipliers
from croupier.models.constraints.long_run import Usage
from croupier.models.constraints.multipliers import Multipliers
from croupier.serving.constraints import controller
from croupier.serving.constraints.spent import spent_on
from croupier.serving.contract.requests import Request
from croupier.serving.decide.price_reader import mirror
from croupier.serving.decide.replay import replay
from croupier.serving.operate import deployment
from croupier.serving.spending.host_account import HostAccount, SpentHere
from croupier.serving.spending.leases import SpendingLeases, may_spend
from croupier.serving.triton.server import Ports, TritonServer

COST = {"free": 0.0, "cheap": 1.0, "dear": 3.0}
USAGE = Usage(constraint="ads", of={"cheap": 1.0, "dear": 3.0}, limit=0.0, budget=10.0)
BEGIN, DAY = 1_772_323_200_000_000, "2026-03-01"
ARMS = {arm: {"cost": cost} for arm, cost in COST.items()}
TOML = '[arm.cost]\ntype = "numeric"\n[[constraints]]\nname = "ads"\nkind = "spend"\nbudget = 300\ncost = "cost"\n'
MANY = [(3, ()), (2, ()), (2, ()), (2, ()), (1, ()), (1, ()), (1, ()), (1, ()), (7, ("ads",))]
NONE = Multipliers(version=0, prices={})


def asked(n, arms=("free", "dear"), first=0):
    return [Request(unit_id="u", context={}, arms=arms, event_id=f"e{first + i}") for i in range(n)]


def leased(leases, requests, *, spends, budgets=None, day=DAY, prices=NONE):
    """(rows, stopped) of each lease, whose decisions spent `spends` each."""
    found = []
    for lease in leases.of(requests, budgets or {"ads": USAGE}, prices, day):
        n = lease.rows.stop - lease.rows.start
        for name in lease.usages:
            lease.spent[name] = spends * n
        found.append((n, lease.stopped))
    return found


def spent_by(folder, name="ads", day=DAY):
    with HostAccount(folder, name, day).open() as account:
        return account.now.spent


def test_the_dearest_arm_of_each_request_is_reserved_and_what_was_not_spent_is_given_back(tmp_path):
    leases = SpendingLeases(tmp_path)
    assert leased(leases, asked(2), spends=1.0) == [(2, ())]
    assert spent_by(tmp_path) == 2.0
    assert leased(leases, asked(5), spends=3.0) == [(2, ()), (3, ("ads",))], "8 are left: two may cost 3 each"
    assert spent_by(tmp_path) == 8.0
    assert leased(leases, asked(3, ("free", "cheap")), spends=1.0) == [(2, ()), (1, ("ads",))]
    assert leased(leases, asked(4, ("free",)), spends=0.0) == [(4, ())], "what costs nothing needs no room"
    assert leased(leases, asked(20), spends=0.5, day="2026-03-02") == MANY
    assert len([*tmp_path.iterdir()]) == 1, "yesterday's account is gone"


def test_two_budgets_stop_by_themselves(tmp_path):
    other = Usage(constraint="gifts", of={"dear": 1.0}, limit=0.0, budget=2.0)
    found = leased(SpendingLeases(tmp_path), asked(5), spends=1.0, budgets={"ads": USAGE, "gifts": other})
    assert found == [(2, ()), (2, ("gifts",)), (1, ("gifts",))]


def test_hosts_that_share_a_budget_never_spend_more_together():
    """Two hosts, 100 in all, of which 40 are left by the look: each may spend 20 from there."""
    shared = Multipliers(version=4, prices={}, day=DAY, left={"ads": 40.0}, hosts=2)
    assert may_spend(100.0, "ads", SpentHere(25.0, 4, 25.0), shared, DAY) == pytest.approx(20.0)
    assert may_spend(100.0, "ads", SpentHere(40.0, 4, 25.0), shared, DAY) == pytest.approx(5.0)
    assert may_spend(100.0, "ads", SpentHere(10.0, 4, 0.0), shared, "2026-03-02") == pytest.approx(40.0), (
        "half of a day"
    )
    alone = replace(shared, hosts=1)
    assert may_spend(100.0, "ads", SpentHere(5.0, 4, 0.0), alone, DAY) == pytest.approx(35.0), "the log knows of 60"
    assert may_spend(100.0, "ads", SpentHere(85.0, 4, 65.0), alone, DAY) == pytest.approx(15.0)


def _spend(folder, seconds):
    """Spends a dear arm's cost again and again, and holds what it has reserved for a while."""
    leases, until = SpendingLeases(folder), time.monotonic() + seconds
    budget = {"ads": replace(USAGE, budget=3000.0)}
    while time.monotonic() < until:
        for lease in leases.of(asked(4), budget, NONE, DAY):
            if not lease.stopped:
                with (folder / "shown").open("ab", buffering=0) as log:
                    log.write(b"x" * (lease.rows.stop - lease.rows.start))  # 3 each, on record before it is settled
                time.sleep(0.01)  # most are killed here
                lease.spent["ads"] = 3.0 * (lease.rows.stop - lease.rows.start)


@pytest.mark.medium
def test_processes_that_are_killed_in_the_middle_never_spend_more_than_the_budget(tmp_path):
    """Three processes count in one account; each is killed (SIGKILL) and another takes its place, until all is spent."""
    context, kills, rng = multiprocessing.get_context("fork"), 0, np.random.default_rng(1)
    running = [context.Process(target=_spend, args=(tmp_path, 60.0)) for _ in range(3)]
    for each in running:
        each.start()
    while spent_by(tmp_path) < 2990 and kills < 40:
        time.sleep(rng.uniform(0.02, 0.1))
        victim = running.pop(0)
        os.kill(victim.pid, signal.SIGKILL)
        victim.join()
        kills += 1
        running.append(context.Process(target=_spend, args=(tmp_path, 60.0)))
        running[-1].start()
    for each in running:
        os.kill(each.pid, signal.SIGKILL)
        each.join()
    shown = 3.0 * (tmp_path / "shown").stat().st_size
    assert kills > 0
    assert 0 < shown <= 3000
    assert shown >= spent_by(tmp_path) - 12 * (kills + 3), "each that was killed leaves at most its own batch counted"


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    with Embedded.declared("shop", toml=TOML, arms=ARMS, var=tmp_path) as found:
        yield found


def decided(shop, at, n, first):
    """What n requests at this time cost."""
    with clock.at(at):
        answers = shop.select_batch(asked(n, tuple(ARMS), first))
    return sum(COST[answer.arm] for answer in answers)


def look(shop, at):
    with clock.at(at):
        build.collect("shop")
        controller.move(shop.host.w, now=from_us(at))
        mirror(shop.host.w.store, shop.host.w.home)
        shop.host.selector._prices._looked = -np.inf


@pytest.mark.medium
def test_a_jump_of_demand_to_ten_times_while_nobody_looks_for_six_hours_spends_no_more_than_the_budget(shop):
    """4 an hour, 40 from the second on; looks at the beginning, and then none: the host stops by itself."""
    spent = decided(shop, BEGIN, 4, 0)
    look(shop, BEGIN + 1)
    assert kept_multipliers.now(shop.host.w.store).multipliers.left == {"ads": 300 - spent}
    spent += sum(decided(shop, BEGIN + hour * HOUR, 40, 40 * hour) for hour in range(1, 8))
    assert 297 < spent <= 300
    assert decided(shop, BEGIN + 9 * HOUR, 40, 1000) <= 300 - spent
    repeated = decided(shop, BEGIN + 9 * HOUR, 4, 0)
    assert repeated > 0, "an event that is asked for again has its first answer"


@pytest.mark.medium
def test_a_host_that_has_lost_its_account_goes_by_the_log(shop):
    spent = decided(shop, BEGIN, 200, 0)
    look(shop, BEGIN + 1)
    for file in (shop.host.w.home / "spending").iterdir():
        file.unlink()
    shop.host.selector._prices.leases = SpendingLeases(shop.host.w.home / "spending")
    assert spent + decided(shop, BEGIN + 2, 200, 1000) <= 300


def _looks(var, stop):
    os.environ["CROUPIER_VAR"] = str(var)
    from croupier.features.workspace import Workspace

    w, at = Workspace.known("shop"), BEGIN + HOUR
    while not stop.is_set():
        at += 60_000_000
        controller.move(w, now=from_us(at))


@pytest.mark.slow
def test_a_controller_that_is_killed_in_the_middle_of_a_step_leaves_whole_prices_of_every_version(shop, tmp_path):
    """Each version that was ever in force can be read, by who replays, and the next look goes on from it."""
    spent = sum(decided(shop, BEGIN + hour * HOUR, 30, 100 * hour) for hour in range(2))
    look(shop, BEGIN + HOUR)
    context, rng, store = multiprocessing.get_context("spawn"), np.random.default_rng(2), shop.host.w.store
    for first in range(3):
        victim = context.Process(target=_looks, args=(tmp_path, context.Event()))
        victim.start()
        time.sleep(2.5 + rng.uniform(0, 1))
        os.kill(victim.pid, signal.SIGKILL)
        victim.join()
        kept = kept_multipliers.now(store)
        for version in range(1, kept.multipliers.version + 1):
            assert kept_multipliers.of_version(store, version).version == version
        spent += decided(shop, BEGIN + HOUR, 5, 1000 + 10 * first)
        look(shop, BEGIN + 2 * HOUR + first)
        assert kept_multipliers.now(store).multipliers.version >= kept.multipliers.version
        assert spent_on(store, {"ads": replace(USAGE, budget=300.0)}, from_us(BEGIN + 3 * HOUR)).spent == {"ads": spent}


@pytest.mark.medium
def test_two_hosts_that_share_a_store_spend_no_more_than_what_was_not_shipped_at_a_look(tmp_path, monkeypatch):
    """Each counts by itself; the controller tells them how much is left, and that they are two."""
    store, apps, spent = str(tmp_path / "store"), [], []
    monkeypatch.setenv("CROUPIER_UNIT_KEY", "0123456789abcdef0123456789abcdef")
    for name in ("a", "b"):
        monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / name))
        monkeypatch.setenv("CROUPIER_STORE", store)
        apps.append(Embedded.declared("shop", toml=TOML, arms=ARMS, var=tmp_path / name))
    try:
        for hour in range(6):
            for k, app in enumerate(apps):
                monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "ab"[k]))
                spent.append(decided(app, BEGIN + hour * HOUR, 25, 100 * (2 * hour + k)))
                look(app, BEGIN + hour * HOUR + 1 + k)
            for app in apps:
                mirror(app.host.w.store, app.host.w.home)
                app.host.selector._prices._looked = -np.inf
        kept = kept_multipliers.now(apps[0].host.w.store).multipliers
    finally:
        for app in apps:
            app.close()
    assert kept.hosts == 2
    assert 290 < sum(spent) <= 300
    assert min(sum(spent[0::2]), sum(spent[1::2])) > 100, "each had its part"


@pytest.mark.slow
def test_instances_of_triton_count_together_and_stop_at_the_budget(shop, monkeypatch):
    """600 requests from four threads, to servers that nobody looks at: about 800 by themselves, of a budget of 300."""
    home = shop.host.w.home
    monkeypatch.setenv("CROUPIER_PATIENCE_MS", "60000")  # of a busy machine
    deployment.follow(shop.host.w.store, home, triton=None)
    with (
        TritonServer(home, ports=Ports.free()) as triton,
        Client(triton.grpc, deadline_ms=30_000) as client,
        ThreadPoolExecutor(4) as threads,
    ):
        parts = [asked(10, tuple(ARMS), 10 * k) for k in range(60)]
        answers = [a for part in threads.map(client.select_batch, parts) for a in part]
    assert {a.role for a in answers} == {"champion"}
    decisions = shop.host.spool.find([a.event_id for a in answers])
    assert len(decisions) == 600
    spent = sum(COST[a.arm] for a in answers)
    assert 300 - 3 * 12 < spent <= 300, "leases that were open when the last was refused may leave a little"
    stopped = [d for d in decisions.values() if d.stopped]
    assert {tuple(d.pmf) for d in stopped} == {(1.0, 0.0, 0.0)}
    assert len(stopped) > 100
    with HostAccount(home / "spending", "ads", next((home / "spending").iterdir()).name[:10]).open() as account:
        assert account.now.spent == spent
    for decision in (stopped[0], next(d for d in decisions.values() if not d.stopped)):
        release = shop.host.selector.release
        steps = replay(decision, load=lambda _, release=release: release, spool=shop.host.spool, spec=RewardSpec())
        assert all(step.holds for step in steps), steps
