"""What the task `publish` does with what was published: says it, and is skipped where a promotion waits."""

import pytest

pytestmark = pytest.mark.slow
DONE = {"app": "shop", "release": 3, "published": True, "candidate": "lin_ts"}
NOTHING = {
    "app": "news",
    "release": 2,
    "published": False,
    "why": "nothing was promoted, so the champion goes on serving",
}
WAITS = {
    "app": "shop",
    "release": 2,
    "published": False,
    "why": "lin_ts was promoted and waits: release 2 is at 5%",
    "waits": "…",
}


def test_outcomes_are_said_and_a_promotion_that_waits_is_skipped(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))  # else importing Airflow makes one in the home folder
    from airflow.sdk.exceptions import AirflowSkipException

    from croupier.dags.common import or_skipped

    assert or_skipped([DONE, NOTHING]) == [DONE, NOTHING]
    assert capsys.readouterr().out == (
        "shop: release 3 was published, with lin_ts as its candidate\n"
        "news: nothing was published: nothing was promoted, so the champion goes on serving; release 2 is current\n"
    )
    assert or_skipped([WAITS, DONE]) == [WAITS, DONE]
    with pytest.raises(AirflowSkipException, match=r"^lin_ts was promoted and waits: release 2 is at 5%$"):
        or_skipped([WAITS])
