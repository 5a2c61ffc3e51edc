"""Prices asked by Personalizer's calls: a rank has a margin on record, and a reward of 1 is the profit of a sale."""

import pytest

from croupier.serving.gateway.desk import Desk
from croupier.serving.gateway.options import Options
from croupier.serving.gateway.problems import CallProblem
from tests.serving.gateway.door import declared, joined, reward
from tests.serving.pricing import rooms

pytestmark = pytest.mark.medium
ARMS = {arm.arm_id: arm.features for arm in rooms.WORLD.arms()}
ACTIONS = [{"id": arm, "features": [features]} for arm, features in ARMS.items()]


def test_a_rank_and_its_reward_come_to_a_profit_and_one_without_its_cost_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(declared(tmp_path, toml=rooms.TONIGHT, arms=ARMS)))
    desk = Desk(Options(app="shop"))
    asked = {"actions": ACTIONS, "contextFeatures": [{"trip": "group", "lead": 3.0, "clean": 30.5}]}
    sold, unsold = (desk.rank(asked | {"eventId": event})["rewardActionId"] for event in ("sold", "unsold"))
    reward(desk, "sold", {"value": 1.0})
    with pytest.raises(CallProblem, match=r"contextFeatures\.clean: found None, expected a number from 0 on"):
        desk.rank(asked | {"eventId": "none", "contextFeatures": [{"trip": "group", "lead": 3.0}]})
    with pytest.raises(CallProblem, match="value"):
        reward(desk, "unsold", {"value": 75.0})
    desk.close()
    rows, _ = joined(tmp_path)
    assert rows["sold"]["reward"] == float(sold[5:]) - 30.5 == float(rows["sold"]["margin"])
    assert (rows["unsold"]["reward"], float(rows["unsold"]["margin"])) == (0.0, float(unsold[5:]) - 30.5)
    assert set(rows) == {"sold", "unsold"}
