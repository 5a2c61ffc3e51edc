"""Personalizer's own Python client, unchanged but for endpoint and key: rank, activate, reward, and the joined log."""

import pytest
from azure.cognitiveservices.personalizer import PersonalizerClient
from azure.cognitiveservices.personalizer.models import ErrorResponseException, RankableAction, RankRequest
from msrest.authentication import CognitiveServicesCredentials
from msrest.exceptions import HttpOperationError

from tests.serving.gateway import ledger
from tests.serving.gateway.door import KEYS, Gateway, decisions, declared, key_file


def asked(body):
    return RankRequest(
        context_features=body["contextFeatures"],
        actions=[RankableAction(id=each["id"], features=each["features"]) for each in body["actions"]],
        excluded_actions=body["excludedActions"],
        event_id=body["eventId"],
        defer_activation=body["deferActivation"],
    )


def plain(answer):
    ranking = [{"id": each.id, "probability": each.probability} for each in answer.ranking]
    return {"ranking": ranking, "eventId": answer.event_id, "rewardActionId": answer.reward_action_id}


@pytest.mark.medium
@pytest.mark.parametrize("n", [200, pytest.param(1000, marks=pytest.mark.full)])
def test_every_event_is_in_the_joined_log_once_with_its_propensity_and_reward(tmp_path, n):
    work, answers = ledger.questions(n), {}
    keys = key_file(tmp_path, *KEYS)
    with Gateway(declared(tmp_path), "--keys", str(keys)) as gateway:
        client = PersonalizerClient(gateway.endpoint, CognitiveServicesCredentials(KEYS[0]))
        for body, fate, reward in work:
            answer = client.rank(asked(body))
            answers[answer.event_id] = plain(answer)
            if fate == "activated":
                client.events.activate(answer.event_id)
            if reward is not None:
                client.events.reward(answer.event_id, value=reward)
        client.close()
    ledger.check(tmp_path, work, answers)


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
            stranger.rank(asked(ledger.questions(1)[0][0]))
        assert (refused.value.response.status_code, refused.value.error.error.code) == (401, "Unauthorized")
        stranger.close()
    assert decisions(tmp_path, ["never-ranked", "e0"]) == {}
