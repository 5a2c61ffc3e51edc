"""Reports kept in the store, where the Airflow UI's `Report` button finds them (dags/reports_plugin.py)."""

from features.workspace import Workspace
from serving import publish, rollout_report


def keep_rollout(app: str) -> str:
    """Write the present rollout's page; returns its key below `reports/`, "" before there is a rollout."""
    w = Workspace.open(app)
    try:
        page = rollout_report.write(w.store, w.home, w.spec, now=publish.now_us())
    except KeyError:
        return ""
    key = f"rollout/{page.name}"
    w.store.put(f"reports/{key}", page.read_bytes())
    return key
