"""Policies are judged with the rules and limits that they are served with, also on rows from before these were there."""

import tomllib

import numpy as np
import orjson
import pytest

from croupier.features.batch import concatenate
from croupier.features.encoding import dataset, inline
from croupier.features.spec import AppSpec, GateSpec
from croupier.models.constraints.held import DecisionLimits
from croupier.models.gate.evaluation import evaluate
from croupier.models.ope.prequential import Piecewise
from croupier.models.ope.rounds import as_served
from croupier.models.policy import make
from tests.serving import apps
from tests.serving.constrained import DECLARED, GENRE, can_be_met, left_out

FLOOR = 0.02


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """(spec, the log of no rules as it is encoded under today's, read back from its file, rows as dicts)."""
    app = apps.sample()
    spec = AppSpec.model_validate(tomllib.loads(app.world.app_toml() + DECLARED))
    rows = app.world.interactions(1500)
    path = tmp_path_factory.mktemp("rows") / "encoded.parquet"
    rules = inline.ruled_out(spec, app.arms)
    assert dataset.write_log(path, rows, app.encoder, app.arms, rules) == 1500
    chunks = list(dataset.read(path, app.encoder.catalogue(app.arms)))
    return spec, concatenate(chunks), rows.to_dicts()


class Row:
    def __init__(self, row):
        self.context, self.arms = orjson.loads(row["context"]), row["arms"]


def test_rows_of_before_are_marked_with_what_the_rules_would_leave_out(found):
    _, log, rows = found
    expected = np.zeros(log.batch.mask.shape, bool)
    for i, row in enumerate(map(Row, rows)):
        out = left_out(row)
        if len(out) < len(row.arms):
            expected[i, [place for place, arm in enumerate(row.arms) if arm in out]] = True
    np.testing.assert_array_equal(log.batch.left_out, expected)
    assert 100 < expected.any(axis=1).sum() < 1400
    half = log[np.arange(len(log)) % 2 == 0]
    np.testing.assert_array_equal(half.batch.left_out, expected[::2])


def test_a_log_without_rules_is_written_as_before(tmp_path):
    app = apps.sample()
    dataset.write_log(tmp_path / "a", app.world.interactions(200), app.encoder, app.arms, None)
    (chunk,) = dataset.read(tmp_path / "a", app.encoder.catalogue(app.arms))
    assert chunk.batch.left_out is None


def test_what_is_judged_keeps_rules_and_limits(found):
    spec, log, _ = found
    limits = DecisionLimits.declared(spec, apps.sample().arms)
    policy = apps.trained("lin_ts")
    plain, p = as_served(policy, log.batch, FLOOR), as_served(policy, log.batch, FLOOR, limits)
    np.testing.assert_array_equal(p[log.batch.left_out], 0.0)
    genres = np.array([GENRE[arm] for arm in log.batch.catalogue.ids])[log.batch.arm]
    there = log.batch.mask & ~log.batch.left_out
    ids = np.array(log.batch.catalogue.ids)[log.batch.arm]
    met = np.array([can_be_met(ids[row][there[row]]) for row in range(len(log))])
    music = (there & (genres == "music")).any(axis=1) & met
    assert (p * (genres == "music"))[music].sum(axis=1).min() >= 0.25 - 1e-9
    assert (p * (there & (genres == "comedy")))[met].sum(axis=1).max() <= 0.4 + 1e-9
    assert (plain * (genres == "music"))[music].sum(axis=1).min() < 0.1, "it would not have by itself"
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-9)
    piecewise = Piecewise("lin_ts", [(0, lambda: policy)])
    np.testing.assert_array_equal(piecewise.served(log, FLOOR, limits), p)


def test_the_gate_judges_the_policy_within_its_limits(found):
    """Its estimate is that of the pmf which is served: DR by hand, from the evaluation's own predictions' mean."""
    spec, log, _ = found
    limits = DecisionLimits.declared(spec, apps.sample().arms)
    policies = {"uniform": make("uniform"), "lin_ts": apps.trained("lin_ts")}
    asked = {"champion": "uniform", "floor": FLOOR, "gate": GateSpec()}
    kept, free = evaluate(policies, log, limits=limits, **asked), evaluate(policies, log, **asked)
    p = as_served(policies["lin_ts"], log.batch, FLOOR, limits)
    ips = (p[np.arange(len(log)), log.chosen] / log.propensity * log.reward).mean()
    assert kept.policies["lin_ts"].estimates["ips"] == pytest.approx(ips, abs=1e-12)
    assert free.policies["lin_ts"].estimates["ips"] != pytest.approx(ips, abs=1e-4)
