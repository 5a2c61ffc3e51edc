"""HTML pages for people: each is a template file (Jinja2, `*_page.html.j2`) beside the `*_page.py` that fills it.

listing_page.py    an app's reports                   overview_page.py    what a check of the data found
health_page.py     a log over time                    models/gate/gate_page.py, serving/operate/rollout_page.py
serving/health/verdict_page.py   is the bandit well   serving/health/landing_page.py   every app in a sentence

`page.html.j2` is the frame that templates of any room extend, `page.css` the one stylesheet, `charts.py` draws. A page
is one file that asks no other host for anything. It is whole without its one script, `zone.js`, which adds the reader's
own time to each time in UTC.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from croupier.features.utc import from_us


def render(package: str, name: str, *, filters: Mapping[str, Callable[..., str]] | None = None, **values: Any) -> str:
    """Fills the template `name` that lies in `package`: values are escaped, and one that is missing is an error."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, ""), PackageLoader(__package__, "")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"when": when, "minute": minute, "code": code} | dict(filters or {})
    return environment.get_template(name).render(**values)


def code(text: str) -> Markup:
    """Returns a sentence as HTML, what stands between `backticks` as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # one backtick stands alone: it is itself
        return escape(text)
    shown = [Markup("<code>{}</code>").format(part) if k % 2 else escape(part) for k, part in enumerate(parts)]
    return Markup("").join(shown)


def when(at: int) -> Markup:
    """Returns a time (UTC µs) to the second, as HTML that a browser understands."""
    return _time(at, "%Y-%m-%d %H:%M:%S")


def minute(at: int) -> Markup:
    """Returns a time (UTC µs) to the minute, as HTML that a browser understands."""
    return _time(at, "%Y-%m-%d %H:%M")


def _time(at: int, form: str) -> Markup:
    time = from_us(at)
    return Markup('<time datetime="{:%Y-%m-%dT%H:%M:%SZ}">{} UTC</time>').format(time, f"{time:{form}}")


def policy() -> str:
    """The Content-Security-Policy of a page: its own styles and pictures, and of scripts only `zone.js`."""
    # jinja drops one newline at a template's end, which is what the browser hashes
    script = files(__package__).joinpath("zone.js").read_text(encoding="utf-8").removesuffix("\n")
    digest = b64encode(sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
        f"script-src 'sha256-{digest}'"
    )
