"""The shops of tests/dags/test_ordinary_shops.py by the functions that the DAGs' tasks call, without Airflow: quicker."""

import json

import pytest

from croupier.features import build, scheduled
from croupier.models import training
from croupier.serving.operate import verdict_release
from tests.dags import test_ordinary_shops as shops

pytestmark = pytest.mark.medium


def by_functions(_, dag, conf):
    """What `dag.test()` returns of the tasks that the test reads."""
    given = json.loads(conf)
    if dag == "build_features":
        app, asked = given["app"], (given["start"], given["end"])
        build.collect(app)
        scheduled.or_raise(scheduled.validate(app, asked, scheduled.join(app, asked)))
        return {"state": "success", "returned": {"encode": scheduled.encode(app, asked)}}
    jobs = [training.train(**job) for job in training.plan([(given["app"], given["features"])])]
    verdicts = training.judge(jobs)
    published = [verdict_release.publish_verdict(verdict) for verdict in verdicts]
    return {"state": "success", "returned": {"judge": verdicts, "publish": published}}


@pytest.fixture(autouse=True)
def var(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))


def test_an_ordinary_log_goes_from_init_to_a_rollout(tmp_path):
    shops.test_an_ordinary_log_goes_from_init_to_a_rollout(by_functions, None, tmp_path)


@pytest.mark.parametrize(
    ("name", "leak"),
    [
        pytest.param("order", shops.order_value, marks=pytest.mark.full),  # which runs through Airflow
        ("price", shops.price_shown),
        ("rating", shops.rating),
    ],
)
def test_the_same_log_with_a_column_that_came_too_late_is_refused_by_name(tmp_path, name, leak):
    check = shops.test_the_same_log_with_a_column_that_came_too_late_is_refused_by_name
    check(by_functions, None, tmp_path, name, leak)
