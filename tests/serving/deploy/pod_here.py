"""The chart's pods without Kubernetes: each container's own command and environment, as processes of this machine.

Run in a network and a process namespace of its own (`unshare --net --pid`), so that the ports are those of the chart. Three
things differ from a cluster, since there is no container engine here: paths below /croupier are folders of `folder`,
Triton is the wheel's, which listens on loopback alone, and nobody enforces limits, users and policies.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.kubernetes_here import MINIMUM, objects, rendered
from tests.moto_server import KEYS, moto_server
from tests.redis_here import SERVER, RedisHere

APP_TOML = """
[reward]
window_seconds = 600
[reward.kinds.click]
[context.device]
type = "categorical"
[policies]
fast_loop = true
"""
CATALOGUE = '[{"arm_id": "a"}, {"arm_id": "b"}, {"arm_id": "c"}]'
TOKEN = "a-token-of-16-and-more"


class Pod:
    """Containers of one pod; `root` is where its paths lie."""

    def __init__(self, spec, root, secrets):
        self.spec, self.root, self.secrets, self.running = spec, root, secrets, {}
        for mount in ("var", "tls", "declared"):
            (root / mount).mkdir(parents=True, exist_ok=True)

    def environment(self, container):
        given = {"metadata.name": self.root.name}
        found = {}
        for each in container["env"]:
            source = each.get("valueFrom", {})
            value = each.get("value", self.secrets.get(source.get("secretKeyRef", {}).get("key")))
            found[each["name"]] = self.here(given[source["fieldRef"]["fieldPath"]] if "fieldRef" in source else value)
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("CROUPIER_", "AWS_"))}
        return clean | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"} | found

    def here(self, text):
        return re.sub(r"(?<![\w/])/croupier/", f"{self.root}/", text).replace("0.0.0.0", "127.0.0.1")

    def container(self, name):
        return next(c for c in [*self.spec["initContainers"], *self.spec["containers"]] if c["name"] == name)

    def start(self, name):
        container = self.container(name)
        log = (self.root / f"{name}.log").open("wb")
        words = [self.here(word) for word in container["command"]]
        self.running[name] = subprocess.Popen(words, env=self.environment(container), stdout=log, stderr=log, cwd="/")
        log.close()

    def call(self, name, words=None, seconds=300.0):
        """(exit code, what was said) of a container that ends, or of other words in its place."""
        container = self.container(name)
        words = [self.here(word) for word in words or container["command"]]
        options = {"capture_output": True, "text": True, "timeout": seconds, "cwd": "/"}
        done = subprocess.run(words, check=False, env=self.environment(container), **options)
        return done.returncode, done.stdout + done.stderr

    def end(self, name, seconds=60.0):
        """SIGTERM, as the kubelet sends it. Returns the exit code."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(seconds)
        finally:
            process.kill()

    def said(self, name):
        return (self.root / f"{name}.log").read_text(errors="replace")

    def megabytes(self, name):
        status = Path(f"/proc/{self.running[name].pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def until(true, seconds=120.0, what=""):
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.2)
    return found


