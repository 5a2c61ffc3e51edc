"""VW parity: our tensors give VW's own scores and probabilities to 1e-5, before and after save and load."""

from dataclasses import replace

import numpy as np
import pytest
import vowpalwabbit

from croupier.models import policy
from croupier.models.simulation.synthetic import LinearWorld
from croupier.models.vw import train
from croupier.models.vw.policy import PRESETS, BilinearPolicy

pytestmark = pytest.mark.medium  # a second each, or many of them: not in `make check`

WORLD = LinearWorld.make(1, arms=9, candidates=5, d_u=4, d_a=5, d_p=2)
LOG = WORLD.log(2000, 3)


def vw_pmf(learner, batch, folder):
    """(B, K): what VW itself answers, from its own model file: not with -t, under which it drops its learning rates,
    and with them RegCB's bounds."""
    (folder / "peer.vw").write_bytes(learner.trained.model)
    vw = vowpalwabbit.Workspace(f"-i {folder / 'peer.vw'} --quiet")
    out = np.zeros(batch.mask.shape)
    for row, text in enumerate(train.text(batch).strip().split("\n\n")):
        out[row, np.flatnonzero(batch.mask[row])] = vw.predict(text.split("\n"))
    vw.finish()
    return out


def vw_costs(learner, batch, folder):
    """(B, K): VW's action scores. --cb_adf over the same weights answers with costs, in place of a pmf."""
    assert learner.trained.W.shape == (1, 4, 7)
    with (folder / "log.txt").open("w") as file:
        train.write(file, LOG, low=0.0, high=1.0)
    # For epsilon-greedy, VW trains the very same regressor under --cb_adf, which answers with costs.
    vw = vowpalwabbit.Workspace(
        f"--cb_adf --cb_type mtr -q UA -b {train.Sizes(4, 5, 2).bits()} -l 2 -d {folder / 'log.txt'} --quiet"
    )
    out = np.zeros(batch.mask.shape)
    for row, text in enumerate(train.text(batch).strip().split("\n\n")):
        out[row, np.flatnonzero(batch.mask[row])] = vw.predict(text.split("\n"))
    vw.finish()
    return out


def on_a_grid(batch):
    """Numbers rounded to 1/64, which VW's text parser reads exactly; it may miss the last bit of others."""
    near = {key: np.round(getattr(batch, key) * 64) / np.float32(64) for key in ("context", "pair")}
    catalogue = replace(batch.catalogue, features=np.round(batch.catalogue.features * 64) / np.float32(64))
    return replace(batch, **near, catalogue=catalogue)


def in_order(batch):
    """Arms in the catalogue's order, in which VW breaks ties as we do; RegCB's bounds often tie, at 0."""
    order = np.argsort(np.where(batch.mask, batch.arm, len(batch.catalogue.ids)), axis=1, kind="stable")
    pair = np.take_along_axis(batch.pair, order[:, :, None], axis=1)
    return replace(batch, arm=np.take_along_axis(batch.arm, order, axis=1), pair=pair)


@pytest.mark.parametrize("preset", PRESETS)
def test_pmf_is_vws_own_before_and_after_save_and_load(preset, tmp_path):
    learner = BilinearPolicy(preset=preset).learn([LOG])
    batch = on_a_grid(WORLD.requests(1000, np.random.default_rng(5)))
    batch = in_order(batch) if preset == "regcb" else batch
    theirs = vw_pmf(learner, batch, tmp_path)
    assert np.abs(learner.pmf(batch) - theirs).max() < 1e-5
    learner.save(tmp_path)
    assert np.abs(policy.load(tmp_path).pmf(batch) - theirs).max() < 1e-5
    if preset == "squarecb_cautious":  # a wrong gamma would go unseen if every pmf sat on its floor
        assert np.unique(theirs.round(4)).size > 300


def test_exact_ties_are_vws_own_where_arms_come_in_catalogue_order(tmp_path):
    """Arms with equal features tie exactly: the first takes the rest, as in VW, whatever their order in the request."""
    twins = replace(WORLD.catalogue, features=np.repeat(WORLD.catalogue.features[:3], 3, axis=0))
    learner = BilinearPolicy(preset="squarecb", gamma_scale=1.0).learn([LOG])
    batch = replace(on_a_grid(WORLD.requests(200, np.random.default_rng(5), ragged=False)), catalogue=twins)
    batch = replace(batch, arm=np.sort(batch.arm, axis=1), pair=np.zeros_like(batch.pair))
    ours = learner.pmf(batch)
    assert np.abs(ours - vw_pmf(learner, batch, tmp_path)).max() < 1e-5
    back = replace(batch, arm=batch.arm[:, ::-1])
    np.testing.assert_allclose(learner.pmf(back), ours[:, ::-1], rtol=0, atol=1e-14)


