"""What a host may explore beside a baseline: never more than it was granted, whoever is killed, repeats or goes first."""

import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from croupier.features.schema import Decision
from croupier.models.constraints.allowance import Allowance
from croupier.serving.contract.requests import CANARY, Request
from croupier.serving.spending.exploring import ExploringLeases
from croupier.serving.spending.host_account import HostAccount

NOW, PROMISE = 1_772_323_200_000_000, "0001772323200000-abc"


def allowance(share=0.6, **grants):
    return Allowance(promise=PROMISE, share=share, grants=grants)


def asked(n, unit="u"):
    return [Request(unit_id=unit, context={}, arms=("a", "b"), event_id=f"e{i}") for i in range(n)]


def made(request, at=NOW):
    return Decision(
        event_id=request.event_id,
        at=at,
        unit_id="u",
        context={},
        arms=("a", "b"),
        pmf=(0.5, 0.5),
        arm="a",
        propensity=0.5,
        policy="uniform",
        role="champion",
        release=1,
    )


def decided(leases, requests, held, *, at=NOW, host="h"):
    """The shares in which requests are decided, and put on record."""
    with leases.of(requests, 0.1, held, host) as lease:
        lease.count(requests, [made(r, at) for r in requests], NOW)
        return lease.shares.tolist()


def used(folder, host="h"):
    with HostAccount(folder, f"conservative {host}", PROMISE).open() as account:
        return account.now.spent


def test_what_is_granted_is_explored_and_then_the_free_share(tmp_path):
    leases = ExploringLeases(tmp_path)
    held = allowance(h=2.0)
    assert decided(leases, asked(3), held) == [0.6] * 3
    assert used(tmp_path) == pytest.approx(1.5)
    assert decided(leases, asked(3), held) == [0.6, 0.1, 0.1], "half a reward is left"
    assert decided(leases, asked(3), held) == [0.1] * 3
    assert decided(leases, asked(2), allowance(h=3.0)) == [0.6] * 2, "the next look granted more"
    assert used(tmp_path) == pytest.approx(3.0)


def test_without_an_allowance_or_a_grant_the_share_is_the_free_one(tmp_path):
    leases = ExploringLeases(tmp_path)
    for held in (None, allowance(), allowance(other=5.0), allowance(share=0.1, h=5.0), allowance(share=0.05, h=5.0)):
        assert decided(leases, asked(2), held) == [0.1] * 2
    assert not [*tmp_path.iterdir()], "nothing is counted"


def test_repeats_and_health_checks_are_given_back_and_a_log_that_failed_is_not(tmp_path):
    leases = ExploringLeases(tmp_path)
    held = allowance(h=2.0)
    assert decided(leases, asked(2), held, at=NOW - 1) == [0.6] * 2
    assert decided(leases, asked(2, unit=CANARY), held) == [0.6] * 2
    assert used(tmp_path) == 0.0
    with pytest.raises(OSError, match="disk"), leases.of(asked(2), 0.1, held, "h"):
        raise OSError("disk")
    assert used(tmp_path) == pytest.approx(1.0), "who knows whether they are on record"


def test_accounts_are_of_a_host_and_a_promise(tmp_path):
    leases = ExploringLeases(tmp_path)
    both = allowance(h=1.0, i=1.0)
    assert decided(leases, asked(2), both) == [0.6] * 2
    assert decided(leases, asked(2), both, host="i") == [0.6] * 2
    later = Allowance(promise="0001772323300000-abc", share=0.6, grants={"h": 0.5})
    assert decided(leases, asked(2), later) == [0.6, 0.1]


@pytest.mark.medium
def test_threads_together_never_use_more_than_the_grant(tmp_path):
    leases, held = [ExploringLeases(tmp_path) for _ in range(4)], allowance(h=40.0)
    with ThreadPoolExecutor(4) as pool:
        found = [s for each in pool.map(lambda i: decided(leases[i % 4], asked(7), held), range(40)) for s in each]
    assert np.sum(np.array(found) - 0.1) == pytest.approx(40.0)
    assert used(tmp_path) == pytest.approx(40.0)


def _reserves(folder, held):
    with ExploringLeases(folder).of(asked(4), 0.1, held, "h"):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.medium
def test_what_a_killed_process_had_reserved_stays_counted(tmp_path):
    held = allowance(h=3.0)
    process = multiprocessing.get_context("spawn").Process(target=_reserves, args=(tmp_path, held))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert used(tmp_path) == pytest.approx(2.0)
    assert decided(ExploringLeases(tmp_path), asked(4), held) == [0.6, 0.6, 0.1, 0.1]
