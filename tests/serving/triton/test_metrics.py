"""What the server says about itself: counters that match what was asked, and nothing about a unit."""

import json
import re
import time
import urllib.request

import pytest

from croupier.models.baselines import FixedArm, Uniform
from croupier.serving.client.client import Client
from croupier.serving.client.messages import CANARY_COLUMNS
from croupier.serving.decide.metrics import METRICS
from croupier.serving.triton.server import Ports
from tests.serving import apps
from tests.serving.ended_at_once import EndedAtOnce


def scrape(triton):
    with urllib.request.urlopen(f"http://127.0.0.1:{triton.ports.metrics}/metrics") as reply:
        text = reply.read().decode()
    found = {}
    for line in text.splitlines():
        if match := re.match(r"(croupier_\w+)(?:{([^}]*)})? (\S+)", line):
            found[match[1], frozenset((match[2] or "").split(","))] = float(match[3])
    return text, found


@pytest.mark.slow
def test_triton_counts_what_it_was_asked(tmp_path):
    apps.write(tmp_path, apps.trained("neural_linear"), FixedArm(arm="reel-04"), share=0.5)
    requests = apps.sample().requests(40)
    with EndedAtOnce(tmp_path, ports=Ports.free()) as triton, Client(triton.grpc, deadline_ms=10_000) as client:
        answers = [
            client.select(unit_id=r.unit_id, context=r.context, arms=r.arms, arm_context=r.arm_context)
            for r in requests
        ]
        client.reward(event_id=answers[0].event_id, kind="click", value=1.0)
        client.reward(event_id=answers[0].event_id, kind="click", value=1.0)
        bad = ("BYTES", [b"{"])
        assert client.call("select_arm", dict(CANARY_COLUMNS) | {"unit_id": ("BYTES", [b"u-secret"]), "context": bad})[
            "error"
        ][0]
        for _ in range(6):  # canaries count nowhere
            client.call("select_arm", CANARY_COLUMNS)
        time.sleep(2.5)  # every process pushes once a second
        text, found = scrape(triton)
    roles = {role: sum(a.role == role for a in answers) for role in ("champion", "candidate")}
    for role, policy in (("champion", "neural_linear"), ("candidate", "fixed_arm")):
        labels = frozenset([f'policy="{policy}"', 'release="1"', f'role="{role}"'])
        assert found["croupier_decisions_total", labels] == roles[role]
    assert found["croupier_rewards_total", frozenset(['fate="accepted"'])] == 1
    assert found["croupier_rewards_total", frozenset(['fate="duplicate"'])] == 1
    assert found["croupier_rejects_total", frozenset(['field="context"', 'model="select_arm"'])] == 1
    types = dict(re.findall(r"# TYPE (croupier_\w+) (\w+)", text))
    assert types == {name: METRICS[name].kind for name in types}
    assert set(types.values()) == {"gauge", "counter"}
    shown = {name: {label.partition("=")[0] for label in labels if label} for name, labels in found}
    assert shown == {name: set(METRICS[name].labels) for name in shown}
    assert found["croupier_spool_unshipped_rows", frozenset([""])] >= 40
    for stage in ("decode", "encode", "record", "score champion"):
        count = found["croupier_stage_batches_total", frozenset([f'stage="{stage}"'])]
        assert count > 5
        assert found["croupier_stage_within_total", frozenset([f'stage="{stage}"', 'le="+Inf"'])] == count
    log = (tmp_path / "triton.log").read_text()
    for secret in ("u-secret", *(r.unit_id for r in requests[:5])):
        assert secret not in text
        assert secret not in log


@pytest.mark.slow
def test_a_failing_champion_is_logged_as_json_without_the_unit(tmp_path):
    """A release whose champion cannot score these requests: the log line says what failed, not for whom."""
    release = apps.write(tmp_path, apps.trained("neural_linear"))
    policy = tmp_path / "triton" / "select_arm" / "1" / "champion" / "policy.json"
    assert release.champion.name in policy.read_text()
    from dataclasses import replace

    from croupier.features.log.spool import Spool
    from croupier.serving.decide.selector import Selector
    from croupier.serving.triton.json_logs import JsonLines

    class Broken(Uniform):
        def pmf(self, batch):
            raise RuntimeError("no such tensor")

    import io
    import logging

    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("croupier.serving.decide.scoring")
    logger.addHandler(handler)
    spool = Spool(tmp_path / "log.db")
    try:
        Selector(replace(release, champion=Broken()), recorder=spool, rollout=None, unit_key="k").select(
            apps.sample().requests(3)
        )
    finally:
        logger.removeHandler(handler)
        spool.close()
    line = json.loads(stream.getvalue().splitlines()[0])
    assert (line["level"], line["message"]) == ("ERROR", "champion failed")
    assert "no such tensor" in line["exception"]
    assert "user-" not in stream.getvalue()
