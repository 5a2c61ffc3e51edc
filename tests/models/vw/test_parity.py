"""VW parity, fuzzed: presets × schemas (dense, one-hot, wide pairs, no pairs, ragged), after save, load, warm start."""

from dataclasses import replace

import numpy as np
import pytest
import vowpalwabbit

from croupier.models import policy
from croupier.models.simulation.synthetic import LinearWorld
from croupier.models.vw import train
from croupier.models.vw.policy import PRESETS, BilinearPolicy

pytestmark = pytest.mark.medium  # a second each, or many of them: not in `make check`

SCHEMAS = {  # name: sizes of the world, and whether features become one-hot
    "numeric": ({"arms": 8, "candidates": 5, "d_u": 3, "d_a": 2, "d_p": 1}, False),
    "categorical": ({"arms": 30, "candidates": 10, "d_u": 12, "d_a": 30, "d_p": 0}, True),
    "embedding": ({"arms": 20, "candidates": 6, "d_u": 24, "d_a": 16, "d_p": 0}, False),
    "arm_context": ({"arms": 6, "candidates": 6, "d_u": 2, "d_a": 1, "d_p": 9}, False),
}
OPTIONS = [*({"preset": preset} for preset in PRESETS), {"preset": "greedy", "epsilon": 0.3},
           {"preset": "regcb", "mellowness": 0.1, "ignore_linear": "A"},
           {"preset": "regcb_elim", "mellowness": 0.1, "learning_rate": 0.5},
           {"preset": "bag", "members": 5, "epsilon": 0.1, "ignore_linear": "U"},
           {"preset": "squarecb", "gamma_scale": 3.0, "epsilon": 0.2, "ignore_linear": "U"},
           {"preset": "epsilon_greedy", "ignore_linear": "UA", "learning_rate": 0.5}]  # fmt: skip


def encoded(batch, one_hot):
    """As the encoder would give them: one-hot, or on a grid of 1/64 which VW's parser reads exactly."""

    def near(x):
        return np.round(x * 64).astype(np.float32) / np.float32(64)

    if not one_hot:
        catalogue = replace(batch.catalogue, features=near(batch.catalogue.features))
        return replace(batch, context=near(batch.context), pair=near(batch.pair), catalogue=catalogue)
    a, u = batch.catalogue.features, batch.context
    catalogue = replace(batch.catalogue, features=np.eye(*a.shape, dtype=np.float32))
    return replace(batch, context=np.eye(u.shape[1], dtype=np.float32)[u.argmax(axis=1)], catalogue=catalogue)


def in_order(batch):
    """Arms in the catalogue's order, in which VW breaks ties as we do; RegCB's bounds often tie, at 0."""
    order = np.argsort(np.where(batch.mask, batch.arm, len(batch.catalogue.ids)), axis=1, kind="stable")
    pair = np.take_along_axis(batch.pair, order[:, :, None], axis=1)
    return replace(batch, arm=np.take_along_axis(batch.arm, order, axis=1), pair=pair)


def learn_from(learner, world, one_hot, seed):
    log = world.log(400, seed)
    return learner.learn([replace(log, batch=encoded(log.batch, one_hot), reward=3 * log.reward - 0.5)])


@pytest.mark.parametrize("decisions", [250, pytest.param(10_000, marks=pytest.mark.full)])
@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, o.values())))
def test_pmf_is_vws_own(schema, options, decisions, tmp_path):
    sizes, one_hot = SCHEMAS[schema]
    world = LinearWorld.make(7, **sizes)
    warm = options["preset"] != "bag"  # which cannot go on, and starts afresh
    learner = BilinearPolicy(**options, warm_start=warm, reward_range=(0, 2))  # clips −0.5 and 2.5
    learn_from(learner, world, one_hot, 1).save(tmp_path)
    learner = learn_from(policy.load(tmp_path), world, one_hot, 2)
    assert learner.trained.steps == (800 if warm else 400)
    batch = encoded(world.requests(decisions, np.random.default_rng(9)), one_hot)
    batch = in_order(batch) if options["preset"] == "regcb" else batch
    (tmp_path / "peer.vw").write_bytes(learner.trained.model)
    vw = vowpalwabbit.Workspace(f"-i {tmp_path / 'peer.vw'} --quiet")  # with -t, RegCB has no learning rates
    ours, least, beyond = learner.pmf(batch), np.inf, 0
    for row, text in enumerate(train.text(batch).strip().split("\n\n")):
        theirs, mask = np.array(vw.predict(text.split("\n"))), batch.mask[row]
        least = min(least, theirs.min())
        error = np.abs(ours[row, mask] - theirs).max()
        beyond += error > 1e-5
        assert error < 1e-5 + slack(learner, theirs), row
    vw.finish()
    assert beyond <= {"squarecb": 0.005, "regcb": 0.0002, "regcb_elim": 0.0002}.get(learner.explore, 0) * decisions
    assert least <= max(learner.epsilon, 0.01)  # some arm sits on its floor: the pmfs are not all uniform


def slack(learner, pmf):
    """What VW itself cannot resolve. SquareCB: its slope γ·p², where two arms all but tie, times the error of a float32
    score, up to 2e-6 over 400 terms. RegCB: an arm is in or out, by a halving that stops early and starts from the
    processor's rough reciprocal root, good to 3e-4: now and then it stops elsewhere. Otherwise there is none."""
    if learner.explore.startswith("regcb"):
        return 1.0
    if learner.explore != "squarecb":
        return 0.0
    second = np.sort(pmf)[-2] if len(pmf) > 1 else 0.0
    return learner.gamma_scale * learner.trained.steps**0.5 * second**2 * 2e-6
