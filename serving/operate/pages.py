"""Reports kept in the store, where the Airflow UI's `Report` button finds them (dags/reports_plugin.py)."""

from croupier.features.clock import now_us
from croupier.features.store import layout
from croupier.features.workspace import Workspace
from croupier.serving.operate import rollout_report
from croupier.serving.release import rollout_store


def keep_rollout(app: str) -> str:
    """The present rollout's page; returns its key below `reports/`, "" before there is a rollout. Drawn once a step of
    the rollout: a look that changed nothing costs nothing."""
    w = Workspace.open(app)
    state = rollout_store.read_state(w.store)
    if state is None:
        return ""
    key = layout.rollout_report(state.release, len(state.history))
    if not w.store.list(layout.report(key)):
        page = rollout_report.write(w.store, w.home, w.spec, now=now_us())
        w.store.put(layout.report(key), page.read_bytes())
    return key
