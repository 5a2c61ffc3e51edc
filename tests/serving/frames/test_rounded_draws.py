"""Logs of uniform draws, with the shown arm's probability alone, in few digits: the log tells the truth, and is held to."""

import csv
import json
from collections import Counter

import numpy as np
import pytest

from croupier.features.encoding.dataset import encode_interactions
from croupier.features.encoding.encoder import Encoder
from croupier.models.ope import self_tests
from croupier.serving.frames.log_read import Read, read_log

pytestmark = pytest.mark.medium
N = 3000


def encoded(path):
    read = Read(Counter())
    frame, spec, arms = read_log(path, {}, read)
    encoder = Encoder.fit(spec, frame, arms)
    return encode_interactions(frame, encoder, encoder.catalogue(arms)), read


def as_table(folder, drawn, p):
    path = folder / "log.csv"
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["arm", "propensity", "reward"])
        out.writerows((f"arm-{a}", p, int(i % 7 == 0)) for i, a in enumerate(drawn))
    return path


def as_dsjson(folder, drawn, p):
    path, actions = folder / "log.dsjson", [{"Action": {"name": f"arm-{a}"}} for a in range(max(drawn) + 1)]
    lines = [
        {"_label_cost": -int(i % 7 == 0), "_label_probability": float(p), "_labelIndex": int(a),
         "EventId": str(i), "c": {"_multi": actions}}
        for i, a in enumerate(drawn)
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


@pytest.mark.parametrize("written", [as_table, as_dsjson])
@pytest.mark.parametrize(
    ("arms", "p"), [(3, "0.33"), (3, "0.333"), (3, "0.3333"), (6, "0.17"), (7, "0.143"), (9, "0.1111"), (11, "0.09")]
)
def test_draws_whose_probability_is_rounded_are_those_of_the_log(tmp_path, written, arms, p):
    log, read = encoded(written(tmp_path, np.random.default_rng(arms).integers(arms, size=N), p))
    assert log.propensity == pytest.approx(np.full(N, 1 / arms), rel=1e-6)
    assert log.pmf == pytest.approx(np.full((N, arms), 1 / arms), rel=1e-6)
    assert self_tests.propensity(log) > 0.01
    assert read.rounded == [
        f"rows whose propensity is 1/K of their K candidates, as rounding explains: {N:,}; 1/K was taken"
    ]


def test_a_probability_that_no_rounding_explains_stays_and_is_seen(tmp_path):
    log, read = encoded(as_table(tmp_path, np.random.default_rng(1).integers(3, size=N), "0.3"))
    assert log.propensity == pytest.approx(np.full(N, 0.3))
    assert read.rounded == []
    assert self_tests.propensity(log) < 1e-6


def test_what_may_be_meant_as_it_is_stays(tmp_path):
    """.8 of the draws are uniform over 80 arms, the rest another policy's: .01 is no 1/80 in two digits."""
    drawn = np.random.default_rng(1).permutation(np.arange(N) % 80)
    log, read = encoded(as_table(tmp_path, drawn, "0.01"))
    assert log.propensity == pytest.approx(np.full(N, 0.01))
    assert read.rounded == []


def test_a_uniform_probability_of_draws_that_were_not_is_seen(tmp_path):
    log, _ = encoded(as_table(tmp_path, np.random.default_rng(1).choice(3, size=N, p=[0.5, 0.25, 0.25]), "0.333"))
    assert self_tests.propensity(log) < 1e-6


def test_a_log_without_exploration_is_told_so(tmp_path):
    _, read = encoded(as_table(tmp_path, np.random.default_rng(1).integers(3, size=N), "1.0"))
    said = f"rows whose shown arm had probability 1, though there were other candidates: {N:,}; they say nothing of "
    assert read.rounded == [said + "what the others would have earned"]
