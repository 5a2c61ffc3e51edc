"""Airflow's REST interface, over a socket: what is asked again while its database is busy, and what never is."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from croupier.dags.local import rest
from croupier.dags.local.rest import AirflowError, Rest

BUSY = (500, {"detail": "Database error"})
LATE = 0  # the code of an answer that is not given in time


@pytest.fixture
def airflow(tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A server that gives the answers of `answers` in their order, and keeps what it was asked."""
    seen = SimpleNamespace(answers=[], asked=[], asked_again=threading.Event())

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen.asked.append((self.command, self.path))
            code, body = seen.answers.pop(0)
            if code == LATE:
                seen.asked_again.wait(timeout=60)
                return
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        do_GET = do_POST = do_PATCH = answer

        def log_message(self, *said: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        seen.rest = Rest(tmp_path, server.server_port)
        yield seen
        seen.asked_again.set()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_what_may_be_asked_twice_is_while_the_database_is_busy(airflow, method):
    airflow.answers = [BUSY, (200, {"state": "success"})]
    assert airflow.rest.call(method, "/api/v2/dags") == {"state": "success"}
    assert airflow.asked == [(method, "/api/v2/dags")] * 2


def test_a_run_is_asked_for_once_whatever_the_answer(airflow):
    """The run may have begun, though the answer failed: a second would be another run."""
    airflow.answers = [BUSY]
    with pytest.raises(AirflowError, match=r"POST /api/v2/dags/a/dagRuns: 500 .*Database error"):
        airflow.rest.call("POST", "/api/v2/dags/a/dagRuns", {})
    assert len(airflow.asked) == 1


def test_another_error_is_said_at_once(airflow):
    airflow.answers = [(500, {"detail": "a plugin fails"})]
    with pytest.raises(AirflowError, match=r"GET /api/v2/dags: 500 .*a plugin fails"):
        airflow.rest.call("GET", "/api/v2/dags")
    assert len(airflow.asked) == 1


def test_a_token_that_expired_is_fetched_anew(airflow):
    airflow.answers = [(401, None), (200, {"access_token": "new"}), (200, [1])]
    assert airflow.rest.call("GET", "/api/v2/dags") == [1]
    assert [path for _, path in airflow.asked] == ["/api/v2/dags", "/auth/token", "/api/v2/dags"]


def test_a_late_answer_is_waited_for_again_but_no_run_is_asked_for_twice(airflow, monkeypatch):
    monkeypatch.setattr(rest, "TIMEOUT_SECONDS", 0.3)
    airflow.answers = [(LATE, None), (200, {"state": "success"})]
    assert airflow.rest.call("GET", "/api/v2/dags") == {"state": "success"}
    airflow.answers = [(LATE, None)] * rest.TIMED_OUT_TRIES
    with pytest.raises(AirflowError, match=r"GET /api/v2/dags: no answer within"):
        airflow.rest.call("GET", "/api/v2/dags")
    assert len(airflow.asked) == 2 + rest.TIMED_OUT_TRIES
    airflow.answers = [(LATE, None)]
    with pytest.raises(AirflowError, match=r"POST /api/v2/dags/a/dagRuns: no answer within"):
        airflow.rest.call("POST", "/api/v2/dags/a/dagRuns", {})
    assert len(airflow.asked) == 3 + rest.TIMED_OUT_TRIES
