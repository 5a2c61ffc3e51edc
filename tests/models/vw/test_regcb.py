"""RegCB's bounds: VW's sensitivity and halving, by hand, by the cubic they solve, and by law."""

import re

import numpy as np
import pytest
import vowpalwabbit

from croupier.models import exploration
from croupier.models.simulation.synthetic import LinearWorld
from croupier.models.vw import regcb, train
from croupier.models.vw.policy import BilinearPolicy

ONE = np.ones((1, 1))


def rates(squares, scale, *, norm=0.0, weight=0.0):
    return regcb.Rates(
        squares=np.array(squares, dtype=float),
        scale=np.array(scale, dtype=float),
        norm=norm,
        weight=weight,
        learning_rate=2.0,
    )


def test_sensitivity_by_hand():
    """u = [1, 3], x = [1, −2]: sizes 1, 2, 3, 6; error 1.5, gradient 3·size; the pair was left out."""
    known = rates([[7.0, 0.0], [19.0, 1.0]], [[1.0, 4.0], [1.0, np.inf]], norm=10.0, weight=4.0)
    error = np.full((1, 1), 1.5, dtype=np.float32)
    got = regcb.sensitivity(known, np.array([[1.0, 3.0]]), np.array([[[1.0, -2.0]]]), error)
    moved = 1 / (np.sqrt(7 + 9) * 1) + 4 / (np.sqrt(36) * 4) + 9 / (np.sqrt(19 + 81) * 3)  # scale max(seen, size)
    norm = 1 + (2 / 4) ** 2 + 1
    np.testing.assert_allclose(got, [[2 * moved * np.sqrt((4 + 1) / (10 + norm))]], rtol=1e-15)
    without = regcb.sensitivity(known, np.array([[1.0, 0.0]]), np.array([[[1.0, 0.0]]]), error)
    np.testing.assert_allclose(without, [[2 / 4 * np.sqrt(5 / 11)]], rtol=1e-15)


@pytest.mark.parametrize("cost", [-0.5, 0.0, 0.3, 0.9, 1.0, 2.5])
@pytest.mark.parametrize("mellowness", [0.001, 0.05, 0.5])
def test_a_bound_solves_its_equation(cost, mellowness):
    """r²(2e − r) = sensitivity · allowance, as far as VW's halving goes; at both ends alike."""
    known, cost = rates([[40.0]], [[1.0]], norm=99.0, weight=99.0), np.array([[cost]])
    allowed = regcb.allowance(np.ones((1, 3), dtype=bool), mellowness=mellowness, steps=100)
    np.testing.assert_allclose(allowed, [[mellowness * np.log(300)]])
    low = regcb.lowest(cost, allowed, known, ONE, ONE[:, None])
    r = np.linspace(0, 3, 3_000_001)
    error = max(cost.item(), 0) + 1
    s = regcb.sensitivity(known, ONE, ONE[:, None], np.full((1, 1), error, dtype=np.float32)).item()
    reach = r[(r <= error) & (r**2 * (2 * error - r) <= s * allowed.item())].max()
    np.testing.assert_allclose(low, np.clip([[max(cost.item(), 0) - reach]], 0, 1), atol=5e-4)
    assert low >= min(max(cost.item(), 0) - reach, 1) - 1e-6  # it stops short, never beyond
    np.testing.assert_allclose(regcb.highest(1 - cost, allowed, known, ONE, ONE[:, None]), 1 - low, atol=1e-6)


def test_bounds_close_in_with_data_and_open_with_mellowness():
    world = LinearWorld.make(2)
    batch, support = world.requests(200, np.random.default_rng(3)), {}
    for rows, mellowness in ((100, 0.01), (4000, 0.01), (4000, 0.5)):
        learner = BilinearPolicy(preset="regcb_elim", mellowness=mellowness).learn([world.log(rows, 1)])
        support[rows, mellowness] = (learner.pmf(batch) > 0).sum(axis=1).mean()
    assert 1 < support[4000, 0.01] < support[100, 0.01] < batch.mask.sum(axis=1).mean()
    assert support[4000, 0.01] < support[4000, 0.5]


def test_elimination_by_hand():
    low, high = np.array([[0.1, 0.5, 0.3, 0.9]]), np.array([[0.55, 0.8, 0.4, 1.0]])
    mask = np.array([[True, True, True, False]])
    np.testing.assert_array_equal(exploration.eliminate(low, high, mask), [[0.5, 0.5, 0, 0]])


def test_the_normaliser_is_read_where_vw_writes_it(tmp_path):
    """VW's own readable model says the same, in six digits; a file that is laid out otherwise is refused."""
    learner = BilinearPolicy(preset="regcb").learn([LinearWorld.make(2).log(300, 1)])
    (tmp_path / "model.vw").write_bytes(learner.trained.model)
    vowpalwabbit.Workspace(f"-i {tmp_path}/model.vw -t --quiet --readable_model {tmp_path}/model.txt").finish()
    readable = (tmp_path / "model.txt").read_text()
    for name, ours in (("norm normalizer", learner.trained.rates.norm), ("total_weight", learner.trained.rates.weight)):
        assert float(re.search(rf"^{name} (\S+)$", readable, re.MULTILINE)[1]) == float(f"{ours:.6g}") > 1
    with pytest.raises(ValueError, match="found 300 examples in its model, expected 301"):
        train._normaliser(learner.trained.model, 301)
