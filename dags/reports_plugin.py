"""Reports in the Airflow UI: a `Report` button on the tasks that wrote one, and the pages it opens.

The pages come from the app's store (`reports/…`), so any worker may write and any API server show them. Read-only,
for users whom Airflow has let in; nothing but pages can be asked for: no rows, no other app's. /croupier/ is the
landing page: every app in a sentence. /croupier/APP/ lists the pages of one.
Registered in pyproject.toml as an Airflow plugin.
"""

import mimetypes
import re
from pathlib import PurePosixPath
from urllib.parse import quote

from airflow.api_fastapi.core_api.security import requires_authenticated
from airflow.plugins_manager import AirflowPlugin
from airflow.serialization.definitions.operatorlink import XComOperatorLink
from fastapi import Depends, FastAPI, HTTPException, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from croupier.dags import run_notes
from croupier.dags.common import PREFIX, XCOM_KEY
from croupier.features.store import layout

NAME = r"[a-z][a-z0-9_]*"
SHOWN = {".html", ".css", ".js", ".json", ".png", ".svg", ".gif", ".jpg", ".ico", ".woff", ".woff2", ".ttf"}  # no rows
pages = FastAPI(
    title="croupier reports",
    docs_url=None,
    redoc_url=None,
    openapi_url=None,
    dependencies=[Depends(requires_authenticated())],
)


@pages.get("/")
def every_app() -> HTMLResponse:
    """Answers with the landing page: each app with what `monitor` last said of it, or why that is nothing."""
    from croupier.features.clock import now_us
    from croupier.serving.health import landing, landing_page

    return _html(landing_page.render_page(landing.kept(landing.apps()), now=now_us()))


def _html(page: str) -> HTMLResponse:
    return HTMLResponse(page, headers=_headers())


def _headers() -> dict[str, str]:
    """A page may use its own styles and pictures, and the script that adds the reader's own time; nothing else."""
    from croupier.features.quality.pages.page import policy

    return {"Content-Security-Policy": policy()}


@pages.get("/{app}")
def to_its_pages(app: str) -> RedirectResponse:
    """Sends the browser to the app's list of pages."""
    return RedirectResponse(f"{quote(app, safe='')}/")  # relative, so that it holds behind a proxy, too


@pages.get("/{app}/{path:path}")
def page(app: str, path: str) -> Response:
    """Answers with a page of the app's store, or with the list of them."""
    from croupier.features.quality.pages import listing_page
    from croupier.features.workspace import Workspace

    if not path and re.fullmatch(NAME, app):
        try:
            return _html(listing_page.reports(app, Workspace.known(app).store.list(layout.REPORTS)))
        except ValueError:
            raise HTTPException(404, f"no app {app!r}") from None
    shown = PurePosixPath(path).suffix.lower() in SHOWN
    if not re.fullmatch(NAME, app) or ".." in path.split("/") or not shown:
        raise HTTPException(404, "no such report")
    try:
        store = Workspace.known(app).store
        body = store.get(layout.report(path))
    except (KeyError, ValueError):  # no such page, no such app, or another app's store
        raise HTTPException(404, f"no report {path!r} of app {app!r}: run its task again") from None
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    if kind == "text/html":
        body = listing_page.linked(body, path, listing_page.newest(store.list(layout.REPORTS)), above="../")
    return Response(body, media_type=kind, headers=_headers())


class Reports(AirflowPlugin):
    """What Airflow registers: the pages' web app, and the `Report` button."""

    name = "croupier"
    fastapi_apps = [{"app": pages, "url_prefix": PREFIX, "name": "croupier reports"}]  # noqa: RUF012 — Airflow's form
    # the API server's own link, since only it may read XComs there: a link class of ours would have to ask a worker
    global_operator_extra_links = [XComOperatorLink(name="Report", xcom_key=XCOM_KEY)]  # noqa: RUF012
    listeners = [run_notes]  # noqa: RUF012 — which app a run is of
