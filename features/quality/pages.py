"""Pages people read: an overview of our own, and Great Expectations' Data Docs made to work offline (no script, no
font or style from elsewhere, no beacon)."""

import re
import shutil
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from croupier.features.store import layout

STYLE = """
:root{--ink:#1d2733;--dim:#5b6876;--line:#dfe5eb;--soft:#f5f7f9;--good:#177245;--bad:#b3261e;--link:#1f5fa8}
*{box-sizing:border-box}
body{margin:0;font:15px/1.5 system-ui,"Segoe UI",Helvetica,Arial,sans-serif;color:var(--ink);background:#fff}
a{color:var(--link);text-decoration:none}
a:hover{text-decoration:underline}
h4,h5{margin:.4em 0;font-weight:600}
.navbar{display:flex;align-items:center;padding:0 24px;border-bottom:1px solid var(--line);background:#fff}
.navbar nav{display:flex;align-items:center}
.breadcrumb{display:flex;list-style:none;margin:0 0 0 16px;padding:0;color:var(--dim)}
.breadcrumb-item+.breadcrumb-item:before{content:"/";padding:0 8px;color:var(--line)}
.container-fluid{padding:24px 32px}
.row{display:flex;flex-wrap:wrap;gap:0 24px}
.row>*{min-width:0}
.col-lg-2,.col-md-2{flex:0 0 220px}
.col-lg-10,.col-md-10{flex:1 1 640px}
.col-12{flex:1 0 100%}
.lead{color:var(--dim);margin:.2em 0 1em}
.card{border:1px solid var(--line);border-radius:8px;margin-bottom:16px}
.card-header{padding:8px 14px;border-bottom:1px solid var(--line);background:var(--soft);border-radius:8px 8px 0 0}
.card-body{padding:8px 14px}
.alert{padding:10px 14px;border-radius:8px;background:var(--soft);border:1px solid var(--line);margin:8px 0}
table{border-collapse:collapse;width:100%;margin:8px 0 16px}
main{max-width:1040px;margin:32px auto;padding:0 24px}
.good{color:var(--good);font-weight:600}
.bad{color:var(--bad);font-weight:600}
.warn{color:#9a6700;font-weight:600}
.dim{color:var(--dim)}
th,td{border-bottom:1px solid var(--line);padding:7px 10px;text-align:left;vertical-align:top}
thead th,.table-bordered th{background:var(--soft);font-weight:600}
.text-success{color:var(--good)}
.text-danger{color:var(--bad)}
.text-warning{color:#9a6700}
.fa-check-circle:before{content:"✔"}
.fa-times:before{content:"✘"}
.fa-exclamation-triangle:before{content:"▲"}
.fas{font-style:normal;font-weight:700}
.badge{display:inline-block;padding:1px 8px;border-radius:10px;font-size:85%;background:#e8edf3}
.nav{display:flex;flex-direction:column;list-style:none;margin:0;padding:0}
.nav-tabs{flex-direction:row;border-bottom:1px solid var(--line)}
.nav-link{display:block;padding:5px 10px}
.ge-section{margin-bottom:24px;clear:both}
.btn,.modal,.ge-walkthrough-modal,footer,#ge-cta-footer{display:none!important}
.cooltip .top,.d-none:not(.breadcrumb),.invisible{display:none!important}
.collapse,[data-toggle="collapse"],.sticky .card.mb-3{display:none!important}
.show-scrollbars,.scroll{overflow-x:auto}
.sticky{position:static}
h1,h2,h4,li{overflow-wrap:anywhere}
@media(max-width:600px){main{margin:16px auto;padding:0 12px}.container-fluid{padding:12px}th,td{padding:6px}
.col-lg-2,.col-md-2,.col-lg-10,.col-md-10{flex:1 0 100%}.breadcrumb,.navbar,.navbar nav{flex-wrap:wrap}
table.table{display:block;overflow-x:auto}}
code{background:var(--soft);padding:1px 4px;border-radius:4px}
"""
_DROP = [
    re.compile(r"<script\b.*?</script>", re.S | re.I),
    re.compile(r"<link\b[^>]*>", re.I),
    re.compile(r"@media \(prefers-color-scheme: dark\) \{.*?\n\}(?=\s*</style>)", re.S),
    re.compile(r"<footer\b.*?</footer>", re.S | re.I),
]
_BEACON = re.compile(r"<img\b[^>]*https?://[^>]*>", re.S | re.I)


def offline(folder: Path) -> None:
    """Rewrites every page below `folder` in place. Raises ValueError if a page would still ask another host."""
    for page in folder.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for pattern in _DROP:
            text = pattern.sub("", text)
        text = _BEACON.sub("<strong>croupier · data quality</strong>", text)
        text = text.replace("</head>", f"<style>{STYLE}</style></head>", 1)
        if left := outside(text):
            raise ValueError(f"{page}: still refers to {left[:3]}, expected nothing from other hosts; extend _DROP")
        page.write_text(text, encoding="utf-8")
    shutil.rmtree(folder / "static", ignore_errors=True)  # 4 MB of fonts and pictures that no page refers to now
    (folder / layout.PAGE).write_text(index(folder), encoding="utf-8")


def index(folder: Path) -> str:
    """Replaces GX's own index, which is a script."""
    up = f'<p><a href="../{layout.PAGE}">Overview</a></p>'
    return page("Data Docs", f"<h1>Data Docs</h1>{up}{links(folder, folder)}")


def outside(page: str) -> list[str]:
    """What a browser would fetch from another host to show this page; plain links are not fetched."""
    found = re.findall(r"""\bsrc\s*=\s*["']?((?:https?:)?//[^"'\s>]+)""", page, re.I)
    found += re.findall(r"""<link\b[^>]*href\s*=\s*["']?((?:https?:)?//[^"'\s>]+)""", page, re.I)
    return found + re.findall(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)""", page, re.I)


def page(title: str, body: str) -> str:
    """A whole page in our style. `title` is text, `body` HTML."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return f"<!DOCTYPE html><html><head>{head}<style>{STYLE}</style></head><body><main>{body}</main></body></html>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """`head` is text, cells are HTML."""
    top = "".join(f"<th>{escape(h)}</th>" for h in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def links(site: Path, start: Path) -> str:
    """To the Data Docs' pages of validations in `site`, for a page that lies in `start`."""
    pages = sorted((site / "validations").rglob("*.html"))
    items = [
        f'<li><a href="{quote(p.relative_to(start).as_posix())}">{escape(p.relative_to(site).parts[1])}</a></li>'
        for p in pages
    ]
    return f"<ul>{''.join(items)}</ul>"
