"""What is rehearsed: all services up, a release that Airflow makes and Triton serves, each service killed, nothing lost."""

import json
import os
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from tests.rehearsal.running import NotReady, Running

API = "http://airflow-apiserver:8080"
ONCE = ("store-init", "airflow-init")
IN_MEMORY = ("store",)  # moto's S3 would be empty after it
GRACE = 600.0


class Story:
    """Told step by step on standard output; `told()` is its summary. Raises NotReady or AssertionError."""

    def __init__(self, running: Running, given: Mapping[str, str], why: Mapping[str, str], *, deadline: float) -> None:
        self.running, self.given, self.why, self.deadline = running, given, why, deadline
        self._began, self._token = time.monotonic(), ""

    def told(self) -> dict[str, Any]:
        for name, why in self.why.items():
            self._say(f"{name}: {why}")
        self.running.up()
        self._say(f"started, each once what it waits for was there: {', '.join(self.running.starts)}")
        os.environ.update(self.running.environment("shipper"))
        from croupier.features.workspace import Workspace
        from tests.rehearsal.shop import Shop, account

        said = self.running.run("shipper", ["croupier", "simulate", "traffic", "--app", "reels", "--declare"])
        assert said.returncode == 0, said.stderr
        w = Workspace.known("reels")
        up = {name: self.running.await_healthy(name) for name in self.running.services if name not in ONCE}
        self._say(f"healthy: {', '.join(up)}")
        shop = Shop(w)
        shop.start()
        dags = self._unpaused()
        self._say(f"a crowd asks; Airflow turns {', '.join(dags)}")
        release = self._released(w, 2)
        self._say(f"Airflow collected, trained, judged and published release {release}; its candidate serves")
        killed = self._killed()
        release = self._goes_on(w)
        self._say("after the kills Airflow collected two further hours")
        delivered = shop.leave()
        codes = {name: self.running.stop(name) for name in self._order() if name not in IN_MEMORY}
        self._say(f"stopped: {codes}")
        found = account(w, shop.client)
        self._say(f"account: {found}")
        for name in IN_MEMORY:
            self.running.stop(name)
        assert delivered, "the client could not deliver everything within a minute"
        assert (found["lost"], found["doubled"], found["otherwise"], found["rewards_lost"]) == (0, 0, 0, 0), found
        assert shop.people.refused == 0, shop.people.refused
        return {
            "healthy_after_kill_seconds": killed, "release": release, "account": found, "exit_codes": codes,
            "starts": self.running.starts, "roles": dict(shop.client.roles), "stand_ins": dict(self.why),
        }  # fmt: skip

    def _say(self, text: str) -> None:
        print(f"[{time.monotonic() - self._began:6.0f} s] {text}", flush=True)

    def _call(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {self._token}"} if self._token else {}
        )
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(API + path, method=method, data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.loads(reply.read() or b"null")

    def _unpaused(self) -> list[str]:
        """Logs in as the user that airflow-init made (FAB), and lets all DAGs run once they were parsed."""
        who = {"username": "admin", "password": self.given["AIRFLOW_ADMIN_PASSWORD"]}
        self._token = self._until("a token", lambda: self._call("POST", "/auth/token", who)["access_token"])
        names = self._until(
            "DAGs", lambda: sorted(d["dag_id"] for d in self._call("GET", "/api/v2/dags?limit=100")["dags"])
        )
        assert self._call("GET", "/api/v2/importErrors")["total_entries"] == 0
        for name in names:
            self._call("PATCH", f"/api/v2/dags/{name}", {"is_paused": False})
        return list(names)

    def _released(self, w: Any, number: int) -> int:
        from croupier.serving.release import rollout_store

        def there() -> bool:
            state = rollout_store.read_state(w.store)
            return state is not None and state.release >= number and state.share > 0

        self._until(f"release {number} with a share", there)
        state = rollout_store.read_state(w.store)
        assert state is not None
        return int(state.release)

    def _killed(self) -> dict[str, float]:
        """Each service once, SIGKILL; seconds until all are healthy again."""
        found = {}
        for name in self.running.services:
            if name in (*ONCE, *IN_MEMORY):
                continue
            self.running.kill(name)
            began = time.monotonic()
            for each in self.running.services:
                if each not in ONCE:
                    self.running.await_healthy(each)
            found[name] = round(time.monotonic() - began, 1)
            self._say(f"{name}: killed; all healthy again after {found[name]} s")
        return found

    def _goes_on(self, w: Any) -> int:
        """Two hours more are collected after the last kill."""
        from croupier.features import clock
        from croupier.features.interactions import hours
        from croupier.features.utc import HOUR, from_us

        since = clock.now_us()
        self._until(
            "two further hours", lambda: len(hours.sound(w.store, start=from_us(since - HOUR), end=clock.now())) >= 2
        )
        return self._released(w, 2)

    def _order(self) -> list[str]:
        """Who is stopped first: who waits for others, as compose does it; triton before the shipper."""
        left, order = list(self.running.services), []
        while left:
            free = [n for n in left if not any(n in self.running.services[other].waits for other in left)]
            order += free
            left = [name for name in left if name not in free]
        return [name for name in order if name not in ONCE]

    def _until(self, what: str, true: Callable[[], Any]) -> Any:
        last = ""
        while time.monotonic() < self.deadline:
            try:
                if found := true():
                    return found
            except OSError as error:
                last = f": {error}"
            time.sleep(2.0)
        raise NotReady(f"not in time: {what}{last}")
