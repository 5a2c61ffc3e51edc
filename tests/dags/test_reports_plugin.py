"""Report pages: behind Airflow's login, of known apps, pages only. The real plugin, in Airflow's own API application."""

import json
import os
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow
ASK = """
import json, os, sys
from pathlib import Path
from airflow.api_fastapi.app import create_app, get_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from fastapi.testclient import TestClient
from croupier.features.workspace import Workspace

os.chdir(os.environ["CROUPIER_VAR"])
for name in ("alpha", "beta"):
    w = Workspace.open(name)
    w.home.mkdir()
    (w.home / "app.toml").write_text("")
    w.store.put("reports/quality/docs/index.html", b"of Great Expectations")
    w.store.put("reports/gate/a1/index.html", b"a verdict")
    w.store.put("reports/quality/index.html", f"page of {name}".encode())
    w.store.put("reports/quality/quarantine.parquet", b"rows")
Workspace.open("alpha").store.put("reports/health/verdict.html", b"<!-- pages -->the health of alpha")
old = {"level": "fine", "sentence": "alpha is well", "known": True, "at": 1_700_000_000_000_000, "examined": 1_700_000_000_000_000}
Workspace.open("alpha").store.put("reports/health/verdict.json", json.dumps(old).encode())
Path("broken").mkdir()
Path("broken/app.toml").write_text("")
Path("broken/store").write_text("a file where a folder is expected")
app = create_app(apps="core")
paths = ["alpha/quality/index.html", "beta/quality/index.html", "alpha/quality/quarantine.parquet", "typo/quality/index.html",
         "alpha/quality/none.html", "alpha/..%2F..%2Fbeta%2Fquality%2Findex.html", "alpha/../beta/quality/index.html", "airflow/x.html",
         "alpha/", "alpha", "", "typo/", "..%2Fbeta/", "alpha/health/verdict.html"]
with TestClient(app, base_url="http://127.0.0.1") as client:
    outside = {p: client.get("/croupier/" + p).status_code for p in paths}
    forged = client.get("/croupier/" + paths[0], headers={"Authorization": "Bearer forged"}).status_code
    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="ann", role="viewer"))
    asked = {p: client.get("/croupier/" + p, headers={"Authorization": f"Bearer {token}"}) for p in paths}
    cookie = TestClient(app, base_url="http://127.0.0.1", cookies={"_token": token}).get("/croupier/" + paths[0]).status_code
inside = {p: [r.status_code, r.text if r.status_code == 200 else ""] for p, r in asked.items()}
Path(sys.argv[1]).write_text(json.dumps({"outside": outside, "forged": forged, "inside": inside, "cookie": cookie,
                                         "policy": asked[""].headers["Content-Security-Policy"], "folders": sorted(p.name for p in Path(".").iterdir())}))
"""


def test_pages_are_for_whom_airflow_let_in_and_nothing_else_is_shown(dags, tmp_path):
    env = dags.env | {"CROUPIER_VAR": str(tmp_path / "var"), "PYTHONPATH": os.pathsep.join(sys.path)}
    env["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] = "False"  # as in production: there are users
    (tmp_path / "var").mkdir()
    done = subprocess.run([sys.executable, "-c", ASK, str(tmp_path / "out.json")], env=env, capture_output=True, text=True,
                          timeout=200, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    found = json.loads((tmp_path / "out.json").read_text())
    assert set(found["outside"].values()) == {401}
    assert found["forged"] == 403
    assert found["cookie"] == 200
    inside = found["inside"]
    assert re.findall(r'href="([^"]*)"', inside["alpha/"][1]) == [
        "../", "health/verdict.html", "gate/a1/index.html", "quality/index.html",
    ]  # fmt: skip
    assert inside["alpha"] == inside["alpha/"]
    landing = inside[""][1]
    assert re.findall(r'href="([^"]*)"', landing) == [
        "alpha/health/verdict.html", "alpha/gate/a1/index.html", "alpha/quality/index.html", "alpha/",
        "beta/gate/a1/index.html", "beta/quality/index.html", "beta/",
    ]  # fmt: skip
    assert "beta: not examined yet" in landing
    assert "broken: its health could not be computed" in landing
    assert "alpha: not examined since 2023-11-14 22:13 UTC" in landing, "what was said long ago is not believed"
    assert '<span class="badge good">' not in landing
    assert found["policy"].count("script-src 'sha256-") == 1
    shown = {path: text for path, (status, text) in inside.items() if status == 200 and path.endswith(".html")}
    links = re.findall(r'href="([^"]*)"', shown["alpha/health/verdict.html"])
    assert links == ["../../", "../gate/a1/index.html", "../quality/index.html"]
    shown["alpha/health/verdict.html"] = shown["alpha/health/verdict.html"].rpartition("</nav>")[2].strip()
    assert shown == {
        "alpha/quality/index.html": "page of alpha",
        "beta/quality/index.html": "page of beta",
        "alpha/../beta/quality/index.html": "page of beta",  # resolved by the client
        "alpha/health/verdict.html": "the health of alpha",
    }
    assert {status for status, _ in found["inside"].values()} == {200, 404}
    assert found["folders"] == ["alpha", "beta", "broken"], "who asks for an unknown app makes no folder"
