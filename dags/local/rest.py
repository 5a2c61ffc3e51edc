"""Airflow asked over its REST API: start a run, wait for it, read what it returned."""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from croupier.features.store import layout

DONE = {"success", "failed"}
TRIES, BUSY = 10, "Database error"  # what Airflow answers where its database stays locked
TIMEOUT_SECONDS, TIMED_OUT_TRIES = 30.0, 4  # a busy machine answers late


class AirflowError(RuntimeError):
    """Airflow did not start, refused a request, or a run failed: says which, and where its log is."""


class Rest:
    """An Airflow on this machine, whose folder is `home`."""

    def __init__(self, home: Path, port: int) -> None:
        self.home, self.port = home, port
        self.url = f"http://127.0.0.1:{port}"
        self._token = ""

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Makes one REST call; the token is fetched anew when it has expired. What may be asked twice is so again while
        another process holds Airflow's SQLite file, and where a busy machine answers late."""
        for attempt in range(1, TRIES + 1):
            request = urllib.request.Request(  # noqa: S310  (always our own http://127.0.0.1)
                self.url + path,
                method=method,
                data=None if body is None else json.dumps(body).encode(),
                headers={"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"},
            )
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:  # noqa: S310
                    return json.loads(reply.read() or b"null")
            except urllib.error.HTTPError as error:
                said = error.read().decode()[:500]
                if error.code == 401 and attempt == 1 and path != "/auth/token":
                    self._token = self.call("GET", "/auth/token")["access_token"]
                elif error.code == 500 and BUSY in said and method in ("GET", "PATCH") and attempt < TRIES:
                    time.sleep(1.0)
                else:
                    raise AirflowError(f"{method} {path}: {error.code} {said}") from None
            except TimeoutError:
                if method not in ("GET", "PATCH") or attempt >= TIMED_OUT_TRIES:
                    raise AirflowError(f"{method} {path}: no answer within {TIMEOUT_SECONDS:.0f} s") from None
        raise AssertionError("unreachable")

    def healthy(self) -> bool:
        """True if scheduler and DAG processor say that they are healthy."""
        try:
            health = self.call("GET", "/api/v2/monitor/health")
        except (OSError, AirflowError, http.client.HTTPException):
            return False
        return all(health[part]["status"] == "healthy" for part in ("scheduler", "dag_processor"))

    def trigger(self, dag: str, conf: Mapping[str, object]) -> str:
        """Unpause and start a run by hand; returns its id, which names the app. Params out of bounds are refused
        by name (400)."""
        self._await_dag(dag)
        self.unpause(dag)
        body: dict[str, Any] = {"logical_date": None, "conf": dict(conf)}
        if "app" in conf:
            body["dag_run_id"] = f"{conf['app']}__{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"
        run = self.call("POST", f"/api/v2/dags/{dag}/dagRuns", body)
        return str(run["dag_run_id"])

    def unpause(self, dag: str) -> None:
        """Lets a DAG run, once Airflow has parsed it."""
        self._await_dag(dag)
        self.call("PATCH", f"/api/v2/dags/{dag}", {"is_paused": False})

    def runs(self, dag: str) -> set[str]:
        """Returns the ids of a DAG's latest runs."""
        runs = self.call("GET", f"/api/v2/dags/{dag}/dagRuns?limit=100&order_by=-run_after")["dag_runs"]
        return {str(run["dag_run_id"]) for run in runs}

    def woken(self, dag: str, before: set[str], *, timeout_seconds: float = 120.0) -> str:
        """The run that an asset has started since `before` was taken."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            if new := self.runs(dag) - before:
                return max(new)
            time.sleep(0.5)
        raise AirflowError(f"{dag}: no run within {timeout_seconds:.0f} s, expected its asset to start one")

    def ended_since(self, dag: str, since: str, *, timeout_seconds: float = 300.0) -> str:
        """The first run of `dag` that began after `since` (ISO, UTC), whoever started it, once it has succeeded."""
        asked = f"/api/v2/dags/{dag}/dagRuns?start_date_gte={quote(since)}&order_by=start_date&limit=1"
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            for run in self.call("GET", asked)["dag_runs"]:
                self.wait(dag, str(run["dag_run_id"]), say=lambda _: None)
                return str(run["dag_run_id"])
            time.sleep(0.5)
        raise AirflowError(f"{dag}: no run began within {timeout_seconds:.0f} s after {since}, expected its schedule's")

    def kinds(self, dag: str, runs: Collection[str]) -> set[str]:
        """How these runs were started: "scheduled", "manual", "asset_triggered", …"""
        return {str(self.call("GET", f"/api/v2/dags/{dag}/dagRuns/{run}")["run_type"]) for run in runs}

    def result(self, dag: str, run: str, task: str, *, index: int = -1) -> Any:
        """What a task returned; `index` is that of a mapped task."""
        path = f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/return_value"
        return self.call("GET", f"{path}?deserialize=true&map_index={index}")["value"]

    def _await_dag(self, dag: str) -> None:
        for _ in range(120):
            try:
                self.call("GET", f"/api/v2/dags/{dag}")
                return
            except AirflowError:
                time.sleep(1)
        errors = self.call("GET", "/api/v2/importErrors")
        raise AirflowError(f"DAG {dag} has not been parsed; import errors: {json.dumps(errors)[:1500]}")

    def wait(self, dag: str, run: str, *, say: Callable[[str], None] = print, timeout_seconds: float = 900.0) -> None:
        """Waits until the run has ended; each task is named as it ends. Raises with the failed task's last log
        lines."""
        seen: set[tuple[str, int]] = set()
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            tasks = self.call("GET", f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances")["task_instances"]
            for t in tasks:
                key = (t["task_id"], t["map_index"])
                if key not in seen and t["state"] in {*DONE, "skipped", "upstream_failed"}:
                    seen.add(key)
                    index = f"[{t['map_index']}]" if t["map_index"] >= 0 else ""
                    say(f"  {dag}.{t['task_id']}{index}: {t['state']} ({t['duration'] or 0:.1f} s)")
            state = self.call("GET", f"/api/v2/dags/{dag}/dagRuns/{run}")["state"]
            if state == "success":
                return
            if state == "failed":
                failed = [t["task_id"] for t in tasks if t["state"] == "failed"]
                raise AirflowError(f"{dag} run {run} failed in {failed}:\n{self._log_tail(dag, run, failed)}")
            time.sleep(1)
        raise AirflowError(f"{dag} run {run} has not ended after {timeout_seconds:.0f} s; see {self.url}/dags/{dag}")

    def _log_tail(self, dag: str, run: str, tasks: list[str]) -> str:
        """The errors that the failed tasks logged, without the frames between."""
        folder = self.home / layout.AIRFLOW_LOGS / f"dag_id={dag}" / f"run_id={run}"
        files = [p for t in tasks for p in sorted(folder.glob(f"task_id={t}/**/*.log"))]
        lines = [json.loads(line) for p in files[-1:] for line in p.read_text().splitlines() if line.startswith("{")]
        errors = [e for line in lines for e in line.get("error_detail") or []]
        return "\n".join(f"  {e['exc_type']}: {e['exc_value']}" for e in errors) + f"\n  log: {files[-1:]}"