def test_any_features_differ_by_vws_float32_alone(tmp_path):
    """VW keeps scores in float32 (error e ≈ 1e-6 here); SquareCB's slope turns that into γ·p²·e where arms all but
    tie. Everything is within that bound, and nearly everything within 1e-5."""
    learner = BilinearPolicy().learn([LOG])
    batch = WORLD.requests(1000, np.random.default_rng(15))
    theirs = vw_pmf(learner, batch, tmp_path)
    error = np.abs(learner.pmf(batch) - theirs)
    second = np.sort(theirs, axis=1)[:, -2:-1]  # the best arm's probability moves as the runner-up's does
    assert (error < 1e-5 + learner.gamma_scale * 2000**0.5 * second**2 * 2e-6).all()
    assert (error > 1e-5).mean() < 0.001


def test_scores_are_vws_own(tmp_path):
    learner = BilinearPolicy(preset="epsilon_greedy").learn([LOG])
    batch = WORLD.requests(1000, np.random.default_rng(6))
    theirs = vw_costs(learner, batch, tmp_path)
    assert np.abs(theirs).max() > 0.5
    assert np.abs(np.where(batch.mask, -learner.scores(batch), 0) - theirs).max() < 1e-5


@pytest.mark.parametrize("gamma_scale", [0.5, 30.0])
def test_steps_of_squarecb_go_on_after_a_warm_start(gamma_scale, tmp_path):
    first = BilinearPolicy(gamma_scale=gamma_scale, warm_start=True, epsilon=0.0).learn([LOG])
    second = first.learn([WORLD.log(500, 8)])
    assert second.trained.steps == 2500
    batch = WORLD.requests(300, np.random.default_rng(7))
    assert np.abs(second.pmf(batch) - vw_pmf(second, batch, tmp_path)).max() < 1e-5
    assert np.abs(second.pmf(batch) - first.pmf(batch)).max() > 0.01


def test_several_passes_learn_further_and_keep_parity(tmp_path):
    once, thrice = (BilinearPolicy(preset="squarecb_cautious", passes=n).learn([LOG]) for n in (1, 3))
    batch = WORLD.requests(300, np.random.default_rng(7))
    assert np.abs(thrice.pmf(batch) - vw_pmf(thrice, batch, tmp_path)).max() < 1e-5
    assert np.abs(thrice.trained.W - once.trained.W).max() > 1e-3


def test_it_learns_what_pays():
    world = LinearWorld.make(4)
    learner = BilinearPolicy().learn([world.log(4000, 1)])
    batch = world.requests(2000, np.random.default_rng(9))
    truth, uniform = world.expected(batch), batch.mask / batch.mask.sum(axis=1, keepdims=True)
    best = np.where(batch.mask, truth, 0).max(axis=1).mean()
    value, base = (learner.pmf(batch) * truth).sum(axis=1).mean(), (uniform * truth).sum(axis=1).mean()
    assert value > base + 0.7 * (best - base)


def test_text_is_exact_and_holds_encoded_tokens_only():
    sparse = np.array([[1.5, 0, 0, 0, 0], [0, 0, 0, -3.25e-8, 1e30], [0] * 5], dtype=np.float32)
    large = str(np.float32(1e6))  # 1000000.0 by numpy 1, 1e+06 by numpy 2; VW reads both
    assert (train.tokens("c", sparse), float(large)) == (["c0:1.5", f"c3:-3.25e-08 c4:{large}", ""], 1e6)
    dense = np.array([[0.1, 2.0], [0.0, -1.0]], dtype=np.float32)
    assert train.tokens("c", dense) == ["c0:0.1 c1:2.0", "c1:-1.0"]
    random = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32) ** 9
    back = [[float(cell.split(":")[1]) for cell in line.split()] for line in train.tokens("c", random)]
    assert (np.array(back, dtype=np.float32) == random.clip(-1e6, 1e6)).all()
    with pytest.raises(ValueError, match="feature a1: found NaN or infinity"):
        train.tokens("a", np.array([[0, np.inf]], dtype=np.float32))


def whole_text(log):
    """Every candidate's line with its features, as VW's own users write it."""
    examples = train.text(log.batch).strip().split("\n\n")
    for row, example in enumerate(examples):
        lines = example.split("\n")
        k = log.batch.mask[row, : log.chosen[row]].sum() + 1
        lines[k] = f"0:{1 - log.reward[row]:g}:{log.propensity[row]:.9g} {lines[k]}"
        examples[row] = "\n".join(lines)
    return "\n\n".join(examples) + "\n\n"


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("passes", [1, 3])
def test_only_the_chosen_arms_line_matters(preset, passes, tmp_path):
    """What we write leaves the others' features out: not one of VW's 2¹⁸ weights differs."""
    (tmp_path / "whole.txt").write_text(whole_text(LOG))
    with (tmp_path / "ours.txt").open("w") as file:
        train.write(file, LOG, low=0.0, high=1.0)
    assert (tmp_path / "ours.txt").stat().st_size < 0.6 * (tmp_path / "whole.txt").stat().st_size
    weights = []
    for name in ("whole", "ours"):
        more = f"--passes {passes} --cache_file {tmp_path / name}.cache --holdout_off" if passes > 1 else ""
        flags = BilinearPolicy(preset=preset).flags
        vw = vowpalwabbit.Workspace(f"{flags} --cb_type mtr -q UA -b 18 -d {tmp_path / name}.txt {more} --quiet")
        weights.append(np.array([vw.get_weight(i) for i in range(1 << 18)]))
        vw.finish()
    assert np.count_nonzero(weights[0]) > 30
    assert (weights[0] == weights[1]).all()


