"""Each rule is seen to fail on a planted fault, and only that rule; the pages ask nothing of other hosts."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import polars as pl
import pytest

from croupier.features.encoding.encoder import Encoder
from croupier.features.interactions.account import Account
from croupier.features.interactions.parts.interval_rows import IntervalRows
from croupier.features.quality import audit, drift, gx
from croupier.features.quality.findings import QualityFailed
from croupier.features.quality.pages import offline_docs as docs
from croupier.features.spec import AppSpec
from croupier.features.worlds.reels import START, World
from tests.page_words import ZONE

pytestmark = pytest.mark.medium  # a second each, or many of them: not in `make check`

WORLD = World(seed=5)
N = 400
IDS = [arm.arm_id for arm in WORLD.arms()]
BEGIN = datetime.fromtimestamp(START / 1e6, UTC)
END = BEGIN + timedelta(seconds=N)
BALANCED = Account(decisions_in=N, interactions=N, rewards_in=40, on_time=38, late=2)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("app") / "app.toml"
    path.write_text(WORLD.app_toml())
    spec, df = AppSpec.read(path), WORLD.interactions(N)
    return df, spec.reward, Encoder.fit(spec, df, WORLD.arms())


def check(df, good, folder, account=BALANCED, pages=False):
    return gx.check(
        IntervalRows.of(df),
        reward=good[1],
        start=BEGIN,
        end=END,
        folder=folder,
        encoder=good[2],
        account=account,
        pages=pages,
    )


def row(df, i, **values):
    """df with the given values in row i."""
    new = [
        pl.when(pl.int_range(pl.len()) == i).then(pl.lit(v, dtype=df.schema[c])).otherwise(pl.col(c)).alias(c)
        for c, v in values.items()
    ]
    return df.with_columns(new)


def pmf_of(df, i, change):
    pmf = df["pmf"][i].to_list()
    return row(df, i, pmf=change(pmf))


def zero_chosen(df):
    """Row 7's chosen arm gets probability 0, the others share its mass."""
    at = df["arms"][7].to_list().index(df["arm"][7])
    K = len(df["arms"][7])
    changed = pmf_of(df, 7, lambda pmf: [0.0 if k == at else 1 / (K - 1) for k in range(K)])
    return row(changed, 7, propensity=0.0)


def negative(df):
    """Two unchosen arms of row 7 move by a half, so that the sum stays 1."""
    at = df["arms"][7].to_list().index(df["arm"][7])
    low, high = [k for k in range(5) if k != at][:2]
    return pmf_of(df, 7, lambda pmf: [p - 0.5 if k == low else p + 0.5 if k == high else p for k, p in enumerate(pmf)])


def unchosen_grows(df):
    at = df["arms"][7].to_list().index(df["arm"][7])
    return pmf_of(df, 7, lambda pmf: [p + 2e-6 if k == (at + 1) % len(pmf) else p for k, p in enumerate(pmf)])


def row_of(column, value):
    """Makes a fault: row 7 has this value."""
    return lambda df: row(df, 7, **{column: value})


def unchosen_is(value):
    """Makes a fault: an arm that row 7 did not show has this probability."""

    def fault(df):
        other = (df["arms"][7].to_list().index(df["arm"][7]) + 1) % len(df["arms"][7])
        return pmf_of(df, 7, lambda pmf: [value if k == other else p for k, p in enumerate(pmf)])

    return fault


FAULTS = {
    "event_id_unique": lambda df: row(df, 7, event_id=df["event_id"][9]),
    "pmf_sums_to_one": unchosen_grows,
    "pmf_not_negative": negative,
    "pmf_fits_arms": lambda df: pmf_of(df, 7, lambda pmf: pmf[:-1]),
    "arm_is_candidate": lambda df: row(df, 7, arm="reel-99"),
    "propensity_in_range": zero_chosen,
    "propensity_is_pmf_at_arm": lambda df: row(df, 7, propensity=df["propensity"][7] + 2e-6),
    "inside_partition": lambda df: row(df, 7, at=START + N * 1_000_000),
    "reward_in_range": lambda df: row(df, 7, reward=1.5),
    "role_known": lambda df: row(df, 7, role="chef"),
    "pass_probability_in_range": lambda df: row(df, 7, pass_probability=0.0),
}


def test_a_sound_log_passes(good, tmp_path):
    report = check(good[0], good, tmp_path).or_raise()
    assert (report.passed, report.critical, report.warnings, report.quarantined) == (True, (), (), 0)
    assert report.rules > 20
    assert not (tmp_path / "quarantine.parquet").exists()


