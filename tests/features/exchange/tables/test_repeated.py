"""Rows of a table that repeat a draw, since units keep their arm, are marked, and are no evidence of the draws."""

import numpy as np
import polars as pl
import pytest

from croupier.features.exchange.tables.tabular import TableSource
from croupier.features.quality import audit
from croupier.features.quality.audit import ALPHA, KEPT_ARM, PROPENSITY_ONLY

SHARE = np.array([0.8, 0.15, 0.05])
ARMS = np.array(list("abc"))


def table(seed, *, units=100, n=8000, anew=False):
    rng = np.random.default_rng(seed)
    unit, own = rng.integers(0, units, n), rng.choice(3, units, p=SHARE)
    arm = rng.choice(3, n, p=SHARE) if anew else own[unit]
    return pl.DataFrame({
        "event_id": [f"e{i}" for i in range(n)], "user_id": unit, "arm": ARMS[arm], "propensity": SHARE[arm],
        "timestamp": 1_790_000_000 + np.arange(n), "age": unit % 60, "reward": (rng.random(n) < 0.1).astype(float),
    })  # fmt: skip


def source(frame, tmp_path):
    return TableSource(tmp_path / "ab.csv", unit_key="k", columns={}, table=frame)


def evidence(frame, tmp_path):
    """The log-evidence, in nats, that arms were not drawn as logged; and how many rows were asked."""
    decisions = [r.decision for r in source(frame, tmp_path).records()]
    asked = pl.DataFrame(
        {name: [getattr(d, name) for d in decisions] for name in
         ("release", "role", "policy", "stage", "arms", "arm", "propensity", "pmf")}
        | {"allocation": "", "arm_features": ""}
    )  # fmt: skip
    (found,) = audit.evidence(asked).values()
    return found.log_e, found.n


def test_a_unit_s_rows_after_the_first_are_marked(tmp_path):
    frame = table(1)
    made = source(frame.sample(fraction=1.0, shuffle=True, seed=2), tmp_path)
    stages = {r.decision.event_id: r.decision.stage for r in made.records()}
    first = frame.unique("user_id", keep="first", maintain_order=True)["event_id"].to_list()
    assert {e for e, stage in stages.items() if stage == PROPENSITY_ONLY} == set(first)
    assert {stage for e, stage in stages.items() if e not in first} == {KEPT_ARM}
    (said,) = [note for note in made.notes if note.startswith("units keep their arm")]
    assert "8,000 rows are 100 draws" in said


@pytest.mark.parametrize("anew", [table(1, anew=True), table(1).drop("user_id"), table(1).head(1)])
def test_draws_of_their_own_are_not(anew, tmp_path):
    made = source(anew, tmp_path)
    assert KEPT_ARM not in {r.decision.stage for r in made.records()}
    assert not [note for note in made.notes if note.startswith("units keep their arm")]


def test_an_event_that_is_told_twice_is_no_habit(tmp_path):
    once = table(1, anew=True, units=8000)
    assert not source(pl.concat([once, once]), tmp_path).repeats.any()


def test_rows_without_an_id_are_events_of_their_own(tmp_path):
    frame = table(1).with_columns(event_id=pl.lit(None, pl.String))
    assert source(frame, tmp_path).repeats.sum() == 8000 - 100


def test_what_is_no_row_of_a_unit_is_left_alone(tmp_path):
    frame = table(1).with_columns(user_id=pl.when(pl.int_range(pl.len()) < 10).then(None).otherwise("user_id"))
    made = source(frame, tmp_path)
    assert not made.repeats[:10].any()
    assert made.repeats.sum() == 8000 - 10 - 100


def test_a_true_ab_test_is_not_accused_and_a_false_one_is(tmp_path):
    loud = np.log(1 / ALPHA)
    for seed in (4, 6):
        nats, n = evidence(table(seed), tmp_path)
        assert (nats < loud, n) == (True, 100)
    strangers = [table(seed).with_columns(user_id=pl.int_range(8000)) for seed in (4, 6)]
    assert min(evidence(frame, tmp_path)[0] for frame in strangers) > loud, "the same rows, as draws of their own, are"
    said = pl.col("arm").replace_strict({"a": 0.9, "b": 0.07, "c": 0.03})
    false = table(1, units=4000).with_columns(propensity=said)
    assert evidence(false, tmp_path)[0] > loud
