"""The judge of a history under attack, in the manner of Elle (Kingsbury & Alvaro, VLDB 2020): it sees what clients were
told and what was kept, and infers from that alone what cannot have happened. A pure function.

    lost, doubled        an answered decision is in the log, and in the joined log, exactly once
    unexpected           nothing is in the log that nobody asked for
    wrong answer         arm, propensity, release and role are logged and joined as they were answered
    wrong draw           propensity = pmf at the arm; Σ pmf = 1; the arm is the one that salt and event id draw
    wrong release        the release was published; a candidate's unit had its share at a stage of the journal
    went back            no caller saw an older release after a newer one
    lost reward, …       an acknowledged reward is in the log once, and counts for its decision iff it came in time
    unbalanced           the account balances, and its sums are those of the log
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from math import isclose

from croupier.features.ids import uniform01
from tests.faults.nemesis.history import MODEL_ROLES, Answer, History, Joined, Logged

SKEW_US, REACH_US = (
    3_600_000_000,
    30 * 24 * 3_600_000_000,
)  # a reward is its decision's from an hour before to 30 days on


@dataclass(frozen=True, order=True)
class Violation:
    """What cannot be, and where it was seen."""

    kind: str
    event_id: str
    detail: str = ""


def check(h: History) -> list[Violation]:
    """Every violation of a history, in order; [] where it is clean."""
    rules = (_decisions, _answers, _draws, _releases, _order, _rewards, _numbers, _account)
    return sorted({found for rule in rules for found in rule(h)})


def model_share(answers: Iterable[Answer]) -> float:
    """The share of answers that a policy gave. What survives by fallbacks alone has survived nothing."""
    roles = [answer.role in MODEL_ROLES for answer in answers]
    return sum(roles) / len(roles)


def _decisions(h: History) -> Iterator[Violation]:
    logged, joined = (Counter(row.event_id for row in rows) for rows in (h.log, h.joined))
    told = {answer.event_id for answer in h.answers}
    asked = told | {answer.asked for answer in h.answers}
    for event in told:
        for where, copies in (("log", logged), ("joined log", joined)):
            if copies[event] != 1:
                yield Violation("doubled" if copies[event] else "lost", event, f"{copies[event]} in the {where}")
    for event in (logged.keys() | joined.keys()) - told:
        if event not in asked:
            yield Violation("unexpected", event)
        elif logged[event] != 1 or joined[event] != 1:
            yield Violation("doubled", event, f"{logged[event]} in the log, {joined[event]} joined; asked in vain")


def _answers(h: History) -> Iterator[Violation]:
    """Also of one that was asked twice: both answers are those of the log."""
    kept = {row.event_id: row for row in h.log}
    joined = {row.event_id: row for row in h.joined}
    for answer in h.answers:
        for name in ("arm", "propensity", "release", "role", "unit"):
            for rows in (kept, joined):
                row = rows.get(answer.event_id)
                if row is not None and getattr(row, name, getattr(answer, name)) != getattr(answer, name):
                    detail = f"{name} {getattr(answer, name)!r} was answered, {getattr(row, name)!r} is kept"
                    yield Violation("wrong answer", answer.event_id, detail)


def _draws(h: History) -> Iterator[Violation]:
    for row in h.log:
        place = row.arms.index(row.arm)
        if row.pmf[place] != row.propensity or not isclose(sum(row.pmf), 1.0, abs_tol=1e-6):
            yield Violation("wrong draw", row.event_id, f"propensity {row.propensity}, pmf {row.pmf}")
        elif row.release and row.release in h.salts and _drawn(row, h.salts[row.release]) != place:
            yield Violation("wrong draw", row.event_id, f"arm {row.arm} is not the one drawn")


def _drawn(row: Logged, salt: str) -> int:
    cumulative = list(accumulate(row.pmf))
    return bisect_right(cumulative, uniform01(salt, row.event_id) * cumulative[-1])


def _releases(h: History) -> Iterator[Violation]:
    journal = defaultdict(list)
    for phase in h.phases:
        for release in phase.releases:
            journal[release].append(phase)
    for row in h.log:
        if row.release == 0:
            continue
        if row.release not in h.salts:
            yield Violation("wrong release", row.event_id, f"{row.release} was never published")
        elif row.role in ("candidate", "holdout"):
            stages = [p for p in journal[row.release] if p.stage == row.stage]
            if not any(uniform01(p.salt, row.unit) < p.share for p in stages):
                yield Violation("wrong release", row.event_id, f"{row.role} of {row.release} at {row.stage!r}")


def _order(h: History) -> Iterator[Violation]:
    newest: dict[str, int] = defaultdict(int)
    seen: set[str] = set()
    for answer in h.answers:  # in the order of each caller
        if answer.role in MODEL_ROLES and answer.event_id not in seen:
            if answer.release < newest[answer.caller]:
                yield Violation("went back", answer.event_id, f"{answer.release} after {newest[answer.caller]}")
            newest[answer.caller] = max(newest[answer.caller], answer.release)
        seen.add(answer.event_id)


def _rewards(h: History) -> Iterator[Violation]:
    copies = Counter((row.event_id, row.reward_id) for row in h.paid)
    sent = {(post.event_id, post.reward_id): post for post in h.posts}
    for key in sent.keys() | copies.keys():
        if key not in sent:
            yield Violation("unexpected reward", key[0], key[1])
        elif copies[key] != 1:
            yield Violation(
                "doubled reward" if copies[key] else "lost reward", key[0], f"{copies[key]} times: {key[1]}"
            )


def _in_time(h: History) -> dict[str, list[float]]:
    """Values of the rewards that count, by event, in order of time."""
    decided = {row.event_id: row.at for row in h.log}
    found = defaultdict(list)
    for row in sorted(h.paid, key=lambda row: row.at):
        at = decided.get(row.event_id)
        if at is not None and -SKEW_US <= row.at - at <= h.window_us:
            found[row.event_id].append(row.value)
    return found


def _numbers(h: History) -> Iterator[Violation]:
    """Each decision's reward is its first in time, 0 without one, and counts those that came in time."""
    in_time = _in_time(h)
    for row in h.joined:
        values = in_time.get(row.event_id, [])
        if (row.reward, row.reward_count) != (values[0] if values else 0.0, len(values)):
            detail = f"{row.reward} of {row.reward_count} is joined, {values} came in time"
            kind = "doubled reward" if row.reward_count > len(values) else "wrong reward"
            yield Violation(kind, row.event_id, detail)


