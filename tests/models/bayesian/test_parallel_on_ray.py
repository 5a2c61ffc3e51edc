"""The same training by Ray Train on a cluster of this machine: the curve of one process, and a killed one that goes on."""

from dataclasses import dataclass

import numpy as np
import pytest

pytest.importorskip("ray", reason="Ray is an extra: pip install 'croupier[ray]'")

from croupier.features.engines import ray_engine
from croupier.features.engines.engine import LocalEngine
from croupier.features.engines.ray_engine import RayEngine
from croupier.models.bayesian.neural_linear import NeuralLinear
from tests.models.bayesian import trained_together as made

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own deprecations


@dataclass(frozen=True)
class RayKilledOnce(RayEngine):
    """A cluster on which a process of each training is killed once."""

    def together(self, function, job, *, workers, folder):
        super().together(made.killed_once, job, workers=workers, folder=folder)


@pytest.fixture(scope="module", autouse=True)
def cluster():
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_ENGINE", "ray")
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


def test_ray_train_has_the_loss_curve_of_one_process_on_a_million_weights():
    one, errors = made.alone(made.WIDE)
    two, found = made.together(RayEngine(), made.WIDE)
    assert found == pytest.approx(errors, rel=1e-4)
    assert np.linalg.norm(made.weights(two) - made.weights(one)) < 1e-3 * np.linalg.norm(made.weights(one))


def test_a_killed_process_goes_on_to_the_bytes_of_torchrun(tmp_path):
    whole, errors = made.together(LocalEngine(), (40,))
    found, again = made.together(RayKilledOnce(), (40,), checkpoint=tmp_path / "training")
    assert (tmp_path / "killed").read_text().isdigit()
    assert again == [made.MARKED, *errors[1:]]  # the first epoch's is what was kept
    assert (made.weights(found) == made.weights(whole)).all()


def test_what_fails_is_a_runtime_error_with_what_a_worker_said(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_engine, "RETRIES", 0)  # each takes fifteen seconds
    with pytest.raises(RuntimeError, match=r"trained_together:fails: failed on 2 workers") as error:
        RayEngine().together(made.fails, {"folder": "here"}, workers=2, folder=tmp_path)
    assert "ValueError: no training in here" in str(error.value)


def test_a_policy_of_two_workers_trains_on_the_cluster_that_the_setting_names():
    two = NeuralLinear(hidden=(30,), epochs=2, workers=2).learn(made.LOG, seed=1)
    one = NeuralLinear(hidden=(30,), epochs=2).learn(made.LOG, seed=1)
    batch = made.WORLD.requests(40, np.random.default_rng(2), ragged=True)
    assert np.abs(two.pmf(batch) - one.pmf(batch)).max() < 0.02  # votes of 256 draws
