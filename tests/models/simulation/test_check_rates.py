"""The count of the gate's own checks: what it says adds up, sound logs pass, leaky ones are caught, by the gate's entry."""

import numpy as np
import pytest

from croupier.models.simulation import check_rates
from croupier.models.simulation.check_logs import LEAKS, as_logged, draw


def test_the_middle_arm_earns_what_a_uniform_choice_does():
    found = draw(np.random.default_rng(3))
    rate = np.array(
        [
            found.log.reward[found.log.batch.arm[np.arange(len(found.log)), found.log.chosen] == k].mean()
            for k in range(3)
        ]
    )
    assert rate[0] < rate[2]
    again = draw(np.random.default_rng(3))
    assert (again.kind, again.log.reward.tolist()) == (found.kind, found.log.reward.tolist())
    single = as_logged(found.log, "p alone, 6 digits")
    assert single.pmf.sum(axis=1) == pytest.approx(np.ones(len(single)))
    assert np.array_equal(single.propensity, np.round(found.log.propensity, 6))


@pytest.mark.medium
def test_counts_and_tables(tmp_path):
    saved = []
    first = check_rates.count(sound=6, leaky=0, seed=9, save=saved.append)
    assert saved[-1] == first
    table = check_rates.count(sound=6, leaky=1, seed=9, done=first)
    assert [row["leak"] for row in table] == [""] * 6 + list(LEAKS)
    assert not any(map(check_rates.refused, table[:6]))
    assert table[:6] == first, "what was counted is not counted again"
    assert {"order value", "order value, 2 % of others", "reward and noise"} <= {
        row["leak"] for row in table if check_rates.refused(row)
    }
    caught = {row["leak"] for row in table if check_rates.refused(row)}
    assert "price of the shown arm" in caught
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- checks -->\nold\n<!-- /checks -->\nafter\n")
    check_rates.write_page(table, page)
    text = page.read_text()
    assert "| all | 6 | 0.0 |" in text
    assert f"| all | {len(LEAKS)} | {100 * len(caught) / len(LEAKS):.0f} |" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
