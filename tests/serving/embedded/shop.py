"""An app of the reels world in a store, with releases of our making: what the tests of the embedded selector run on."""

from pathlib import Path

from croupier.features.encoding import catalogue
from croupier.features.settings import Settings
from croupier.features.store import layout
from croupier.features.workspace import Workspace
from croupier.serving.operate import verdict_release
from tests.serving import apps


def opened(var: Path, *, fast_loop: bool = False, store: str = "") -> Workspace:
    """The declared app "shop" below `var`."""
    w = Workspace(Settings(app="shop", var=var, store=store))
    w.home.mkdir(parents=True, exist_ok=True)
    extra = "floor = 0.02\nfast_loop = true" if fast_loop else "floor = 0.02"
    (w.home / layout.APP_TOML).write_text(apps.sample().world.app_toml().replace("floor = 0.02", extra))
    catalogue.write(w.home / layout.CATALOGUE, apps.sample().arms)
    return w


def publish(w: Workspace, champion, candidate=None, **more) -> int:
    """Publishes a release of these policies, to begin at its first stage; returns its number."""
    app, meta = apps.sample(), {"verdict": "test"}
    return verdict_release.release_policies(
        w, champion=champion, candidate=candidate, encoder=app.encoder, arms=app.arms, meta=meta, **more
    ).number


def asked(request) -> dict:
    """The arguments of select() for a request."""
    names = ("unit_id", "context", "arms", "arm_context", "event_id")
    return {name: getattr(request, name) for name in names}
