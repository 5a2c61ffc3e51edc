"""`croupier release follow`: a host that does not publish serves what the store says, once, or beside its server."""

import sys
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console

from croupier.features.clock import now_us
from croupier.features.store.storage import StoreError
from croupier.features.workspace import Workspace
from croupier.serving.commands.telling import LONGEST_PAUSE, App, AsJson, told
from croupier.serving.decide import price_reader
from croupier.serving.evidence.breakers import BreakerReport
from croupier.serving.operate import catalogue_release, deployment
from croupier.serving.operate.deployment import triton_address
from croupier.serving.release.bundle import ReleaseRefused
from croupier.serving.release.rollout_store import MirrorFollower

REFUSED_SECONDS = 60.0  # between two tries of a release that was refused here: each loads it beside the one that serves
console = Console(markup=False)
Every = Annotated[
    float, typer.Option(min=0.0, max=LONGEST_PAUSE, help="again after so many seconds, until it is stopped; 0: once")
]


def follow(app: App = "default", every: Every = 0.0, as_json: AsJson = False) -> None:
    """On a host that does not publish: fetch, try and serve the current release, and mirror the stage. A catalogue.json
    that was changed on this host is released. With --every an error is told, and the next look goes on: while the store
    or the server is away, what serves here serves on."""
    w = Workspace.known(app)
    host = _Host(w)
    if not every:
        host.tell(host.look(), as_json=as_json)
        return
    before = ""
    while True:
        said = ""
        try:
            host.tell(host.look(), as_json=as_json)
        except (ValueError, RuntimeError, KeyError, OSError, StoreError) as error:
            said = f"{type(error).__name__}: {error}"
        if said and said != before:
            print(f"{datetime.now(UTC):%H:%M:%S} {said}", file=sys.stderr, flush=True)
        before = said
        time.sleep(every)


class _Host:
    """What one host has seen of the store so far."""

    def __init__(self, w: Workspace) -> None:
        self._w, self._said = w, ""
        self._mirror = MirrorFollower(w.home)
        self._breaker = BreakerReport(w.home, w.settings.host)
        self._refused, self._again = 0, 0.0

    def look(self) -> dict[str, Any]:
        """One look: a changed catalogue.json, the current release, the stage; the store is told of an open breaker. The
        stage is mirrored before a release is tried, and whatever becomes of it, so that a rollout that was aborted ends
        here, too. Raises what kept the release from being served."""
        w = self._w
        self._mirror.look(w.store)
        catalogue = catalogue_release.look(w, now_us())
        try:
            number = self._deployed()
        finally:
            state = self._mirror.look(w.store)
            price_reader.mirror(w.store, w.home)
            self._breaker.look(w.store, state)  # last: where it may not be written, all else is done
        return {"app": w.settings.app, "deployed": number, "catalogue": catalogue}

    def tell(self, found: dict[str, Any], *, as_json: bool) -> None:
        said, self._said = self._said, found["catalogue"]
        if told(as_json, found):
            return
        if found["catalogue"] and found["catalogue"] != said:
            console.print(f"catalogue: {found['catalogue']}")
        if found["deployed"] is not None:
            console.print(f"release {found['deployed']} deployed")

    def _deployed(self) -> int | None:
        """The number of the release that this look brought here; None where it was here."""
        number = deployment.news(self._w.store, self._w.home)
        if number is None or (number == self._refused and time.monotonic() < self._again):
            return None
        try:
            deployment.deploy(self._w.store, self._w.home, number, triton=triton_address(self._w))
        except ReleaseRefused:
            self._refused, self._again = number, time.monotonic() + REFUSED_SECONDS
            raise
        return number
