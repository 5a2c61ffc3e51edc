"""Health of a log: numbers by hand, drift where it was planted, and a page that needs nobody."""

import re

import numpy as np
import orjson
import polars as pl
import pytest

from croupier.features.encoding.encoder import Encoder
from croupier.features.encoding.profile import chance, moved
from croupier.features.interactions.parts.interval_rows import IntervalRows
from croupier.features.quality import drift
from croupier.features.quality.pages import health_page, offline_docs
from croupier.features.spec import AppSpec
from croupier.features.worlds.reels import World
from tests.page_words import unscripted

WORLD = World(seed=8, candidates=(4, 4))


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("app") / "app.toml"
    path.write_text(WORLD.app_toml())
    df = WORLD.interactions(1000)
    return df, Encoder.fit(AppSpec.read(path), df, WORLD.arms())


def test_exploration_by_hand(log):
    df, encoder = log
    h = drift.health(IntervalRows.of(df), encoder=encoder, bins=5)
    assert [b["decisions"] for b in h.bins] == [200] * 5
    assert h.rows == 1000
    assert [b["effective_arms"] for b in h.bins] == pytest.approx([4.0] * 5)  # uniform over four
    assert [b["least_propensity"] for b in h.bins] == [0.25] * 5
    assert [b["weight_share"] for b in h.bins] == pytest.approx([1 / 200] * 5)
    x = df["reward"][:200].to_numpy()
    assert h.reward["uniform (champion)"][0] == pytest.approx((x.mean(), x.std(ddof=1) / np.sqrt(200)))
    assert np.sum(list(h.arms.values()), axis=0) == pytest.approx([1.0] * 5)


def test_a_greedy_log_has_one_effective_arm(log):
    df, _ = log
    greedy = df[:100].with_columns(
        arm=pl.col("arms").list.first(), pmf=pl.Series([[1.0, 0.0, 0.0, 0.0]] * 100), propensity=pl.lit(1.0)
    )
    (only,) = drift.health(IntervalRows.of(greedy), bins=1).bins
    assert only["effective_arms"] == pytest.approx(1.0)


def test_drift_is_where_it_was_planted(log):
    df, encoder = log
    late = pl.int_range(pl.len()) >= 600
    text = pl.col("context").str.replace(r'"device":"[a-z]*"', '"device":"tv"')
    h = drift.health(
        IntervalRows.of(df.with_columns(context=pl.when(late).then(text).otherwise("context"))), encoder=encoder, bins=5
    )
    before, after = h.drift["context.device"][:3], h.drift["context.device"][3:]
    assert max(before) < 0.15
    assert min(after) > 0.6
    assert all(max(values) < h.limits["chance"] for name, values in h.drift.items() if name != "context.device")


def test_distance_and_its_noise():
    assert moved((0.5, 0.5, 0.0), (0.2, 0.5, 0.3)) == pytest.approx(0.3)
    rng = np.random.default_rng(0)
    p = np.full(10, 0.1)
    found = [moved(tuple(rng.multinomial(200, p) / 200), tuple(p)) for _ in range(2000)]
    assert max(found) < chance(10, 200)  # at α = 1e-4, 0.2 expected in 2,000


def test_the_page_is_whole_and_offline(log, tmp_path):
    df, encoder = log
    page = health_page.write(drift.health(IntervalRows.of(df), encoder=encoder), tmp_path / "health")
    text = page.read_text()
    assert offline_docs.outside(text) == []
    assert "<script" not in unscripted(text)
    labels = re.findall(r'<svg class="chart"[^>]* role="img" aria-label="([^"]+)"', text)
    assert len(labels) == len(set(labels)) == 7, "every chart says what it shows, each something else"
    assert len(re.findall(r"context\.device, ", text)) == 24
    assert orjson.loads((tmp_path / "health" / "health.json").read_bytes())["rows"] == 1000


def test_nothing_to_look_at():
    with pytest.raises(ValueError, match="no interactions"):
        drift.health(IntervalRows.of(WORLD.interactions(5)[:0]))
