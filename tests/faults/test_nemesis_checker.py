"""The nemesis's judge finds what it is there for: each planted fault, by name, where it is, and nothing else."""

from dataclasses import replace

import pytest

from tests.faults.nemesis import histories
from tests.faults.nemesis.checker import Violation, check, model_share
from tests.faults.nemesis.histories import twice, with_row, without


def kinds(history):
    return {(found.kind, found.event_id) for found in check(history)}


def test_a_clean_history_has_no_violation_and_holds_every_sort_of_event():
    h = histories.clean()
    assert check(h) == []
    assert {row.role for row in h.log} == {"champion", "candidate", "fallback"}
    assert h.account["late"] > 0
    assert model_share(h.answers) == pytest.approx(0.8, abs=0.01)


def test_a_lost_decision():
    h = histories.clean()
    gone = replace(h, log=without(h.log, "e7"), joined=without(h.joined, "e7"))
    lost = {v.detail for v in check(gone) if v.kind == "lost" and v.event_id == "e7"}
    assert lost == {"0 in the log", "0 in the joined log"}
    assert ("lost", "e7") in kinds(replace(h, joined=without(h.joined, "e7")))  # logged, and lost by the join alone
    assert ("unbalanced", "") in kinds(gone)
    assert ("lost", "e9") in kinds(replace(h, log=without(h.log, "e9"), joined=without(h.joined, "e9")))  # a fallback


def test_a_doubled_decision():
    h = histories.clean()
    assert ("doubled", "e7") in kinds(replace(h, joined=twice(h.joined, "e7")))
    assert ("doubled", "e7") in kinds(replace(h, log=twice(h.log, "e7")))
    unanswered = replace(h, answers=[*without(h.answers, "e7"), replace(h.answers[4], asked="e7")])
    assert check(unanswered) == []  # asked, not answered: may be logged
    doubled = replace(unanswered, joined=twice(h.joined, "e7"))
    assert ("doubled", "e7") in kinds(doubled)


def test_a_decision_that_nobody_asked_for():
    h = histories.clean()
    assert kinds(replace(h, answers=without(h.answers, "e7"))) == {("unexpected", "e7")}


def test_a_wrong_propensity():
    h = histories.clean()
    row = next(row for row in h.log if row.role == "champion" and row.propensity == 0.25)
    event = row.event_id
    assert kinds(replace(h, joined=with_row(h.joined, event, propensity=0.5))) == {("wrong answer", event)}
    assert kinds(replace(h, log=with_row(h.log, event, propensity=0.5))) == {
        ("wrong answer", event),
        ("wrong draw", event),
    }
    told = replace(h, answers=with_row(h.answers, event, propensity=0.26))
    assert kinds(told) == {("wrong answer", event)}
    everywhere = replace(
        h,
        log=with_row(h.log, event, propensity=0.5),
        joined=with_row(h.joined, event, propensity=0.5),
        answers=with_row(h.answers, event, propensity=0.5),
    )
    assert kinds(everywhere) == {("wrong draw", event)}  # max(pmf), consistently


def test_an_arm_that_was_not_drawn():
    h = histories.clean()
    event = next(row.event_id for row in h.log if row.role == "champion" and row.arm == "m")
    moved = {"arm": "r"}  # of the same propensity
    h = replace(
        h,
        log=with_row(h.log, event, **moved),
        joined=with_row(h.joined, event, **moved),
        answers=with_row(h.answers, event, **moved),
    )
    assert kinds(h) == {("wrong draw", event)}


def test_a_doubled_and_a_lost_reward():
    h = histories.clean()
    assert kinds(replace(h, joined=with_row(h.joined, "e3", reward_count=2))) == {("doubled reward", "e3")}
    again = kinds(replace(h, paid=twice(h.paid, "e3")))
    assert {("doubled reward", "e3"), ("wrong reward", "e3"), ("unbalanced", "")} <= again
    lost = kinds(replace(h, paid=without(h.paid, "e3")))
    assert {("lost reward", "e3"), ("doubled reward", "e3"), ("unbalanced", "")} <= lost
    assert kinds(replace(h, joined=with_row(h.joined, "e3", reward=0.0, reward_count=0))) == {("wrong reward", "e3")}
    nobody = replace(h, posts=[post for post in h.posts if post.event_id != "e3"])
    assert kinds(nobody) == {("unexpected reward", "e3")}


def test_a_late_reward_that_counts():
    h = histories.clean()
    assert kinds(replace(h, joined=with_row(h.joined, "e12", reward=1.0, reward_count=1))) == {
        ("doubled reward", "e12")
    }


def test_a_wrong_release():
    h = histories.clean()
    assert kinds(replace(h, joined=with_row(h.joined, "e2", release=2))) == {("wrong answer", "e2")}
    wrong = {"release": 3}
    never = replace(
        h,
        log=with_row(h.log, "e58", **wrong),
        joined=with_row(h.joined, "e58", **wrong),
        answers=with_row(h.answers, "e58", **wrong),
    )
    assert kinds(never) == {("wrong release", "e58")}
    row = next(row for row in h.log if row.release == 2 and row.role == "champion")
    exposed = replace(
        h,
        log=with_row(h.log, row.event_id, role="candidate"),
        answers=with_row(h.answers, row.event_id, role="candidate"),
    )
    assert kinds(exposed) == {("wrong release", row.event_id)}  # more units than the journal says
    assert {kind for kind, _ in kinds(replace(h, phases=[]))} == {"wrong release"}


def test_a_caller_that_saw_an_older_release_after_a_newer_one():
    h = histories.clean()
    order = [h.answers[-2], *h.answers[:-2], h.answers[-1]]
    assert {kind for kind, _ in kinds(replace(h, answers=order))} <= {"went back"}
    assert Violation("went back", "e1", "1 after 2") in check(
        replace(h, answers=[replace(h.answers[58], caller="c1"), *h.answers])
    )


@pytest.mark.parametrize("name", [
    "decisions_in", "interactions", "thinned", "rewards_in", "on_time", "late", "orphan", "duplicate", "immature",
    "quarantined", "untimely",
])  # fmt: skip
def test_an_unbalanced_account(name):
    h = histories.clean()
    found = check(replace(h, account=h.account | {name: h.account[name] + 1}))
    assert {v.kind for v in found} == {"unbalanced"}


def test_two_errors_of_an_account_that_cancel():
    h = histories.clean()
    both = h.account | {"on_time": h.account["on_time"] - 1, "late": h.account["late"] + 1}
    assert {v.detail.partition(":")[0] for v in check(replace(h, account=both))} == {"on_time", "late"}


def test_fallbacks_do_not_pass_for_survival():
    h = histories.clean()
    assert model_share([replace(answer, role="fallback") for answer in h.answers]) == 0.0
