"""Slot after slot beside VW's `--ccb_explore_adf`: the same conditional probabilities, where both learnt the same."""

from dataclasses import replace

import numpy as np
import pytest
import vowpalwabbit

from croupier.features.batch import Left
from croupier.models.policy import among
from croupier.models.simulation.synthetic import LinearWorld
from croupier.models.vw import train
from croupier.models.vw.policy import BilinearPolicy
from tests.models.vw.test_parity import SCHEMAS, encoded, in_order, slack

pytestmark = pytest.mark.medium
K, RANGE = 3, (0.0, 2.0)
BITS = 25  # so many that what VW crosses a page's slots with meets no weight of another term in the table


def pages(batch, slots):
    """CCB's lines of each request; `slots` gives those of its slots, by row."""
    for row, text in enumerate(train.text(batch).strip().split("\n\n")):
        shared, *actions = text.split("\n")
        yield [f"ccb {shared}", *(f"ccb action {action}" for action in actions), *slots(row)]


def taught(log, learner, folder, slots):
    """VW's CCB with the learner's own flags, after the log's pages."""
    path = folder / "log.txt"
    path.write_text("".join("\n".join(page) + "\n\n" for page in pages(log.batch, slots)))
    flags = learner.flags.replace("--cb_explore_adf", "--ccb_explore_adf")
    names = folder / "weights.txt"
    command = f"{flags} --cb_type mtr -q UA -b {BITS} --quiet -d {path} -f {folder / 'model.vw'} --invert_hash {names}"
    vowpalwabbit.Workspace(command).finish()
    return vowpalwabbit.Workspace(f"-i {folder / 'model.vw'} --quiet -t"), names.read_text()


def labels(log):
    """The slot of each single decision, as CCB is told it."""
    low, high = RANGE
    cost = np.clip((high - log.reward) / (high - low), 0.0, 1.0)
    before = ((np.arange(log.batch.mask.shape[1]) < log.chosen[:, None]) & log.batch.mask).sum(axis=1)
    return lambda row: [f"ccb slot {before[row]}:{cost[row]:.9g}:{log.propensity[row]:.9g} |"]


def log_of(world, one_hot):
    log = world.log(400, 1)
    return replace(log, batch=encoded(log.batch, one_hot), reward=3 * log.reward - 0.5)


def unlike(learner, batch, vw):
    """The share of requests that have another conditional probability than VW's, by more than 1e-5 beside what VW cannot
    resolve, in each of K slots, given the arms that VW has above it."""
    places = [np.flatnonzero(mask) for mask in batch.mask]
    theirs = [vw.predict(page) for page in pages(batch, lambda _: ["ccb slot |"] * K)]
    found, shown, ask = [], np.empty((len(batch), 0), np.int64), among(learner, batch)
    for slot in range(K):
        left = Left.of(batch.mask, np.arange(len(batch)), shown)
        ours, beyond = ask(left), 0
        for row, scores in enumerate(theirs):
            known = {places[row][action]: p for action, p in scores[slot]}
            mine = dict(zip(left.place[row, left.mask[row]].tolist(), ours[row, left.mask[row]], strict=True))
            assert known.keys() == mine.keys()
            error = max(abs(mine[place] - p) for place, p in known.items())
            beyond += error > 1e-5 + slack(learner, np.array(list(known.values())))
        found.append(beyond / len(batch))
        drawn = [[places[row][scores[slot][0][0]]] for row, scores in enumerate(theirs)]
        shown = np.concatenate([shown, drawn], axis=1)
    return found


@pytest.mark.parametrize("schema", ["numeric", "categorical", "arm_context"])
@pytest.mark.parametrize("preset", ["epsilon_greedy", "squarecb", "squarecb_cautious", "greedy"])
def test_slots_have_the_conditional_probabilities_of_vws_ccb(preset, schema, tmp_path):
    sizes, one_hot = SCHEMAS[schema]
    world = LinearWorld.make(7, **sizes)
    log = log_of(world, one_hot)
    learner = BilinearPolicy(preset=preset, reward_range=RANGE).learn([log])
    vw, weights = taught(log, learner, tmp_path, labels(log))
    batch = in_order(encoded(world.requests(200, np.random.default_rng(9)), one_hot))
    batch = batch[batch.mask.sum(axis=1) >= K]
    assert max(unlike(learner, batch, vw)) == 0.0
    assert "_ccb_slot_index" not in weights
    other = BilinearPolicy(preset=preset, reward_range=RANGE).learn([replace(log, reward=-log.reward)])
    assert min(unlike(other, batch, vw)) > 0.1, "another policy is told from VW's in every slot"
    vw.finish()


def test_what_vw_learns_of_several_slots_is_another_form(tmp_path):
    """VW crosses the number of the slot with every term once it has seen a page of several."""
    sizes, one_hot = SCHEMAS["numeric"]
    log = log_of(LinearWorld.make(7, **sizes), one_hot)
    log = log[log.batch.mask.sum(axis=1) > 1]
    learner, one = BilinearPolicy(preset="squarecb", reward_range=RANGE), labels(log)
    vw, weights = taught(log, learner, tmp_path, lambda row: [*one(row), "ccb slot |"])
    vw.finish()
    assert "_ccb_slot_index^index0" in weights
