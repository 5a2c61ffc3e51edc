"""Personalizer's own JavaScript client, unchanged but for endpoint and key: the joined log, and what is learned of it."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.serving.gateway import ledger, npm_client
from tests.serving.gateway.door import ARMS, KEYS, Gateway, actions, decisions, declared, key_file

TOML = """
[reward]
window_seconds = 5.0
range = [0, 1]
[reward.kinds.click]
[context."device.type"]
type = "categorical"
[arm.colour]
type = "categorical"
[[interactions]]
a = "context.device.type"
b = "arm.colour"
[training]
every = "1s"
[policies]
candidates = ["vw_cb_adf"]
"""
LIKES = {"phone": "red", "desktop": "blue"}


@pytest.mark.medium
@pytest.mark.parametrize("n", [200, pytest.param(1000, marks=pytest.mark.full)])
def test_every_event_is_in_the_joined_log_once_with_its_propensity_and_reward(tmp_path, n):
    work = ledger.questions(n)
    with Gateway(declared(tmp_path), "--keys", str(key_file(tmp_path, *KEYS))) as gateway:
        events = [
            {
                "request": body,
                "activate": fate == "activated",
                "pays": {} if reward is None else dict.fromkeys(ARMS, reward),
            }
            for body, fate, reward in work
        ]
        answers = npm_client.asked(gateway, KEYS[1], events)
        strange = npm_client.asked(gateway, "no-key-of-this-gateway", events[:1], lanes=1)
    ledger.check(tmp_path, work, {answer["eventId"]: answer for answer in answers})
    assert [(each["status"], each["error"]["error"]["code"]) for each in strange] == [(401, "Unauthorized")]


def liked(i):
    """An event that pays eight times of ten for the arm that its device likes, and never for another: VW's training is
    then sure (of 60 the least gap between both scores was .53 ± .12; with six of ten against two, 2 of 25 went wrong)."""
    device = ("phone", "desktop")[i % 2]
    pays = {LIKES[device]: 1.0} if i % 10 < 8 else {}
    request = {"contextFeatures": [{"device": {"type": device}}], "actions": actions(*ARMS), "eventId": f"e{i}"}
    return {"request": request, "activate": False, "pays": pays}


@pytest.mark.slow
def test_the_next_release_is_trained_on_its_events_gated_and_served(tmp_path):
    """Shown at 5 % of events, and by what the users like: probabilities of the candidate differ from uniform's thirds."""
    with Gateway(declared(tmp_path, toml=TOML)) as gateway:
        npm_client.asked(gateway, KEYS[0], [liked(i) for i in range(2700)], lanes=8)
        time.sleep(6)  # the reward window, and a second
        command = [str(Path(sys.executable).with_name("croupier")), "turn", "--app", "shop", "--last", "1h"]
        env = os.environ | {"CROUPIER_VAR": str(tmp_path)}
        said = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
        assert re.search(r"release 2 was published, with vw_cb_adf as its candidate; stage 5%", said)
        until(lambda: gateway.call("GET", "/v1/apps/shop/health")[1]["release"] == 2)
        answers = {a["eventId"]: a for a in npm_client.asked(gateway, KEYS[0], [liked(i) for i in range(3000, 3300)])}
    rows = decisions(tmp_path, answers)
    judged = [row for row in rows.values() if row.role == "candidate"]
    assert {row.release for row in rows.values()} == {2}
    for row in rows.values():  # nobody has the answer of another who asked at the same time
        told = {each["id"]: each["probability"] for each in answers[row.event_id]["ranking"]}
        assert told == pytest.approx(dict(zip(row.arms, row.pmf, strict=True)))
    assert 3 <= len(judged) <= 40
    for row in judged:
        answer, liking = answers[row.event_id], LIKES[row.context["device.type"]]
        assert answer["rewardActionId"] == row.arm
        assert max(answer["ranking"], key=lambda each: each["probability"])["id"] == liking, row


def until(true):
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)
