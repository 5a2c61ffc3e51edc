"""Three serving hosts, one store, one Redis and one controller, each by the product's own commands; and the crowd's clients."""

import json
import secrets
import subprocess
import time
from contextlib import suppress

from croupier.features.settings import Settings
from croupier.features.workspace import Workspace
from croupier.models.baselines import Uniform
from croupier.serving.client.errors import Unavailable
from croupier.serving.client.messages import CANARY_COLUMNS
from croupier.serving.client.secure import Tls
from croupier.serving.release import rollout_store
from tests.serving import apps
from tests.serving.embedded import shop
from tests.serving.fleet.fleets import until
from tests.serving.fleet.tritons.crowd import Crowd
from tests.serving.fleet.tritons.machine import Machine, environment

KEY, BUCKET, STORE = "k" * 32, "fleet", "s3://fleet/shop"
NUMBERS, WATCH_SECONDS, START_SECONDS, TRIES = (11, 12, 13), 10, 600.0, 3
NAME = "triton"  # what the certificate is made out to
TLS = {"TLS_CERT": "server.crt", "TLS_KEY": "server.key", "TLS_ROOT": "ca.crt"}


class Fleet:
    """`controller` is the app on a machine that serves nobody: it publishes, watches, and moves the rollout."""

    def __init__(self, folder, networks, *, s3, redis):
        self.folder, self._s3, token = folder, s3, secrets.token_hex(16)
        self._settings = {"APP": "shop", "STORE": STORE, "S3_ENDPOINT": s3, "UNIT_KEY": KEY}
        files = self._keys(folder / "tls")
        serving = environment(**self._settings, **files, REDIS=redis, TLS_NAME=NAME, TOKEN=token, PATIENCE_MS=60_000)
        self.machines = [
            Machine(n, f"host-{i}", folder / f"host-{i}", app=self.app, networks=networks, environment=serving)
            for i, n in enumerate(NUMBERS)
        ]
        for machine in self.machines:
            shop.opened(machine.var, fast_loop=True)
        shop.opened(folder / "controller", fast_loop=True)
        self.controller = self.app(folder / "controller")
        shop.publish(self.controller, apps.trained("lin_ts"), Uniform())
        self._watching = self._watched()
        for machine in self.machines:
            machine.start()
        self.crowd = Crowd(self.machines, seed=5, tls=Tls(root=files["TLS_ROOT"], name=NAME), token=token)

    def app(self, var):
        return Workspace(Settings(app="shop", var=var, store=STORE, s3_endpoint=self._s3, unit_key=KEY))

    def ready(self):
        """Waits until each host decides, asked at its address; returns the seconds."""
        began = time.monotonic()
        until(lambda: all(map(_decides, self.crowd.clients)), START_SECONDS)
        return time.monotonic() - began

    def moved(self, *words):
        """Moves the rollout by the product's command; returns what it says of the state."""
        command = ["croupier", "rollout", *words, "--json"]
        for _ in range(TRIES):  # whoever watches may have been faster
            done = subprocess.run(command, env=self._here, check=False, capture_output=True, text=True)
            if done.returncode == 0:
                return json.loads(done.stdout)
        raise AssertionError(done.stderr)

    def state(self):
        """Where the rollout stands, as the store has it."""
        return rollout_store.read_state(self.controller.store)

    def close(self):
        self._watching.kill()
        self._watching.wait()
        for machine in self.machines:
            machine.kill()

    @property
    def _here(self):
        return environment(**self._settings, VAR=self.folder / "controller")

    def _keys(self, folder):
        command = ["croupier", "keys", "tls", str(folder), "--host", NAME, "--host", "127.0.0.1"]
        subprocess.run(command, env=environment(), check=True, capture_output=True)
        return {name: folder / file for name, file in TLS.items()}

    def _watched(self):
        with (self.folder / "controller" / "turn.log").open("wb") as log:
            command = ["croupier", "turn", "--every", str(WATCH_SECONDS)]
            return subprocess.Popen(command, env=self._here, stdout=log, stderr=log)


def _decides(client):
    with suppress(Unavailable):
        return client.call("select_arm", CANARY_COLUMNS, timeout_ms=2000.0)["error"] == [""]
    return False
