"""Prometheus and Alertmanager, where they are installed: run for real, with the example files, only quicker."""

import json
import re
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GIVEN = ROOT / "serving" / "monitoring"
PROMETHEUS, PROMTOOL, AMTOOL = map(shutil.which, ("prometheus", "promtool", "amtool"))
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")  # Debian's name, its own
HOW = "apt-get install prometheus prometheus-alertmanager, and stop the services that it starts"
needs_tools = pytest.mark.skipif(not (PROMTOOL and AMTOOL), reason=f"no promtool, amtool on the path: `{HOW}`")
needs_prometheus = pytest.mark.skipif(
    not (PROMETHEUS and ALERTMANAGER), reason=f"no prometheus, alertmanager on the path: `{HOW}`"
)


def asked(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


def until(true, seconds=60.0):
    """Waits until it is true, since the machine may be busy; returns the value, or fails."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s")


EVERY = 2  # seconds between scrapes, and between evaluations of the rules


class Webhook:
    """What Alertmanager tells people: (name, status) of each alert in each message, in order."""

    def __init__(self):
        self.told = told = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                told.extend((a["labels"]["alertname"], a["status"], a) for a in body["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def heard(self, name, status, after=0):
        """The first alert of this name and status among those that were told after so many others."""
        return next((alert for n, s, alert in self.told[after:] if (n, s) == (name, status)), None)


class Watching:
    """A Prometheus that scrapes one exporter, and an Alertmanager that tells a webhook."""

    def __init__(self, url, webhook):
        self.url, self.webhook = url, webhook

    def samples(self, expression):
        """[(time, value)] of the series of the expression in the last ten minutes, as they were scraped."""
        query = urllib.parse.urlencode({"query": f"{expression}[10m]"})
        found = json.loads(asked(f"{self.url}/api/v1/query?{query}"))["data"]["result"]
        return sorted((float(at), float(value)) for series in found for at, value in series["values"])

    def firing(self, name):
        """When an alarm was firing, as Prometheus has it: [times of evaluations]."""
        return [at for at, _ in self.samples(f'ALERTS{{alertname="{name}", alertstate="firing"}}')]


def _started(command, folder, ready):
    with (folder / f"{Path(command[0]).name}.log").open("w") as log:
        process = subprocess.Popen(list(map(str, command)), cwd=folder, stdout=log, stderr=log)

    def up():
        if process.poll() is not None:
            raise AssertionError((folder / f"{Path(command[0]).name}.log").read_text()[-2000:])
        try:
            return asked(ready)
        except (urllib.error.URLError, OSError):
            return None

    try:
        until(up, 120)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


@contextmanager
def watching(folder, target, ports):
    """The example files with short intervals, this target, and a webhook of ours. `ports`: of Prometheus, of
    Alertmanager."""
    webhook, processes = Webhook(), []
    prometheus, manager = (f"127.0.0.1:{port}" for port in ports)
    told = (GIVEN / "alertmanager.example.yml").read_text().replace("http://127.0.0.1:5001/", webhook.url)
    told = re.sub(r"group_wait: \w+", "group_wait: 0s", re.sub(r"group_interval: \w+", "group_interval: 1s", told))
    (folder / "alertmanager.yml").write_text(told)
    scraped = (GIVEN / "prometheus.example.yml").read_text().partition("  - job_name: triton")[0]
    scraped = scraped.replace("15s", f"{EVERY}s").replace("127.0.0.1:9109", target)
    (folder / "prometheus.yml").write_text(scraped.replace("127.0.0.1:9093", manager))
    shutil.copy(GIVEN / "rules.yml", folder)
    try:
        alertmanager = [ALERTMANAGER, "--config.file=alertmanager.yml", f"--storage.path={folder / 'am'}",
                        f"--web.listen-address={manager}", "--cluster.listen-address="]  # fmt: skip
        processes.append(_started(alertmanager, folder, f"http://{manager}/-/ready"))
        server = [PROMETHEUS, "--config.file=prometheus.yml", f"--storage.tsdb.path={folder / 'tsdb'}",
                  f"--web.listen-address={prometheus}"]  # fmt: skip
        processes.append(_started(server, folder, f"http://{prometheus}/-/ready"))
        yield Watching(f"http://{prometheus}", webhook)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)
        webhook.server.shutdown()
        webhook.server.server_close()