@pytest.mark.parametrize("rule", FAULTS)
def test_each_rule_fails_alone(good, tmp_path, rule):
    df = FAULTS[rule](good[0])
    report = check(df, good, tmp_path)
    assert [f.rule for f in report.critical] == [rule]
    assert not report.warnings
    quarantine = pl.read_parquet(tmp_path / "quarantine.parquet")
    assert quarantine["rule"].to_list() == [rule] * len(quarantine)
    assert report.quarantined == len(quarantine) == (2 if rule == "event_id_unique" else 1)
    assert (
        drift.health(IntervalRows.of(df), encoder=good[2]).rows == N
    )  # and what is wrong does not break the page about it


NONE = float("nan")
NOTHING = {
    "reward_in_range": [row_of("reward", NONE), row_of("reward", None)],
    "propensity_in_range": [row_of("propensity", NONE), row_of("propensity", None), row_of("propensity", 5e-324)],
    "pass_probability_in_range": [row_of("pass_probability", NONE), row_of("pass_probability", None)],
    "role_known": [row_of("role", None)],
    "pmf_fits_arms": [row_of("pmf", None)],
    "pmf_sums_to_one": [unchosen_is(NONE), unchosen_is(None)],
}


@pytest.mark.parametrize(("rule", "fault"), [(rule, fault) for rule, faults in NOTHING.items() for fault in faults])
def test_what_should_be_a_number_and_is_none_breaks_its_rule(good, tmp_path, rule, fault):
    """∞ − ∞ of two rewards is NaN, which Great Expectations passes over: one such row stopped every training."""
    df = fault(good[0])
    report = check(df, good, tmp_path)
    assert rule in [f.rule for f in report.critical]
    assert {len(f.examples) for f in report.critical} == {1}
    assert pl.read_parquet(tmp_path / "quarantine.parquet")["event_id"].to_list() == [df["event_id"][7]]
    assert drift.health(IntervalRows.of(df), encoder=good[2]).rows == N


def test_the_error_names_rule_count_and_three_events(good, tmp_path):
    df = good[0].with_columns(reward=pl.when(pl.col("at") < START + 5_000_000).then(2.0).otherwise("reward"))
    with pytest.raises(QualityFailed, match=r"reward_in_range \(.*\): 5 rows, such as") as caught:
        check(df, good, tmp_path).or_raise()
    assert [e in str(caught.value) for e in df["event_id"][:4]] == [True, True, True, False]
    assert "Quarantined 5 of 400" in str(caught.value)


def test_an_account_that_does_not_balance_stops(good, tmp_path):
    lost = Account(decisions_in=N, interactions=N, rewards_in=40, on_time=39)
    report = check(good[0], good, tmp_path, account=lost)
    assert [(f.rule, f.observed) for f in report.critical] == [("account_balances", 1)]


def test_malformed_rewards_warn(good, tmp_path):
    report = check(
        good[0], good, tmp_path, Account(decisions_in=N, interactions=N, rewards_in=40, on_time=30, malformed=10)
    )
    assert report.passed
    assert [f.rule for f in report.warnings] == ["malformed_share"]


def test_an_empty_interval_is_critical(good, tmp_path):
    report = check(good[0][:0], good, tmp_path, account=Account())
    assert [f.rule for f in report.critical] == ["interactions"]


@pytest.mark.parametrize("n", [1, 2])
def test_an_interval_of_a_row_or_two_has_its_pages(good, tmp_path, n):
    report = check(good[0][:n], good, tmp_path, account=Account(decisions_in=n, interactions=n), pages=True)
    assert report.passed
    assert f"{n} interactions" in (tmp_path / "health" / "index.html").read_text()


def test_where_no_row_is_sound_the_rule_is_named_and_the_page_written(good, tmp_path):
    doubled = good[0].with_columns(pmf=pl.col("pmf").list.eval(pl.element() * 2), propensity=pl.col("propensity") * 2)
    report = check(doubled, good, tmp_path, pages=True)
    assert [(f.rule, f.count) for f in report.critical] == [("pmf_sums_to_one", N)]
    assert (tmp_path / "health" / "index.html").exists()


def some(df, rows, find, put):
    """The context's text changed in the first `rows` rows."""
    first = pl.int_range(pl.len()) < rows
    return df.with_columns(context=pl.when(first).then(pl.col("context").str.replace(find, put)).otherwise("context"))


