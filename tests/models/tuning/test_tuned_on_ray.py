"""`Tuner` and shortlists of very many arms on a Ray cluster of this machine: what the loop of one process finds."""

import numpy as np
import pytest

pytest.importorskip("ray", reason="Ray is an extra: pip install 'croupier[ray]'")

from croupier.features import build
from croupier.features.engines.engine import LocalEngine, Results
from croupier.features.engines.ray_engine import RayEngine
from croupier.features.workspace import Workspace
from croupier.models import choosing
from croupier.models.retrieval.parts import top_arms
from croupier.models.tuning import spaces
from croupier.models.tuning.trial import let_go
from croupier.models.tuning.tuner import Tuner, beside
from tests import shop

START, END = "2026-09-21T00:00+00:00", "2026-09-22T00:00+00:00"
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own deprecations


@pytest.fixture(scope="module")
def var(tmp_path_factory):
    """Where apps live, for this process and for those of a cluster of two cores."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_VAR", str(tmp_path_factory.mktemp("var")))
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


def without_seconds(found):
    """What trials came to, without the seconds that they took."""
    return found | {"rungs": [[{k: v for k, v in t.items() if k != "cpu_seconds"} for t in r] for r in found["rungs"]]}


def test_a_tuning_on_the_cluster_is_that_of_the_loop_to_the_bit(var, tmp_path):
    shop.write(1200, seed=3)
    build.collect("shop")
    build.join("shop", START, END)
    key, w = build.encode("shop", START, END)["features"], Workspace.open("shop")
    before = choosing.judged_from(w, build.Features.fetch(w.store, key, tmp_path / "features"))
    configurations = spaces.drawn("lin_ts", 4, seed=0)

    def tuned(engine):
        return without_seconds(beside(Tuner(w, key, before, engine, compares=True), configurations, configurations))

    found = tuned(RayEngine(results=Results(w.store, choosing.RESULTS)))
    kept = w.store.list("results/tuning/")
    assert found["trials"] == 6
    assert found["tuned"]["value"] != found["default"]["value"]
    assert found == tuned(LocalEngine())
    assert found == tuned(LocalEngine(Results(w.store, choosing.RESULTS)))  # goes on with what the cluster has kept
    assert w.store.list("results/tuning/") == kept
    let_go()


def test_the_best_of_very_many_arms_are_those_of_the_loop_to_the_bit(var, tmp_path):
    rng = np.random.default_rng(5)
    np.save(tmp_path / "arms.npy", rng.normal(size=(3000, 6)).astype(np.float32))
    weights = rng.normal(size=6)
    here, there = (
        top_arms(engine, tmp_path / "arms.npy", weights, 20, workers=3).rows for engine in (LocalEngine(), RayEngine())
    )
    assert len(set(here.tolist())) == 20
    assert here.tolist() == there.tolist()
