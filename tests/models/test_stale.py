"""A refresh that the log cannot judge goes to its rollout once the champion is old; one that it can judge does not."""

from dataclasses import replace

import pytest

from croupier.models import stale
from croupier.models.gate.gate import REJECT, UNDECIDED, Condition, Verdict
from croupier.models.gate.reports import PolicyReport
from croupier.models.ope.intervals import Bounds
from tests.models.turns import WORLD, log, opened, released, turn

REPORT = PolicyReport(
    role="candidate",
    estimates={},
    bounds=Bounds(0.0, 1.0),
    ess=300.0,
    max_weight_share=0.1,
    unsupported=0.0,
    lift=0.005,
)


def report(*failed: str, lift: float = 0.005, decision: str = UNDECIDED) -> PolicyReport:
    """A refresh that may lose .01, whose bound is below that, and what else is not met."""
    conditions = [
        Condition(name=name, value=-0.02, relation=">", threshold=-0.01, passed=name not in failed)
        for name in {"lift_lower", "ess", "leak_self_test", "guardrail:complaint", *failed}
    ]
    verdict = Verdict(decision=decision, conditions=tuple(conditions), rows_needed=None, alpha=0.05)
    return replace(REPORT, lift=lift, verdict=verdict)


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


@pytest.mark.slow
@pytest.mark.parametrize("after", ["3h", "30d"])
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