def pods(folder, endpoint):
    """(the serving pod's spec, the turn's)"""
    port = int(endpoint.rpartition(":")[2])
    values = MINIMUM | {
        "store": {"url": "s3://croupier/shop", "endpoint": endpoint},
        "networkPolicy": {"storePorts": [port]},
        "secret": {"redis": bool(SERVER)},
        "declaration": {"appToml": APP_TOML, "catalogue": CATALOGUE},
        "shipper": {"everySeconds": 3600},
        "turn": {"enabled": True, "image": MINIMUM["image"]},
    }
    there = objects(rendered(values, folder))
    turn = there["CronJob", "demo-shop-turn"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return there["StatefulSet", "demo-shop"]["spec"]["template"]["spec"], turn, there["ConfigMap", "demo-shop"]["data"]


def decided(client, n):
    """{event: what was answered} of n decisions, each rewarded."""
    found = {}
    for i in range(n):
        chosen = client.select(unit_id=f"u{i}", context={"device": "phone"}, arms=["a", "b", "c"])
        client.reward(event_id=chosen.event_id, kind="click", value=float(i % 2))
        found[chosen.event_id] = [chosen.arm, chosen.propensity, chosen.release]
    return found


def called(host, tls):
    """What a product's client is answered, by the certificate and the token."""
    from croupier import Client
    from croupier.serving.client.secure import Tls

    told = {}
    with Client(
        "127.0.0.1:8001", fallback=None, deadline_ms=5000, token=TOKEN, tls=Tls(root=tls / "ca.crt", name="triton")
    ) as client:
        told["decided"] = decided(client, 40)
    told["health"] = host.call("triton", host.container("triton")["readinessProbe"]["exec"]["command"])
    return told


def lived(folder, endpoint, secrets):
    """A pod from its start to its end, beside two turns of the loop. Returns what was seen."""
    serving, turning, declared = pods(folder, endpoint)
    host, turn = Pod(serving, folder / "demo-shop-0", secrets), Pod(turning, folder / "turn", secrets)
    told = {
        "keys": host.call(
            "triton", ["croupier", "keys", "tls", str(host.root / "tls"), "--host", "triton", "--host", "127.0.0.1"]
        )
    }
    for name, text in declared.items():
        (turn.root / "declared" / name).write_text(text)
        (host.root / "declared" / name).write_text(text)
    try:
        told["declare"] = [host.call("declare"), sorted(path.name for path in (host.root / "var" / "shop").iterdir())]
        for sidecar in serving["initContainers"][1:]:
            host.start(sidecar["name"])
        host.start("triton")
        told["turn"] = [turn.call(name) for name in ("declare", "begin", "turn")]
        until(lambda: "release 1 deployed" in host.said("follower"), 240, "release 1 is served")
        until(lambda: host.call("triton", ["croupier", "serve", "health"])[0] == 0, 120, "the server decides")
        told |= called(host, host.root / "tls")
        import urllib.request

        page = urllib.request.urlopen("http://127.0.0.1:9109/metrics", timeout=30).read().decode()
        told["exported"] = [
            line for line in page.splitlines() if line.startswith(("croupier_up", "croupier_release_number"))
        ]
        told["megabytes"] = {name: round(host.megabytes(name)) for name in host.running}
        told["unshipped"] = host.call("shipper", ["croupier", "account", "--json"])[1]
        told["ended"] = {name: host.end(name) for name in ("triton", "exporter", "follower", "shipper")}
        told["logs"] = {name: host.said(name)[-2000:] for name in ("triton", "exporter", "follower", "shipper")}
        return told
    finally:
        for process in host.running.values():
            process.terminate()
        for process in host.running.values():
            process.wait(30)


def rows(endpoint, kind):
    """Every row of a kind in the store's log."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from croupier.features.store.storage import open_store

    store = open_store("s3://croupier/shop", endpoint=endpoint)
    found = [
        row for key in store.list(f"log/{kind}/") for row in pq.read_table(pa.BufferReader(store.get(key))).to_pylist()
    ]
    return [{name: row.get(name) for name in ("event_id", "arm", "propensity", "release", "value")} for row in found]


def main(folder):
    import boto3

    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    os.environ.update(KEYS)
    redis = RedisHere() if SERVER else None
    with moto_server() as (_, url):
        os.environ.update(KEYS)
        boto3.client("s3", endpoint_url=f"http://{url}").create_bucket(Bucket="croupier")
        secrets = KEYS | {"CROUPIER_UNIT_KEY": "a key of units", "CROUPIER_TOKEN": TOKEN}
        secrets |= {"CROUPIER_REDIS": redis.url} if redis else {}
        try:
            told = lived(folder, f"http://{url}", secrets)
            told["in the store"] = {kind: rows(f"http://{url}", kind) for kind in ("decisions", "rewards")}
        finally:
            if redis:
                redis.stop()
    (folder / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
