"""croupier: logged decisions and rewards become the next, better decision, and it is proved before it acts.

    from croupier import Client      what a product team needs; the rest of the package is not imported by it
    from croupier import Embedded    the same calls without a server: the selector in the process of the product

`croupier.features`, `croupier.models`, `croupier.serving` and `croupier.dags` are the rooms, each with a README.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from croupier.serving.client.aio import AsyncClient
    from croupier.serving.client.client import Client
    from croupier.serving.client.errors import Refused, Unavailable
    from croupier.serving.client.secure import Tls
    from croupier.serving.contract.requests import Request, Selection
    from croupier.serving.embedded.embedded import Embedded

__all__ = ["AsyncClient", "Client", "Embedded", "Refused", "Request", "Selection", "Tls", "Unavailable"]

_HOMES = {
    "AsyncClient": "croupier.serving.client.aio", "Client": "croupier.serving.client.client",
    "Embedded": "croupier.serving.embedded.embedded",
    "Refused": "croupier.serving.client.errors", "Unavailable": "croupier.serving.client.errors",
    "Tls": "croupier.serving.client.secure",
    "Request": "croupier.serving.contract.requests", "Selection": "croupier.serving.contract.requests",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """A name of `__all__`, imported when it is asked for (PEP 562), so that `import croupier` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