DRIFTS = {
    "missing_share context.country": lambda df: some(df, 100, r'"country":"[A-Z]*",', ""),
    "unknown_share context.country": lambda df: some(df, 75, r'"country":"[A-Z]*"', '"country":"MARS"'),
    "moved context.country": lambda df: some(df, 250, r'"country":"[A-Z]*"', '"country":"JP"'),
    "outside_range context.age": lambda df: some(df, 75, r'"age":[0-9.]*', '"age":400.0'),
    "moved context.hour": lambda df: some(df, 250, r'"hour":[0-9.]*', '"hour":3.0'),
    "missing_share arm_context.affinity": lambda df: df.with_columns(
        arm_context=pl.when(pl.int_range(pl.len()) < 90).then(pl.lit("[{},{}]")).otherwise("arm_context")),
}  # fmt: skip


@pytest.mark.parametrize("rule", DRIFTS)
def test_features_that_drift_warn(good, tmp_path, rule):
    df = DRIFTS[rule](good[0])
    if rule.endswith("affinity"):
        df = df[:150]  # so that 180 of about 700 pairs lack it
    report = check(df, good, tmp_path)
    assert report.passed
    assert [f.rule for f in report.warnings] == [rule]


def test_a_second_sample_of_the_same_world_does_not_warn(good, tmp_path):
    for seed in (1, 2):
        assert check(WORLD.interactions(N, seed=seed), good, tmp_path).or_raise().warnings == ()


@pytest.mark.parametrize(
    ("known", "rule"),
    [(IDS[:12], "arms_new"), ([*IDS, *(f"x{i}" for i in range(30))], "arms_gone")],
)
def test_arm_set_churn_warns(good, tmp_path, known, rule):
    log = IntervalRows.of(good[0])
    report = gx.check(log, reward=good[1], start=BEGIN, end=END, folder=tmp_path, arms=known, pages=False)
    assert [f.rule for f in report.warnings] == [rule]
    assert report.passed


def test_candidate_share_is_held_against_the_stage(good, tmp_path):
    staged = good[0].with_columns(stage=pl.lit("20%"), release=pl.lit(3, pl.Int64))
    units = staged["unit_id"].unique(maintain_order=True)
    off = ["candidate_share release 3 at 20%"]
    for share, rules in ((0.2, []), (0.35, off), (0.0, off)):
        candidates = units[: round(share * len(units))]
        df = staged.with_columns(
            role=pl.when(pl.col("unit_id").is_in(candidates.to_list()))
            .then(pl.lit("candidate"))
            .otherwise(pl.lit("champion"))
        )
        assert [f.rule for f in check(df, good, tmp_path).warnings] == rules


def test_draws_that_are_not_from_the_logged_pmf_stop_it(good, tmp_path):
    """The first candidate shown too often, logged as uniform: found over several intervals, each looked at."""
    first = pl.int_range(pl.len()) % 4 == 0
    df = good[0].with_columns(arm=pl.when(first).then(pl.col("arms").list.get(0)).otherwise("arm"))
    earlier, failed = {}, []
    for part in df[:160].iter_slices(40):
        log = IntervalRows.of(part)
        report = gx.check(log, reward=good[1], start=BEGIN, end=END, folder=tmp_path, earlier=earlier, pages=False)
        earlier = audit.total([earlier, report.audit])
        failed.append([f.rule for f in report.critical])
    assert failed[0] == []  # too little to say so
    assert failed[-1] == ["propensity_audit release 0, champion, uniform"]


def test_pages_change_nothing_of_what_is_found(good, tmp_path):
    broken = FAULTS["role_known"](good[0])
    with_pages, without = (check(broken, good, tmp_path / str(pages), pages=pages) for pages in (True, False))
    assert [f.rule for f in without.critical] == ["role_known"]
    for part in ("critical", "warnings", "held", "audit", "quarantined", "rules", "rows"):
        assert getattr(with_pages, part) == getattr(without, part), part
    assert with_pages.broken.equals(without.broken)


def test_pages_are_offline_and_hold_the_rules(good, tmp_path):
    report = check(FAULTS["role_known"](good[0]), good, tmp_path, pages=True)
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) >= 6
    for page in pages:
        text = page.read_text()
        assert docs.outside(text) == []
        assert "<script" not in text.replace(f"<script>{ZONE}</script>", "")
        for target in re.findall(r'href="([^"#:]+)"', text):
            assert (page.parent / unquote(target)).exists(), f"{page}: {target} leads nowhere"
    overview = report.docs_path.read_text()
    assert overview.count('href="docs/') == 2
    assert 'href="health/index.html"' in overview
    assert "stopped" in overview
    assert good[0]["event_id"][7] in overview


def test_a_page_that_would_ask_elsewhere_is_refused(tmp_path):
    (tmp_path / "x.html").write_text('<head></head><iframe src="https://example.org/x"></iframe>')
    with pytest.raises(ValueError, match="other hosts"):
        docs.offline(tmp_path)