def test_bad_rewards_and_refused_presets_are_named():
    bad = WORLD.log(3, 1)
    bad.reward[1] = np.nan
    with pytest.raises(ValueError, match="non-finite reward"):
        BilinearPolicy(reward_range=(0, 1)).learn([bad])
    with pytest.raises(ValueError, match=r"cover.*does not resume exactly"):
        BilinearPolicy(preset="cover")
    with pytest.raises(ValueError, match=r"epsilon: found 0.1 with RegCB"):
        BilinearPolicy(preset="regcb", epsilon=0.1)
    with pytest.raises(ValueError, match=r"warm_start.*first member only"):
        BilinearPolicy(preset="bag", warm_start=True)
    with pytest.raises(ValueError, match=r"members: found 3"):
        BilinearPolicy(preset="greedy", members=3)
    with pytest.raises(ValueError, match=r"found 3 context.*expected \(4, 7\)"):
        BilinearPolicy().learn([LOG]).pmf(LinearWorld.make(1).requests(2, np.random.default_rng(0)))


@pytest.mark.parametrize("preset", ["squarecb", "epsilon_greedy", "regcb", "bag"])
def test_vw_in_memory_learns_what_vws_driver_learns(preset):
    whole = BilinearPolicy(preset=preset).learn([LOG])
    online = train.Online(whole.flags, low=0.0, high=1.0)
    for rows in (slice(0, 1), slice(1, 700), slice(700, None)):
        form = online.learn(LOG[rows])
    for key in ("bias", "steps", "w_u", "w_x", "W"):
        assert np.all(getattr(form, key) == getattr(whole.trained, key)), key
    if preset == "regcb":
        for key in ("squares", "scale", "norm", "weight", "learning_rate"):
            assert np.all(getattr(form.rates, key) == getattr(whole.trained.rates, key)), key


def test_a_warm_start_refuses_rewards_beyond_its_costs():
    first = BilinearPolicy(warm_start=True).learn([LOG])
    beyond = WORLD.log(10, 2)
    beyond.reward[0] = 7.0
    with pytest.raises(ValueError, match=r"found \(0.0, 7.0\), expected within \(0.0, 1.0\)"):
        first.learn([beyond])
    assert BilinearPolicy(warm_start=True).learn([beyond]).range == (0.0, 7.0)


@pytest.mark.parametrize("preset", [preset for preset in PRESETS if preset != "bag"])
def test_going_on_is_training_at_one_go(preset):
    """Weights, learning rates and pmf after a warm start are, bit for bit, those of one training on all rows."""
    whole = BilinearPolicy(preset=preset).learn([LOG])
    first = BilinearPolicy(preset=preset, warm_start=True, reward_range=(0, 1)).learn([LOG[:700]])
    second = first.learn([LOG[700:]])
    batch = WORLD.requests(300, np.random.default_rng(7))
    assert (second.trained.W == whole.trained.W).all()
    assert (second.pmf(batch) == whole.pmf(batch)).all()
    assert np.abs(second.pmf(batch) - first.pmf(batch)).max() > 1e-4


@pytest.mark.parametrize("members", [1, 3, 8])
@pytest.mark.parametrize("epsilon", [0.0, 0.2])
def test_members_of_a_bag_vote_as_in_vw(members, epsilon, tmp_path):
    learner = BilinearPolicy(preset="bag", members=members, epsilon=epsilon, passes=2).learn([LOG])
    assert learner.trained.W.shape == (members, 4, 7)
    batch = on_a_grid(WORLD.requests(500, np.random.default_rng(5)))
    theirs = vw_pmf(learner, batch, tmp_path)
    assert np.abs(learner.pmf(batch) - theirs).max() < 1e-5
    assert np.unique(theirs.round(3)).size > members  # several shares of votes, not one winner everywhere


@pytest.mark.parametrize(("parameters", "named"), [
    ({"reward_range": (1.0, 0.0)}, r"reward_range: found \(1.0, 0.0\)"), ({"reward_range": (1, 1)}, "reward_range"),
    ({"reward_range": (0.0, float("inf"))}, "reward_range"), ({"epsilon": 2.0}, "epsilon=2.0"),
    ({"gamma_scale": -1.0}, "gamma_scale=-1.0"), ({"passes": 0}, "passes=0"),
])  # fmt: skip
def test_options_that_would_turn_the_cost_round_are_refused(parameters, named):
    with pytest.raises(ValueError, match=named):
        BilinearPolicy(**parameters)


def test_a_folder_without_its_weights_is_not_an_untrained_policy(tmp_path):
    BilinearPolicy().learn([LOG]).save(tmp_path)
    (tmp_path / "arrays.safetensors").unlink()
    with pytest.raises(ValueError, match=r"found no arrays\.safetensors .* not whole"):
        BilinearPolicy.load(tmp_path)
