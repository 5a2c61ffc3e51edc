"""HTML pages for people: each is a template file (Jinja2, `*_page.html.j2`) beside the `*_page.py` that fills it.

listing_page.py    an app's reports, the apps         overview_page.py    what a check of the data found
health_page.py     a log over time                    models/gate/gate_page.py, serving/operate/rollout_page.py
serving/health/verdict_page.py   is the bandit well

`page.html.j2` and `page.css` here are the frame that templates of any room may extend.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def render(package: str, name: str, *, filters: Mapping[str, Callable[..., str]] | None = None, **values: Any) -> str:
    """Fills the template `name` that lies in `package`: values are escaped, and one that is missing is an error."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, ""), PackageLoader(__package__, "")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= dict(filters or {})
    return environment.get_template(name).render(**values)
