"""Reports in the Airflow UI: a `Report` button on the tasks that wrote one, and the pages it opens.

The pages come from the app's store (`reports/…`), so any worker may write and any API server show them. Read-only, and
nothing but reports can be asked for. Registered in pyproject.toml as an Airflow plugin.
"""

import mimetypes
import re

from airflow.plugins_manager import AirflowPlugin
from airflow.serialization.definitions.operatorlink import XComOperatorLink
from fastapi import FastAPI, HTTPException, Response

from dags.common import PREFIX, XCOM_KEY

pages = FastAPI(title="croupier reports", docs_url=None, redoc_url=None, openapi_url=None)


@pages.get("/{app}/{path:path}")
def page(app: str, path: str) -> Response:
    from features.workspace import Workspace

    if not re.fullmatch(r"[a-z][a-z0-9_]*", app) or ".." in path.split("/"):
        raise HTTPException(404, "no such report")
    try:
        body = Workspace.open(app).store.get(f"reports/{path}")
    except KeyError:
        raise HTTPException(404, f"no report {path!r} of app {app!r}: run its task again") from None
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    policy = "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:"
    return Response(body, media_type=kind, headers={"Content-Security-Policy": policy})


class Reports(AirflowPlugin):
    name = "croupier"
    fastapi_apps = [{"app": pages, "url_prefix": PREFIX, "name": "croupier reports"}]  # noqa: RUF012 — Airflow's form
    # the API server's own link, since only it may read XComs there: a link class of ours would have to ask a worker
    global_operator_extra_links = [XComOperatorLink(name="Report", xcom_key=XCOM_KEY)]  # noqa: RUF012
