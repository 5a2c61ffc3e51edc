"""An app that is declared by the program which uses it, and the release that a new app begins with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from croupier.features.encoding import catalogue
from croupier.features.encoding.inline import rows_of_arms
from croupier.features.pricing.prices import Prices
from croupier.features.schema import Arm
from croupier.features.settings import Settings
from croupier.features.spec import AppSpec
from croupier.features.store import layout
from croupier.features.store.locks import alone
from croupier.features.workspace import Workspace
from croupier.serving.release import bundle_store


def declare(settings: Settings, toml: str, arms: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes app.toml and catalogue.json of an app that has none; app.toml last, since it is what makes an app. Where
    the same was written before, nothing changes: arms come and go by `croupier arm` then. Raises ValueError where
    app.toml says something else, or where arms are prices and an arm is said to earn something else."""
    home = settings.home
    home.mkdir(parents=True, exist_ok=True)
    target, draft = home / layout.APP_TOML, home / layout.APP_TOML_DRAFT
    with alone(home / layout.EMBEDDED_LOCK):
        said = [Arm(arm_id=name, features=dict(features)) for name, features in arms.items()]
        if target.exists():
            if (spec := AppSpec.read(target)) != _read(draft, toml):
                raise ValueError(
                    f"{target}: found another declaration than this program's, expected the same; edit one"
                )
            _refuse_other_prices(spec, home / layout.CATALOGUE, said)
            return
        _read(draft, toml)
        catalogue.write(home / layout.CATALOGUE, said)
        draft.write_text(toml)
        draft.replace(target)


def _refuse_other_prices(spec: AppSpec, path: Path, said: Sequence[Arm]) -> None:
    """A program that asks one price while decisions log the margin of another would learn from money that nobody
    paid."""
    if not spec.pricing.declared or not path.exists():
        return
    known, own = (_margins(spec, arms) for arms in (catalogue.read(path), said))
    for arm in known.keys() & own.keys():
        if known[arm] != own[arm]:
            found = f"found that a sale of {arm} earns {known[arm]:g}, and {own[arm]:g} by this program's arms"
            raise ValueError(f"{path}: {found}, expected the same: decisions log the former; edit one")


def _margins(spec: AppSpec, arms: Sequence[Arm]) -> dict[str, float]:
    return Prices(
        spec.pricing, dict(zip([arm.arm_id for arm in arms], rows_of_arms(spec, arms), strict=True))
    ).margins()


def check_known(w: Workspace) -> None:
    """Raises ValueError where the app is neither declared on this host nor in a store that hosts share; it makes
    nothing, so that a misspelt name leaves no folder."""
    if not (w.home / layout.APP_TOML).exists() and not w.settings.store:
        raise _unknown(w, "")


def first_release(w: Workspace) -> int:
    """The number of the release that serves; a declared app without one begins with all arms alike. Raises ValueError
    where nothing is declared."""
    if not (w.home / layout.APP_TOML).exists():
        raise _unknown(w, f"no release in {w.settings.store}, and " if w.settings.store else "")
    from croupier.serving.operate import verdict_release  # only where it is needed: it brings what publishing needs

    with alone(w.home / layout.EMBEDDED_LOCK):  # of the processes of this host one makes it
        return bundle_store.current(w.store) or verdict_release.bootstrap(w).number


def _unknown(w: Workspace, also: str) -> ValueError:
    app = w.settings.app
    return ValueError(
        f"{app}: found {also}no {layout.APP_TOML} in {w.home.absolute()}, expected a declared app; "
        f"`croupier app init --app {app}` writes a commented one, Embedded.declared(…) what a program says"
    )


def _read(draft: Any, toml: str) -> AppSpec:
    """What the text declares, checked by the way every app.toml is read."""
    draft.write_text(toml)
    try:
        return AppSpec.read(draft)
    finally:
        draft.unlink()
