"""What judge's log says: a table of conditions, and no green end where nothing could be judged."""

import pytest

from croupier.models.gate import verdict_text
from tests.models.gate.test_page import judged


def condition(name, passed, value=1.0, **more):
    return {"name": name, "value": value, "relation": ">=", "threshold": 200.0, "passed": passed, **more}


def verdict(conditions=(), failed=None, promoted=""):
    candidates = (
        {
            "lin_ts": {
                "role": "candidate",
                "verdict": "not enough evidence",
                "rows_needed": 1200,
                "lift": {"value": 0.0123, "lower": None, "upper": 0.5},
                "conditions": list(conditions),
            }
        }
        if conditions
        else {}
    )
    body = {"champion": "uniform", "rows": 1500, "alpha": 0.05, "promoted": promoted, "failed": failed or {},
            "policies": {"uniform": {"role": "champion"}, **candidates}}  # fmt: skip
    return {"app": "shop", "summary": "", "evaluation": body}


def test_a_verdict_is_a_table_of_its_conditions():
    rows = [condition("ess", True, 380.25), condition("lift_lower", False, None),
            condition("features_before_decision", None, None, reason="only the drawn arm's probability is known")]  # fmt: skip
    assert verdict_text.table(verdict(rows)).splitlines() == [
        "shop: nothing is promoted: uniform stays; 1,500 rows judged, reward per decision, error 0.05",
        "",
        "lin_ts: not enough evidence; lift 0.0123, from – to 0.5; about 1,200 more rows would tell",
        "  condition                 found  needed",
        "  ess                       380.2   ≥ 200  passed",
        "  lift_lower                    –   ≥ 200  NOT PASSED",
        "  features_before_decision      –   ≥ 200  NOT CHECKED: only the drawn arm's probability is known",
    ]


def test_of_a_real_evaluation_every_condition_has_its_line():
    body = judged()
    text = verdict_text.table({"app": "shop", "summary": "", "evaluation": body})
    assert text.startswith(f"shop: promoted: {body['promoted']}; 4,000 rows judged")
    blocks = {block.partition(":")[0]: block.splitlines() for block in text.split("\n\n")}
    for name, policy in body["policies"].items():
        for each in policy["conditions"]:
            (line,) = [row for row in blocks[name] if row.split()[:1] == [each["name"]]]
            assert {True: " passed", False: " NOT PASSED", None: " NOT CHECKED"}[each["passed"]] in line
    refused = [c for p in body["policies"].values() for c in p["conditions"] if c["passed"] is False]
    assert text.count("NOT PASSED") == len(refused) > 0


def test_what_was_not_judged_says_why():
    found = {"app": "shop", "summary": "not judged: fewer than two rows", "evaluation": None}
    assert verdict_text.table(found) == "shop: not judged: fewer than two rows"
    assert "\nlin_ts: NOT JUDGED: no features" in verdict_text.table(
        verdict([condition("ess", True)], {"lin_ts": "no features"})
    )


def test_an_app_whose_candidates_all_failed_ends_red(capsys):
    well = verdict([condition("ess", False)], {"other": "no features"})
    verdict_text.show([well])
    assert "NOT PASSED" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"^found no candidate that could be judged.*shop: lin_ts: no features"):
        verdict_text.show([well, verdict(failed={"lin_ts": "no features"})])
