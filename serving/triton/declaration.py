"""What a host accepts: the app's own app.toml, or, on a host that has none, what the release carries.

app.toml comes first, since the hours are joined and judged by it; it is read again when it changes, so that a kind of
reward that is declared today is taken today. One that cannot be read changes nothing, and is logged.
"""

import logging
from pathlib import Path

from croupier.features.log.admission import Admission
from croupier.features.spec import AppSpec, SpecError
from croupier.features.store import layout
from croupier.serving.release import bundle
from croupier.serving.triton import repository

log = logging.getLogger(__name__)
ADMITS = "admits"  # of a release's meta; releases of older versions have none


class Declaration:
    """Call it for what is declared now; None where nothing is: no app.toml and no release that carries it."""

    def __init__(self, home: Path) -> None:
        self._toml, self._models = home / layout.APP_TOML, home / layout.REPOSITORY
        self._seen: object = None
        self._found: Admission | None = None

    def __call__(self) -> Admission | None:
        seen = self._state()
        if seen != self._seen:
            self._found, self._seen = self._read(seen), seen
        return self._found

    def _state(self) -> tuple[int, int] | int:
        """app.toml's time and size, or else the newest release's number (0: none)."""
        try:
            stat = self._toml.stat()
        except OSError:
            return max(repository.versions(self._models, repository.SELECT_ARM), default=0)
        return stat.st_mtime_ns, stat.st_size

    def _read(self, seen: tuple[int, int] | int) -> Admission | None:
        if isinstance(seen, int):
            return carried(self._models / repository.SELECT_ARM / str(seen)) if seen else None
        try:
            return Admission.of(AppSpec.read(self._toml))
        except SpecError as error:
            log.error("rewards are taken as before: %s", error)
            return self._found


def carried(folder: Path) -> Admission | None:
    """What a release's manifest declares; None for one that an older version published."""
    found = bundle.read_manifest(folder)["meta"].get(ADMITS)
    return Admission.from_dict(found) if found else None
