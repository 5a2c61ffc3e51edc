"""`init` leaves out what no decision can have known, and says why; honest columns stay."""

import csv
import re

import numpy as np
import pytest

from croupier.features.exchange.guess import guess_app
from croupier.features.exchange.tables.tabular import TableSource
from croupier.features.spec import AppSpec

pytestmark = pytest.mark.medium  # a second each, or many of them: not in `make check`

PRICES = {"a": 9.9, "b": 19.9, "c": 29.9}


@pytest.fixture(scope="module")
def guess(tmp_path_factory):
    rng, path = np.random.default_rng(1), tmp_path_factory.mktemp("log") / "log.csv"
    columns = ("arm", "propensity", "reward", "order_value", "bought_at_price", "dwell", "price", "price_noise", "device",
               "age", "coupon", "loyal")  # fmt: skip
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for _ in range(2000):
            arm = "abc"[rng.integers(3)]
            reward = int(rng.random() < {"a": 0.05, "b": 0.1, "c": 0.2}[arm])
            loyal = int(rng.random() < 0.2)
            writer.writerow(
                [
                    arm,
                    "0.333333",
                    reward,
                    round(float(rng.normal(60, 20)), 2) if reward else "",
                    PRICES[arm] if reward else "",
                    round(reward * 50 + float(rng.normal(0, 4)), 2),
                    PRICES[arm],
                    round(PRICES[arm] + float(rng.normal(0, 9)), 2),
                    rng.choice(["phone", "tv"]),
                    int(rng.integers(18, 80)),
                    rng.choice(["SPRING", "MAY"]) if rng.random() < 0.1 else "",
                    loyal,
                ]
            )
    return guess_app(TableSource(path, unit_key="k", columns={}))


@pytest.mark.parametrize(("column", "why"), [
    ("order_value", "had a reward, so it is an outcome"), ("bought_at_price", "had a reward, so it is an outcome"),
    ("dwell", r"goes with the reward \(r = 0.9"), ("price", "follows from the arm that was shown"),
])  # fmt: skip
def test_what_came_after_the_decision_is_left_out_and_named(guess, column, why, tmp_path):

    (note,) = (n for n in guess.notes if n.startswith(f"context.{column}:"))
    assert re.search(why, note), note
    (tmp_path / "app.toml").write_text(guess.toml)
    assert column not in AppSpec.read(tmp_path / "app.toml").context


def test_honest_columns_stay(guess, tmp_path):
    (tmp_path / "app.toml").write_text(guess.toml)
    assert {"device", "age", "coupon", "loyal"} <= set(AppSpec.read(tmp_path / "app.toml").context)


LATE = {
    "status": (
        "comes with a reward alone",
        lambda rng, p, reward: "bought" if reward else rng.choice(["left", "open"]),
    ),
    "state": ("comes with a reward alone", lambda rng, p, reward: "paid" if reward and rng.random() < 0.7 else "new"),
    "p_copy": ("goes with the probability", lambda rng, p, reward: p),
    "p_percent": ("goes with the probability", lambda rng, p, reward: f"{100 * p:.0f} %"),
    "weight": ("goes with the probability", lambda rng, p, reward: round(1 / p, 1)),
}
KNOWN = {
    "city": lambda rng, p, reward: rng.choice(["Wien", "Graz"]),
    "buyer": lambda rng, p, reward: "regular" if rng.random() < 0.3 + 0.5 * reward else "new",
    "score": lambda rng, p, reward: round(float(rng.random()), 2),
}


@pytest.mark.parametrize("name", [*LATE, *KNOWN])
def test_words_of_the_outcome_and_the_draws_probability_are_left_out(name, tmp_path):
    rng = np.random.default_rng(5)
    lines = ["arm,propensity,reward,device," + name]
    make = LATE[name][1] if name in LATE else KNOWN[name]
    for _ in range(1500):
        device = int(rng.integers(3))
        pmf = 0.1 + 0.7 * np.eye(3)[device]
        arm = int(rng.choice(3, p=pmf))
        reward = int(rng.random() < (0.05, 0.1, 0.2)[arm])
        lines.append(f"{'abc'[arm]},{pmf[arm]:.1f},{reward},d{device},{make(rng, pmf[arm], reward)}")
    path = tmp_path / "log.csv"
    path.write_text("\n".join(lines) + "\n")
    found = guess_app(TableSource(path, unit_key="k", columns={}))
    (note,) = (n for n in found.notes if n.startswith(f"context.{name}:"))
    assert found.too_late == ((name,) if name in LATE else ())
    assert name not in LATE or LATE[name][0] in note, note
