"""croupier: logged decisions and rewards become the next, better decision, and it is proved before it acts.

    from croupier import Client      what a product team needs; the rest of the package is not imported by it

`croupier.features`, `croupier.models`, `croupier.serving` and `croupier.dags` are the rooms, each with a README.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from croupier.serving.client.aio import AsyncClient
    from croupier.serving.client.client import Client
    from croupier.serving.client.messages import Refused, Unavailable
    from croupier.serving.client.secure import Tls
    from croupier.serving.contract.requests import Request, Selection

__all__ = ["AsyncClient", "Client", "Refused", "Request", "Selection", "Tls", "Unavailable"]

_HOMES = {
    "AsyncClient": "croupier.serving.client.aio", "Client": "croupier.serving.client.client",
    "Refused": "croupier.serving.client.messages", "Unavailable": "croupier.serving.client.messages",
    "Tls": "croupier.serving.client.secure",
    "Request": "croupier.serving.contract.requests", "Selection": "croupier.serving.contract.requests",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """A name of `__all__`, imported when it is asked for (PEP 562), so that `import croupier` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
