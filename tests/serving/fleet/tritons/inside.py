"""A serving host, from within: what starts first in its namespaces. It joins the networks, starts the product's own
commands, starts again what ends, and on SIGTERM ends the server first and the shipper last, as the chart's pod does.

python -m tests.serving.fleet.tritons.inside NAME NUMBER       settings come by the environment

The wheel's Triton listens on loopback alone, so a door passes on what comes to the host's address.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from tests.faults.proxy import Proxy
from tests.serving.fleet.tritons.network import BACK, FRONT, ip, settle

PORT, LOOK_SECONDS, GRACE_SECONDS = 8001, 0.2, 90.0
SERVICES = {
    "triton": ("serve", "run"),
    "follower": ("release", "follow", "--every", "1"),
    "shipper": ("ship", "--every", "5"),
}


def start(name):
    with (Path(os.environ["CROUPIER_VAR"]) / f"{name}.log").open("ab") as log:
        command = [str(Path(sys.executable).parent / "croupier"), *SERVICES[name]]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")


def end(service):
    service.terminate()
    try:
        return service.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        service.kill()
        return service.wait()


def main(name, number):
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    socket.sethostname(name)
    ip("link", "set", "lo", "up")
    for device, prefix in (("front", FRONT), ("back", BACK)):
        settle(device, f"{prefix}.{number}")
    door = Proxy(f"127.0.0.1:{PORT}", at=(f"{FRONT}.{number}", PORT))
    running = {service: start(service) for service in SERVICES}
    while not asked.wait(LOOK_SECONDS):
        running |= {service: start(service) for service, process in running.items() if process.poll() is not None}
    codes = {service: end(running[service]) for service in SERVICES}
    door.close()
    return codes["shipper"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
