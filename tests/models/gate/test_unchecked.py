"""A check that could not be made is a line of the verdict, with its reason, and never counts as passed."""

import json
import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from croupier.features.spec import AppSpec, GateSpec
from croupier.models.gate.evaluation import Asked, evaluate
from croupier.models.gate.gate import judge
from croupier.models.gate.gate_page import render
from croupier.models.gate.guardrails import guarded
from croupier.models.ope.leaks import tested as leaks
from croupier.models.ope.unchecked import Unchecked
from croupier.models.policy import make
from croupier.models.training import summary
from tests.models.gate.test_gate import GOOD
from tests.models.ope.test_leaks import log_of, nothing, price_shown


def verdict(log, **more):
    policies = {"uniform": make("uniform"), "c": make("fixed_arm", arm="c")}
    body = evaluate(policies, log, champion="uniform", floor=0.0, gate=GateSpec(), **more).to_dict()
    return body, {c["name"]: c for c in body["policies"]["c"]["conditions"]}


def test_a_log_with_one_propensity_a_row_says_what_it_could_not_be_asked():
    body, conditions = verdict(log_of(8000, seed=2, columns=nothing, whole=False))
    for name in ("propensity_self_test:likeliest_arm", "support"):
        assert (conditions[name]["passed"], conditions[name]["value"], conditions[name]["blocks"]) == (
            None,
            None,
            False,
        )
        assert conditions[name]["reason"] == "the log has the drawn arm's probability alone"
    assert body["promoted"] == "c", "what other conditions cover keeps nobody out"
    assert "not checked: propensity_self_test:likeliest_arm, support" in summary(body)
    page = " ".join(render(json.loads(json.dumps(body))).split())
    assert page.index("<h2>Not checked</h2>") < page.index("Lift over uniform")
    assert page.count("not checked, because the log has the drawn arm&#39;s probability alone. It does not stand") == 2


def test_a_log_with_the_whole_pmf_has_nothing_to_state():
    body, conditions = verdict(log_of(8000, seed=2, columns=nothing, whole=True))
    assert [c for c in conditions.values() if c["passed"] is None] == []
    assert "Not checked" not in render(body)


@pytest.mark.parametrize("rows", [60, 150])
def test_where_no_test_of_the_draw_could_be_made_nothing_is_promoted(rows):
    """Arms of probability .002 in a few hundred rows: neither the balance of features nor the estimators can be tested."""
    log = log_of(rows, seed=3, columns=price_shown, whole=False, floor=0.006)
    gate = GateSpec(min_rows=10, min_ess=1, max_weight_share=1.0)
    found = evaluate(
        {"uniform": make("uniform"), "c": make("fixed_arm", arm="c")}, log, champion="uniform", floor=0.0, gate=gate
    )
    of_c = found.policies["c"].verdict
    open_ = {c.name: c for c in of_c.conditions if c.passed is None}
    balance = f"{leaks.NAME}:balance" if rows >= 100 else leaks.NAME
    assert open_[balance].blocks
    assert open_["estimators_agree"].blocks
    assert "too few" in open_["estimators_agree"].reason
    assert {balance, "estimators_agree"} <= set(of_c.failed)
    assert of_c.decision == "not enough evidence"


def test_every_arm_may_be_rare_if_arms_are_tested_together():
    """80 arms drawn 12 times each: no single arm says anything, half of them together do."""
    rng, n, K = np.random.default_rng(0), 1000, 80
    log = log_of(n, seed=5, columns=nothing, whole=True)
    arm = rng.integers(K, size=n)
    shown = (arm % 7 - 3.0 + rng.normal(size=n)).astype(np.float32)
    cat = replace(log.batch.catalogue, ids=tuple(map(str, range(K))), features=np.eye(K, dtype=np.float32))
    batch = replace(
        log.batch,
        arm=np.tile(np.arange(K), (n, 1)),
        mask=np.ones((n, K), bool),
        catalogue=cat,
        pair=np.zeros((n, K, 0), np.float32),
    )
    log = replace(
        log,
        batch=batch,
        chosen=arm,
        propensity=np.full(n, 1 / K),
        pmf=np.full((n, K), 1 / K),
        reward=(rng.random(n) < 0.1 + 0.1 * (arm % 7 > 4)).astype(float),
    )
    assert leaks.tested(log).p > 0.01
    assert leaks.tested(log).unchecked == ()
    known = np.column_stack([batch.context, shown])
    found = leaks.tested(replace(log, batch=replace(batch, context=known)))
    assert (found.p < 1e-9, found.suspect) == (True, known.shape[1] - 1)


def test_a_named_feature_stands_in_the_verdict():
    log = log_of(8000, seed=1, columns=price_shown)
    _, conditions = verdict(log, asked=Asked(features=["a", "b", "c", "context.price"]))
    assert conditions[leaks.NAME]["reason"] == "most suspected: context.price"


@pytest.mark.parametrize("blocks", [True, False])
def test_an_unchecked_condition_is_open_and_counts_as_not_passed_only_if_it_blocks(blocks):
    why = Unchecked(name="data_quality", reason="nobody looked", blocks=blocks)
    found = judge(replace(GOOD, unchecked=(why,)), GateSpec())
    (condition,) = (c for c in found.conditions if c.name == "data_quality")
    assert (condition.passed, condition.reason, found.unchecked) == (None, "nobody looked", ("data_quality",))
    assert found.decision == ("not enough evidence" if blocks else "promote")
    assert found.failed == (("data_quality",) if blocks else ())
    assert found.rows_needed == (None if blocks else 0)


@pytest.mark.parametrize("total", [math.nan, math.inf, 1.5, -0.5])
def test_totals_that_are_no_number_or_outside_block_by_name(total):
    spec = AppSpec.model_validate({"rollout": {"guardrails": {"complaint": "higher"}}})
    found = guarded(spec, pl.DataFrame({"complaint": [0.0, total, 1.0]}))
    assert (dict(found.values), [u.blocks for u in found.unchecked]) == ({}, [True])
    assert f"1 of 3 decisions, such as {total:g}" in found.unchecked[0].reason
