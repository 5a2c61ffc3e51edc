"""Personalizer's own Python client, unchanged but for endpoint and key: rank, activate, reward, and the joined log."""

import random

import pytest
from azure.cognitiveservices.personalizer import PersonalizerClient
from azure.cognitiveservices.personalizer.models import ErrorResponseException, RankableAction, RankRequest
from msrest.authentication import CognitiveServicesCredentials
from msrest.exceptions import HttpOperationError

from tests.serving.gateway.door import ARMS, KEYS, Gateway, decisions, declared, joined, key_file


def asked(i, rng, *, deferred=False):
    context = [{"device": {"type": rng.choice(["phone", "desktop"])}}, {"hour": rng.randrange(24)}]
    actions = [RankableAction(id=arm, features=[{"colour": arm}, {"affinity": rng.random()}]) for arm in ARMS]
    excluded = [rng.choice(list(ARMS))] if i % 5 == 4 else None
    return RankRequest(
        context_features=context,
        actions=actions,
        excluded_actions=excluded,
        event_id=f"e{i}",
        defer_activation=deferred,
    )


def fate(i):
    """deferred and activated, deferred and rewarded, deferred and never shown, or shown at once."""
    return ("activated", "rewarded", "unseen")[i % 10] if i % 10 < 3 else "shown"


@pytest.mark.medium
@pytest.mark.parametrize("n", [200, pytest.param(1000, marks=pytest.mark.full)])
def test_every_event_is_in_the_joined_log_once_with_its_propensity_and_reward(tmp_path, n):
    rng, shown, answers, paid = random.Random(7), 0, {}, {}
    keys = key_file(tmp_path, *KEYS)
    with Gateway(declared(tmp_path), "--keys", str(keys)) as gateway:
        client = PersonalizerClient(gateway.endpoint, CognitiveServicesCredentials(KEYS[0]))
        for i in range(n):
            request = asked(i, rng, deferred=fate(i) != "shown")
            answers[f"e{i}"] = request, client.rank(request)
            if fate(i) == "activated":
                client.events.activate(f"e{i}")
            if fate(i) == "rewarded" or (fate(i) != "unseen" and rng.random() < 0.5):
                paid[f"e{i}"] = round(rng.random(), 3)
                client.events.reward(f"e{i}", value=paid[f"e{i}"])
        client.close()
    rows, account = joined(tmp_path)
    unseen = {f"e{i}" for i in range(n) if fate(i) == "unseen"}
    assert rows.keys() == answers.keys() - unseen, "what was never activated is no event"
    assert account["decisions_in"] == account["interactions"] == n - len(unseen)
    assert account["rewards_in"] == account["on_time"] == len(paid) > n / 4
    for event_id, row in rows.items():
        request, answer = answers[event_id]
        probabilities = {each.id: each.probability for each in answer.ranking}
        assert answer.event_id == event_id
        assert answer.ranking[0].id == answer.reward_action_id == row["arm"]
        assert (
            row["propensity"]
            == probabilities[row["arm"]]
            == dict(zip(row["arms"], row["pmf"], strict=True))[row["arm"]]
        )
        assert sum(probabilities.values()) == pytest.approx(1.0, abs=1e-9)
        assert probabilities.keys() == ARMS.keys()
        rest = [each.probability for each in answer.ranking[1:]]
        assert rest == sorted(rest, reverse=True)
        for name in request.excluded_actions or []:
            assert (probabilities[name], name in row["arms"]) == (0.0, False)
        assert row["reward"] == paid.get(event_id, 0.0)
        assert row["reward_count"] == (event_id in paid)
        shown += 1
    assert shown == n - len(unseen) > 100


@pytest.mark.medium
def test_its_errors_are_read_by_the_client_as_personalizers(tmp_path):
    with Gateway(declared(tmp_path), "--keys", str(key_file(tmp_path, KEYS[0]))) as gateway:
        client = PersonalizerClient(gateway.endpoint, CognitiveServicesCredentials(KEYS[0]))
        with pytest.raises(ErrorResponseException) as unknown:
            client.rank(RankRequest(actions=[RankableAction(id="pink", features=[])]))
        found = unknown.value.error.error
        assert (found.code, found.target) == ("BadRequest", "actions[0].id")
        assert "croupier arm add ID --app shop" in found.message
        with pytest.raises(HttpOperationError, match="Bad Request"):
            client.events.activate("never-ranked")
        client.events.reward("never-ranked", value=1.0)  # kept: its decision may be on another host
        client.close()
        stranger = PersonalizerClient(gateway.endpoint, CognitiveServicesCredentials("no-key-of-this-gateway"))
        with pytest.raises(ErrorResponseException) as refused:
            stranger.rank(asked(0, random.Random(1)))
        assert (refused.value.response.status_code, refused.value.error.error.code) == (401, "Unauthorized")
        stranger.close()
    assert decisions(tmp_path, ["never-ranked", "e0"]) == {}
