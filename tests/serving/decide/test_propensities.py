"""Many decisions at every stage, fallbacks included: every propensity is a probability, derived again it is the same,
and arms were chosen as often as it says. 8,000 by default; `full`: a million, all of them derived again."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from croupier.features.log.spool import Spool
from croupier.features.log.spool_rows import decision
from croupier.models import exploration
from croupier.models.baselines import Uniform
from croupier.serving.contract.requests import Raw
from croupier.serving.decide import draws
from croupier.serving.decide.selector import Selector
from croupier.serving.release.rollout_mirror import RolloutReader
from tests.serving import apps
from tests.serving.decide.selectors import calm

STAGES = (0.0, 0.05, 0.2, 0.5, 1.0)


class Moody(Uniform):
    """Fails on every third batch size: its rows fall back."""

    def pmf(self, batch):
        if len(batch) % 3 == 0:
            raise RuntimeError("now and then")
        return super().pmf(batch)


def serve(folder, spool, n):
    """n decisions, a fifth at each stage; a failing candidate, and at the end a failing champion too."""
    raws = [Raw.of(r) for r in apps.sample().requests(512, strange=True)]
    rng = np.random.default_rng(2)
    for stage, share in enumerate(STAGES):
        loaded = apps.write(
            folder / f"{stage}", apps.trained("neural_linear"), Uniform(), share=share, number=stage + 1
        )
        served = replace(loaded, candidate=Moody(), champion=Moody() if stage == 3 else loaded.champion)
        s = Selector(
            served,
            recorder=spool,
            rollout=RolloutReader(folder / f"{stage}" / "rollout.json"),
            unit_key="k",
            breaker=calm(),
        )
        s.breaker.failed = s.breaker.slow = lambda *_, **__: (
            None
        )  # every failure falls back; the breaker is tested elsewhere
        done = 0
        while done < n // len(STAGES):
            some = [
                replace(raws[i], event_id=f"{stage}-{done + j}".encode(), unit_id=f"u{rng.integers(10**6)}".encode())
                for j, i in enumerate(rng.integers(512, size=int(rng.integers(20, 200))))
            ]
            assert not [a.error for a in s.select_raw(some) if a.error]
            done += len(some)
        yield stage + 1, loaded


@pytest.mark.slow
@pytest.mark.parametrize("n", [8_000, pytest.param(1_000_000, marks=pytest.mark.full)])
def test_every_propensity_is_true_and_derived_again(tmp_path, n):
    spool = Spool(tmp_path / "log.db", durability="NORMAL")
    releases = dict(serve(tmp_path, spool, n))
    observed, expected, seen, after = np.zeros(12), np.zeros(12), set(), 0
    while rows := spool.read("decisions", after, 500):
        after = rows[-1][0]
        some = [decision(body) for _, body in rows]
        for number in {d.release for d in some}:
            release, mine = releases[number], [d for d in some if d.release == number]
            batch = release.encoder.encode(
                [d.context for d in mine], [d.arms for d in mine], [d.arm_context for d in mine], release.catalogue
            )
            own = {"neural_linear": release.pmf("champion", batch), "uniform": exploration.uniform(batch.mask)}
            pmf = np.array([own[d.policy][i] for i, d in enumerate(mine)])
            chosen = draws.draw(pmf, release.salt, [d.event_id for d in mine])
            assert [d.arms[k] for d, k in zip(mine, chosen, strict=True)] == [d.arm for d in mine]
            logged = np.array([d.propensity for d in mine])
            assert np.abs(logged - pmf[np.arange(len(mine)), chosen]).max() < 1e-9
            assert ((logged > 0) & (logged <= 1)).all()
            assert max(abs(sum(d.pmf) - 1) for d in mine) <= 1e-6
            np.add.at(observed, chosen, 1)
            expected[: pmf.shape[1]] += pmf.sum(axis=0)
            seen |= {(d.role, d.policy) for d in mine}
    assert observed.sum() >= n
    assert {
        ("champion", "neural_linear"),
        ("candidate", "uniform"),
        ("fallback", "neural_linear"),
        ("fallback", "uniform"),
    } <= seen
    # the counts vary less than a multinomial's, since every decision has its own pmf: the test errs on the safe side
    assert stats.chi2.sf((((observed - expected) ** 2) / expected).sum(), 11) > 0.001
    spool.close()
