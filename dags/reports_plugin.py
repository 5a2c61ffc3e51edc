"""Reports in the Airflow UI: a `Report` button on the tasks that wrote one, and the pages it opens.

The pages come from the app's store (`reports/…`), so any worker may write and any API server show them. Read-only,
for users whom Airflow has let in; nothing but pages can be asked for: no rows, no other app's. /croupier/ lists the
apps, /croupier/APP/ the pages of one.
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
    """Answers with a list of the apps, each with the sentence that `monitor` last said of it."""
    from croupier.features.quality.pages import listing_page
    from croupier.features.settings import Settings

    names = sorted(path.parent.name for path in Settings().var.absolute().glob(layout.DECLARED_APPS))
    return HTMLResponse(listing_page.apps(names, {name: _said(name) for name in names}))


def _said(app: str) -> str:
    """The app's sentence; "" where there is none, or its store cannot be read: the list must not fail by one app."""
    from croupier.features.store.storage import StoreError
    from croupier.features.workspace import Workspace
    from croupier.serving.health.examine import last_sentence

    try:
        return last_sentence(Workspace.known(app))
    except (KeyError, ValueError, StoreError):
        return ""


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
            return HTMLResponse(listing_page.reports(app, Workspace.known(app).store.list(layout.REPORTS)))
        except ValueError:
            raise HTTPException(404, f"no app {app!r}") from None
    shown = PurePosixPath(path).suffix.lower() in SHOWN
    if not re.fullmatch(NAME, app) or ".." in path.split("/") or not shown:
        raise HTTPException(404, "no such report")
    try:
        body = Workspace.known(app).store.get(layout.report(path))
    except (KeyError, ValueError):  # no such page, no such app, or another app's store
        raise HTTPException(404, f"no report {path!r} of app {app!r}: run its task again") from None
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    policy = "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:"
    return Response(body, media_type=kind, headers={"Content-Security-Policy": policy})


class Reports(AirflowPlugin):
    """What Airflow registers: the pages' web app, and the `Report` button."""

    name = "croupier"
    fastapi_apps = [{"app": pages, "url_prefix": PREFIX, "name": "croupier reports"}]  # noqa: RUF012 — Airflow's form
    # the API server's own link, since only it may read XComs there: a link class of ours would have to ask a worker
    global_operator_extra_links = [XComOperatorLink(name="Report", xcom_key=XCOM_KEY)]  # noqa: RUF012
    listeners = [run_notes]  # noqa: RUF012 — which app a run is of