def _account(h: History) -> Iterator[Violation]:
    found = h.account
    for name, expected in _sums(h, h.joined).items():
        if found[name] != expected:
            yield Violation("unbalanced", "", f"{name}: {found[name]} accounted for, {expected} counted")
    for name, parts in (
        ("decisions_in", ("interactions", "quarantined", "immature", "decision_duplicates", "decisions_malformed",
                          "thinned")),
        ("rewards_in", ("on_time", "late", "orphan", "malformed", "undeclared", "outside", "untimely", "duplicate")),
    ):  # fmt: skip
        if found[name] != sum(found[part] for part in parts):
            yield Violation(
                "unbalanced", "", f"{name} is {found[name]}, its parts sum to {sum(found[p] for p in parts)}"
            )


def _sums(h: History, joined: list[Joined]) -> dict[str, int]:
    decided, refused = {row.event_id: row.at for row in h.log}, Counter(h.refused)
    ages = [row.at - decided[row.event_id] for row in h.paid if row.event_id in decided]
    on_time = sum(-SKEW_US <= age <= h.window_us for age in ages)
    late = sum(h.window_us < age <= REACH_US for age in ages)
    return {
        "decisions_in": len(h.log) + refused["decision"] + h.thinned,
        "interactions": len(joined),
        "decisions_malformed": refused["decision"],
        "thinned": h.thinned,
        "rewards_in": len(h.paid) + refused["reward"] + refused["duplicate"],
        "on_time": on_time,
        "late": late,
        "orphan": len(h.paid) - on_time - late,
        "duplicate": refused["duplicate"],
    }
