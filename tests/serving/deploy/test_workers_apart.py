"""Airflow's workers, and turns of the CronJob, share nothing but the store: each task of the loop in a folder of its own."""

import shutil
from datetime import UTC, datetime, timedelta

import pytest

from croupier.features import build, scheduled
from croupier.features.log.ship import ship
from croupier.models import training
from croupier.serving.operate import verdict_release, watch
from tests import shop

pytestmark = pytest.mark.full


def test_each_task_may_run_on_another_worker(tmp_path, monkeypatch):
    made = shop.of_commands(tmp_path, monkeypatch)
    monkeypatch.setenv("CROUPIER_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("CROUPIER_UNIT_KEY", "one key of all workers")
    monkeypatch.setenv("CROUPIER_QUALITY_PAGES", "false")
    w = shop.write(4000, 3)
    spool = w.spool()
    assert ship(spool, w.store, host="serving").decisions == 4000
    spool.close()
    hours = sorted({key.partition("hour=")[2][:13] for key in w.store.list("log/decisions/")})
    first, last = (datetime.strptime(hour, "%Y-%m-%dT%H").replace(tzinfo=UTC) for hour in (hours[0], hours[-1]))
    asked = (first.isoformat(), (last + timedelta(hours=1)).isoformat())
    workers = iter(range(99))

    def elsewhere(task, *args, **kwargs):
        home = tmp_path / f"worker-{next(workers)}" / "shop"
        home.mkdir(parents=True)
        for name in ("app.toml", "catalogue.json"):
            shutil.copy(made / name, home / name)
        monkeypatch.setenv("CROUPIER_VAR", str(home.parent))
        return task(*args, **kwargs)

    elsewhere(build.collect, "shop")
    checked = elsewhere(scheduled.validate, "shop", asked, elsewhere(scheduled.join, "shop", asked))
    scheduled.or_raise(checked)
    features = elsewhere(scheduled.encode, "shop", asked)["features"]
    trained = [elsewhere(training.train, **job) for job in elsewhere(training.plan, [("shop", features)])]
    (verdict,) = elsewhere(training.judge, trained)
    published = elsewhere(verdict_release.publish_verdict, verdict)
    assert (published["release"], published["published"]) == (1, True), published
    assert elsewhere(watch.watch, "shop")["stage"] == "5%"
    assert next(workers) > 8
