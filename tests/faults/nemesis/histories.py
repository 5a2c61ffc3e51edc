"""A small clean history, and ways to spoil it: each is a fault that a broken log, join, server or controller would leave."""

from dataclasses import replace

from croupier.features.ids import uniform01
from tests.faults.nemesis.history import Answer, History, Joined, Logged, Paid, Phase, Post

ARMS, PMF, SALT, ROLLOUT = ("l", "m", "r"), (0.5, 0.25, 0.25), "secret", "rollout-2"
START, SECOND, WINDOW = 1_790_000_000_000_000, 1_000_000, 5_000_000
EVENTS = 60


def arm_of(event):
    u = uniform01(SALT, event)
    return ARMS[0] if u < 0.5 else ARMS[1] if u < 0.75 else ARMS[2]


def logged(i):
    """Event i: every fifth one is a client's fallback; of the others the candidate's units have the candidate."""
    event, unit = f"e{i}", f"unit-{i}"
    row = {"event_id": event, "at": START + i * SECOND, "unit": unit, "arms": ARMS, "pmf": PMF}
    if i % 5 == 4:
        return Logged(**row, arm="m", propensity=0.25, release=0, role="fallback")
    arm = arm_of(event)
    release = 1 if i < EVENTS // 2 else 2
    mine = release == 2 and uniform01(ROLLOUT, unit) < 0.2
    return Logged(
        **row,
        arm=arm,
        propensity=PMF[ARMS.index(arm)],
        release=release,
        role="candidate" if mine else "champion",
        stage="20%" if release == 2 else "none",
    )


def clean():
    """Rewards: of every third event one in time; of every twelfth one that is late; one is sent twice."""
    log = [logged(i) for i in range(EVENTS)]
    paid = [
        Paid(event_id=row.event_id, at=row.at + (9 if i % 12 == 0 else 2) * SECOND, reward_id=f"r{i}", value=1.0)
        for i, row in enumerate(log)
        if i % 3 == 0
    ]
    count = {p.event_id: int(p.at - START - int(p.event_id[1:]) * SECOND <= WINDOW) for p in paid}
    answers = [
        Answer(
            caller=f"c{i % 2}", asked=f"asked-{row.event_id}" if row.role == "fallback" else row.event_id,
            **{name: getattr(row, name) for name in ("event_id", "unit", "arm", "propensity", "release", "role")},
        )
        for i, row in enumerate(log)
    ]  # fmt: skip
    on_time = sum(count.values())
    return History(
        answers=[*answers, answers[1]],
        posts=[Post(event_id=p.event_id, reward_id=p.reward_id, value=p.value, status="accepted") for p in paid]
        + [Post(event_id="e0", reward_id="r0", value=1.0, status="duplicate")],
        log=log,
        paid=paid,
        joined=[
            Joined(
                event_id=row.event_id, arm=row.arm, propensity=row.propensity, release=row.release,
                reward=float(count.get(row.event_id, 0)), reward_count=count.get(row.event_id, 0),
            )
            for row in log
        ],
        account={
            "decisions_in": EVENTS, "interactions": EVENTS, "quarantined": 0, "immature": 0, "decision_duplicates": 0,
            "decisions_malformed": 0, "thinned": 0, "rewards_in": len(paid) + 1, "on_time": on_time,
            "late": len(paid) - on_time, "orphan": 0, "malformed": 0, "undeclared": 0, "outside": 0, "untimely": 0,
            "duplicate": 1,
        },
        phases=[Phase(releases=(2,), stage="20%", share=0.2, salt=ROLLOUT)],
        salts={1: SALT, 2: SALT},
        refused={"decision": 0, "reward": 0, "duplicate": 1},
        window_us=WINDOW,
    )  # fmt: skip


def with_row(rows, event, **changed):
    """The rows, with those of one event changed."""
    return [replace(row, **changed) if row.event_id == event else row for row in rows]


def without(rows, event):
    """The rows but those of one event."""
    return [row for row in rows if row.event_id != event]


def twice(rows, event):
    """The rows, with those of one event a second time."""
    return [*rows, *(row for row in rows if row.event_id == event)]
