"""The page that lists an app's reports, newest first, by kind: what its tasks and commands kept under `reports/`."""

from collections.abc import Sequence
from html import escape
from urllib.parse import quote

from croupier.features.quality import pages
from croupier.features.store import layout

KINDS = {"quality": "Data quality, by interval", "gate": "The gate's verdicts, by key of the features",
         "rollout": "Rollouts, by release and step", "health": "Health of the log"}  # fmt: skip
MOST = 200  # of a kind; older ones are counted


def page(app: str, keys: Sequence[str]) -> str:
    """HTML with a relative link to each page among the store's keys."""
    found = [layout.report_name(key) for key in keys if key.endswith(".html") and f"/{layout.DATA_DOCS}/" not in key]
    kinds = dict.fromkeys([*KINDS, *sorted({path.split("/")[0] for path in found})])
    parts = [_kind(kind, [p for p in found if p.split("/")[0] == kind]) for kind in kinds]
    body = "".join(parts) or "<p>No page yet: the DAGs build_features, train_and_gate and watch_rollout write them.</p>"
    return pages.page(f"{app}: reports", f"<h1>{escape(app)}: reports</h1>{body}")


def _kind(kind: str, paths: Sequence[str]) -> str:
    if not paths:
        return ""
    newest = sorted(paths, reverse=True)
    items = "".join(f'<li><a href="{quote(path)}">{escape(_named(path))}</a></li>' for path in newest[:MOST])
    more = f"<p>and {len(newest) - MOST:,} older ones</p>" if len(newest) > MOST else ""
    return f"<h2>{escape(KINDS.get(kind, kind))}</h2><ul>{items}</ul>{more}"


def _named(path: str) -> str:
    """quality/20260921T0000-…/health/index.html → 20260921T0000-… health"""
    inside = path.removesuffix(f"/{layout.PAGE}").removesuffix(".html").split("/")
    return " ".join(inside[1:] or inside)
