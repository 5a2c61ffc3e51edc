"""Run in a process of its own: what the UI gets when it asks for a task's buttons.

python ask_links.py DAG RUN TASK OUT.json   → {"Report": "/croupier/…"}
"""

import json
import sys
from pathlib import Path
from urllib.parse import quote

from airflow.api_fastapi.app import create_app, get_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from fastapi.testclient import TestClient


def main(dag, run, task, out):
    with TestClient(create_app(apps="core"), base_url="http://127.0.0.1") as client:
        token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="ann", role="admin"))
        path = f"/api/v2/dags/{dag}/dagRuns/{quote(run)}/taskInstances/{task}/links"
        reply = client.get(path, headers={"Authorization": f"Bearer {token}"})
    Path(out).write_text(json.dumps(reply.json()["extra_links"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
