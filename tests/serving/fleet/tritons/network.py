"""Two networks of the fleet: clients reach hosts in front, hosts reach the store and Redis at the back.

A network is a bridge, a host's way into it a pair of virtual interfaces. A link that is down loses every packet: nobody
is told, connections hang until somebody's patience ends.
"""

import subprocess
import time
from pathlib import Path

FRONT, BACK = "10.77.0", "10.78.0"
HUB = 1  # the number of who stands outside all hosts, in either network
JOIN_SECONDS = 30.0


def ip(*words):
    """Raises CalledProcessError, with what `ip` said on standard error."""
    subprocess.run(["ip", *map(str, words)], check=True)


class Network:
    """A bridge of this namespace, with an address on it."""

    def __init__(self, device, prefix):
        self.device, self.prefix, self._links = device, prefix, 0
        ip("link", "add", device, "type", "bridge")
        ip("address", "add", f"{prefix}.{HUB}/24", "dev", device)
        ip("link", "set", device, "up")

    @property
    def hub(self):
        return f"{self.prefix}.{HUB}"

    def address(self, number):
        return f"{self.prefix}.{number}"

    def join(self, pid, number):
        """A link to the network namespace of a process, where the interface has the bridge's name, and no address yet. Its
        hardware address is the number's, so that who comes back is found at once."""
        self._links += 1
        link = Link(f"{self.device}{self._links}")
        hardware = f"02:00:00:00:{int(self.prefix.split('.')[1]):02x}:{number:02x}"
        there = ("name", self.device, "address", hardware, "netns", pid)
        ip("link", "add", link.device, "type", "veth", "peer", *there)
        ip("link", "set", link.device, "master", self.device, "up")
        return link


class Link:
    def __init__(self, device):
        self.device = device

    def cut(self):
        ip("link", "set", self.device, "down")

    def heal(self):
        ip("link", "set", self.device, "up")


def own_network(pid):
    """Waits until a process that was just started has a network namespace of its own."""
    end = time.monotonic() + JOIN_SECONDS
    while Path(f"/proc/{pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
        assert time.monotonic() < end, f"process {pid} made no network namespace"
        time.sleep(0.01)


def settle(device, address):
    """From within: waits for the interface that was promised, and gives it its address."""
    end = time.monotonic() + JOIN_SECONDS
    while subprocess.run(["ip", "link", "show", device], check=False, capture_output=True).returncode:
        assert time.monotonic() < end, f"no interface {device}"
        time.sleep(0.01)
    ip("address", "add", f"{address}/24", "dev", device)
    ip("link", "set", device, "up")
