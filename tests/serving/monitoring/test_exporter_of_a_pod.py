"""What the exporter says on a host that shares the store and has no declaration."""

from croupier.features.store import layout
from croupier.features.utc import HOUR
from tests.serving.monitoring.test_exporter import NOON, make, read


def test_a_host_that_only_shares_the_store_is_read_without_an_app_toml(tmp_path, monkeypatch):
    """A pod of the Helm chart: what needs the declaration is told by whoever has it, and nothing of it is a failure."""
    for name, value in {"VAR": str(tmp_path), "HOST": "h1", "DURABILITY": "NORMAL"}.items():
        monkeypatch.setenv(f"CROUPIER_{name}", value)
    whole = read(w := make(tmp_path, "shop").settings.app, at=NOON + 2 * HOUR)
    home = tmp_path / "shop"
    monkeypatch.setenv("CROUPIER_STORE", str(home / layout.STORE))
    (home / layout.APP_TOML).rename(home / "elsewhere")
    alone = read(w, at=NOON + 2 * HOUR)
    assert alone["up", "shop"] == 1.0
    missing = {name for name, *_ in whole} - {name for name, *_ in alone}
    assert missing == {
        "hours_due",
        "hour_lag_seconds",
        "quality_failed_hours",
        "log_expected_rewards",
    }
    assert alone["log_unshipped_rows", "shop"] == whole["log_unshipped_rows", "shop"] == 125.0
    monkeypatch.delenv("CROUPIER_STORE")
    assert read(w, at=NOON + 2 * HOUR)["up", "shop"] == 0.0, "without a store of many hosts something is missing"
