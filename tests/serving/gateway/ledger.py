"""The account of what a client of Personalizer asked: each event is in the joined log once, as it was answered."""

import random

import pytest

from tests.serving.gateway.door import ARMS, joined


def fate(i):
    """deferred and activated, deferred and rewarded, deferred and never shown, or shown at once."""
    return ("activated", "rewarded", "unseen")[i % 10] if i % 10 < 3 else "shown"


def questions(n, *, seed=7):
    """[(the rank's body, its fate, its reward or None)]: every fifth excludes an action, about half are rewarded."""
    rng = random.Random(seed)
    return [_question(i, rng) for i in range(n)]


def _question(i, rng):
    body = {
        "contextFeatures": [{"device": {"type": rng.choice(["phone", "desktop"])}}, {"hour": rng.randrange(24)}],
        "actions": [{"id": arm, "features": [{"colour": arm}, {"affinity": rng.random()}]} for arm in ARMS],
        "excludedActions": [rng.choice(list(ARMS))] if i % 5 == 4 else [],
        "eventId": f"e{i}",
        "deferActivation": fate(i) != "shown",
    }
    paid = fate(i) == "rewarded" or (fate(i) != "unseen" and rng.random() < 0.5)
    return body, fate(i), round(rng.random(), 3) if paid else None


def check(var, asked, answers):
    """`answers`: event → {"ranking": [{"id", "probability"}], "eventId", "rewardActionId"}."""
    rows, account = joined(var)
    shown = {body["eventId"]: (body, reward) for body, what, reward in asked if what != "unseen"}
    paid = sum(reward is not None for _, reward in shown.values())
    assert len(answers) == len(asked)
    assert rows.keys() == shown.keys(), "what was never activated is no event"
    assert account["decisions_in"] == account["interactions"] == len(shown)
    assert account["rewards_in"] == account["on_time"] == paid > len(asked) / 4
    for event_id, (body, reward) in shown.items():
        _same(rows[event_id], body, answers[event_id])
        assert rows[event_id]["reward"] == (reward or 0.0)
        assert rows[event_id]["reward_count"] == (reward is not None)


def _same(row, body, answer):
    probabilities = {each["id"]: each["probability"] for each in answer["ranking"]}
    assert answer["ranking"][0]["id"] == answer["rewardActionId"] == row["arm"]
    logged = dict(zip(row["arms"], row["pmf"], strict=True))
    assert row["propensity"] == probabilities[row["arm"]] == logged[row["arm"]]
    assert sum(probabilities.values()) == pytest.approx(1.0, abs=1e-9)
    assert probabilities.keys() == ARMS.keys()
    rest = [each["probability"] for each in answer["ranking"][1:]]
    assert rest == sorted(rest, reverse=True)
    for name in body["excludedActions"]:
        assert (probabilities[name], name in row["arms"]) == (0.0, False)
