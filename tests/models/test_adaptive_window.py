"""The window of a training begins at the last change of the users, and nowhere else."""

import tomllib

import numpy as np
import polars as pl
import pytest

from croupier.features.batch import Interactions, concatenate
from croupier.features.encoded.kept import keep
from croupier.features.encoding import catalogue
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.encoding.encoder import Encoder
from croupier.features.interactions.parts.log_parts import LearntLog
from croupier.features.spec import AppSpec
from croupier.features.workspace import Workspace, get_folder
from croupier.features.worlds.reels import World
from croupier.models import adaptive_window, policy, training

SEEDS = range(4)


def log_of(seed: int, old: int, new: int) -> Interactions:
    """`old` rows, then `new` rows of the same users with their tastes reversed; row i is at i seconds."""
    world = World(seed=seed)
    spec = AppSpec.model_validate(tomllib.loads(world.app_toml()))
    before = world.interactions(old, seed=1)
    encoder = Encoder.fit(spec, before, world.arms())
    frames = [before] + ([world.flipped().interactions(new, seed=2)] if new else [])
    catalogue = encoder.catalogue(world.arms())
    log = concatenate([encode_interactions(frame, encoder, catalogue) for frame in frames])
    log.at[:] = np.arange(len(log)) * 1_000_000
    return log


@pytest.mark.medium
@pytest.mark.parametrize("rows", [400, 3000, 12_000])
def test_without_a_change_all_rows_are_learnt(rows: int) -> None:
    seeds = SEEDS if rows < 10_000 else SEEDS[:1]
    assert [adaptive_window.choose(log_of(seed, rows, 0)).since for seed in seeds] == [0] * len(seeds)


@pytest.mark.medium
@pytest.mark.parametrize(("old", "new"), [(9000, 3000), (6000, 6000), (4000, 12_000)])
def test_after_a_change_most_of_what_is_new_is_learnt_and_little_of_what_is_old(old: int, new: int) -> None:
    for seed in SEEDS[:1]:
        chosen = adaptive_window.choose(log_of(seed, old, new))
        began = chosen.since / 1e6
        assert chosen.better > adaptive_window.CERTAIN, seed
        assert old - 0.4 * new <= began <= old + 0.5 * new, (seed, began)


def test_equal_rewards_and_short_logs_say_nothing() -> None:
    log = log_of(1, 3000, 0)
    log.reward[:] = 1.0
    assert adaptive_window.choose(log).since == 0
    assert adaptive_window.choose(log[:1]).since == 0
    assert adaptive_window.choose(log[:0]).since == 0


SMALL = {"hidden": [8], "epochs": 2}  # the bytes tell, not the value


@pytest.mark.medium
@pytest.mark.parametrize(("adapt", "name"), [(True, "lin_ts"), (False, "lin_ts"), (True, "neural_linear")])
def test_a_training_learns_from_the_change_on_if_the_app_lets_it(adapt, name, tmp_path, monkeypatch) -> None:
    """A network begins with what the rows before the change made of it; its head, as others', holds those since."""
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    world, w = World(seed=1), Workspace.open("shop")
    w.home.mkdir()
    toml = world.app_toml()
    part = f'[training]\nadapt = {str(adapt).lower()}\n[policies]\ncandidates = ["{name}"]\n'
    part += "[policies.parameters.neural_linear]\nhidden = [8]\nepochs = 2\n"
    (w.home / "app.toml").write_text(toml[: toml.index("[policies]")] + part)
    catalogue.write(w.home / "catalogue.json", world.arms())
    w = Workspace.open("shop")
    frames = [world.interactions(6000, seed=1), world.flipped().interactions(4000, seed=2)]
    rows = pl.concat(frames).with_columns(pl.int_range(0, 10_000).cast(pl.Int64).alias("at") * 1_000_000)
    encoder = Encoder.fit(w.spec, rows, world.arms())
    end = 10_000_000_000
    log = LearntLog(parts=[rows.with_columns(late_reward=pl.lit(0.0))], rows=len(rows), split_at=6_000_000_000)
    key = keep(w, log, encoder, name="x", facts={"start": "", "end": ""}, end_us=end)["features"]
    training.train("shop", key, name)
    trained = policy.load(get_folder(w.store, f"candidates/{key}/{name}", tmp_path / "trained"))

    whole = encode_interactions(rows, encoder, encoder.catalogue(world.arms()))
    since = adaptive_window.choose(whole).since
    assert since >= 5_000_000_000
    learnt = whole[whole.at >= since] if adapt else whole
    untrained, seed = policy.make(name, **(SMALL if name == "neural_linear" else {})), w.spec.policies.seed
    start = untrained.primed([whole[whole.at < since]], seed=seed) if name == "neural_linear" else untrained
    expected = start.learn([learnt], seed=seed)
    np.testing.assert_allclose(trained.pmf(whole.batch[:200]), expected.pmf(whole.batch[:200]), atol=0.02)
    np.testing.assert_allclose(trained.head.moments.b, expected.head.moments.b, rtol=1e-6, atol=1e-9)
