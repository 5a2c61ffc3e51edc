"""A refresh that the log cannot judge goes to its rollout once the champion is old; one that it can judge does not."""

import pytest

from croupier.features import clock
from croupier.features.utc import HOUR
from croupier.models import stale
from croupier.models.gate.gate import REJECT
from tests.models.reports import REPORT, report
from tests.models.turns import WORLD, log, opened, released, turn


@pytest.mark.parametrize(("found", "expected"), [
    (report("lift_lower"), True),
    (report("lift_lower", "ess", "rows"), True),
    (report("lift_lower", lift=-0.011), False),
    (report("lift_lower", decision=REJECT), False),
    (report("lift_lower", "leak_self_test"), False),
    (report("propensity_self_test"), False),
    (report("lift_lower", "guardrail:complaint"), False),
    (report("lift_lower", "data_quality"), False),
    (REPORT, False),
    (None, False),
])  # fmt: skip
def test_only_too_little_evidence_hands_a_refresh_to_its_rollout(found, expected):
    assert stale.undecidable(found) == expected


def test_a_champion_trained_by_a_clock_that_was_ahead_is_an_old_one():
    """Its process would begin in a year, and judge no row until then."""
    with clock.at(7):
        assert [stale.believed(at) for at in (3, 7 + HOUR, 8 + HOUR)] == [3, 7 + HOUR, 0]


@pytest.mark.slow
@pytest.mark.parametrize("after", ["3h", pytest.param("30d", marks=pytest.mark.full)])
def test_a_refresh_that_waited_is_judged_by_its_rollout(after, tmp_path, monkeypatch):
    w = opened(tmp_path, monkeypatch, f'every = "1h"\nmargin = 0.001\nafter = "{after}"')
    log(w, WORLD, 0, 4)
    key, _ = turn(4)
    released(w, key, tmp_path)
    kinds = []
    for hour in (4, 5, 6):
        log(w, WORLD, hour, 1)
        _, verdict = turn(hour + 1)
        kinds.append(verdict["kind"])
    waited = after == "3h"
    assert kinds == ["", "", "refresh" if waited else ""], "a margin of a thousandth is nothing that three hours show"
    assert verdict["promoted"] == ("lin_ts" if waited else "")
    assert verdict["outcome"]["published"] == waited
    assert ("the champion is old" in verdict["summary"]) == waited
    assert "changed" not in verdict
