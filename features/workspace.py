"""An app opened: its settings, its declaration, its store and its log, for tasks, commands and the server alike."""

import difflib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from croupier.features.encoding import catalogue
from croupier.features.log.spool import Spool
from croupier.features.schema import FROM_REQUEST, Arm
from croupier.features.settings import Settings
from croupier.features.spec import AppSpec
from croupier.features.store import layout, owner, storage, unit_key
from croupier.features.store.folders import make_private
from croupier.features.store.locks import alone


@dataclass(frozen=True)
class Interval:
    """Hours [start, end) in UTC; every output of a task is keyed by it."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None or self.start >= self.end:
            raise ValueError(
                f"interval: found {self.start!s} to {self.end!s}, expected two times with zone, the first earlier"
            )

    @classmethod
    def parse(cls, start: str, end: str) -> "Interval":
        """Widened to whole hours of UTC, since a partition is one."""
        first, last = _utc(start), _utc(end)
        ceiling = last.replace(minute=0, second=0, microsecond=0)
        first = first.replace(minute=0, second=0, microsecond=0)
        return cls(first, ceiling if ceiling == last else ceiling + timedelta(hours=1))

    @property
    def key(self) -> str:
        """The interval's name, as in keys of the store."""
        return f"{self.start:%Y%m%dT%H%M}-{self.end:%Y%m%dT%H%M}"


def _utc(text: str) -> datetime:
    """A time without a zone stays without."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"interval: found {text!r}, expected a time with zone, such as 2026-09-21T00:00+00:00"
        ) from None
    return at.astimezone(UTC) if at.tzinfo else at


@dataclass(frozen=True)
class Workspace:
    """Everything of one app. Raises SpecError, StoreUnavailable or ValueError where a part is missing."""

    settings: Settings

    @classmethod
    def open(cls, app: str) -> "Workspace":
        """Opens the workspace of an app, declared or not. Raises ValueError where a file is in its folder's way."""
        w = cls(Settings(app=app))
        for folder in (w.home.parent, w.home):
            if folder.exists() and not folder.is_dir():
                raise ValueError(
                    f"{folder}: found a file, expected the folder of {'apps' if folder != w.home else f'app {app}'}; "
                    "move it away, or choose another place with CROUPIER_VAR"
                )
        return w

    @classmethod
    def known(cls, app: str) -> "Workspace":
        """Opens the workspace of a declared app, for those who look and make nothing: a misspelt name is a ValueError,
        not a new empty app."""
        w = cls.open(app)
        if not w.home.exists() and not w.settings.store:
            raise _unknown(w.settings)
        return w

    @classmethod
    def meant(cls, app: str) -> "Workspace":
        """Opens a workspace for those who may make a new app: only a name that is nearly a declared one is a
        ValueError."""
        w = cls.open(app)
        if not w.home.exists() and _near(w.settings):
            raise _unknown(w.settings)
        return w

    @property
    def home(self) -> Path:
        """The folder of the app on this host."""
        return self.settings.home

    @cached_property
    def spec(self) -> AppSpec:
        """What app.toml declares. Raises ValueError naming the key that is wrong."""
        return AppSpec.read(self.home / layout.APP_TOML)

    @cached_property
    def store(self) -> storage.Store:
        """Raises ForeignStore where another app's objects lie there, or another unit key's."""
        url = self.settings.store or str(self.home / layout.STORE)
        opened = storage.open_store(url, endpoint=self.settings.s3_endpoint)
        key = unit_key.known(self.settings, self.home)
        declared = (self.home / layout.APP_TOML).exists()  # who merely mistyped a name claims nothing
        owner.check(opened, app=self.settings.app, key=key, claim=declared)
        return opened

    @property
    def unit_key(self) -> str:
        """The key for unit ids. Raises ValueError when it is not the one the log is written with."""
        return unit_key.unit_key(self.settings, self.home)

    def spool(self) -> Spool:
        """This host's log; its key is settled before the first row is written."""
        self.unit_key  # noqa: B018 — made, or refused, here
        return Spool(
            self.home / layout.SPOOL_LOG,
            durability=self.settings.durability,
            max_bytes=self.settings.spool_max_bytes,
        )

    def arms(self) -> list[Arm]:
        """The catalogue as its owner last wrote it; none where arms come with requests and there is no file."""
        path = self.home / layout.CATALOGUE
        if not path.exists() and (self.home / layout.APP_TOML).exists() and self.spec.arms.source == FROM_REQUEST:
            return []
        return catalogue.read(path)

    @property
    def reports(self) -> Path:
        """The folder of reports on this host; it is made where it is missing."""
        folder = self.home / layout.REPORTS_HERE
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def report(self, *parts: str) -> Iterator[Path]:
        """The folder to write a report's pages into; what is in it at the end goes to the store. A task may run twice
        at once, and pages are built file by file: one at a time."""
        with alone(self.reports / layout.LOCK), self._kept(layout.REPORTS_HERE, *parts) as folder:
            yield folder

    @contextmanager
    def quarantine(self, *parts: str) -> Iterator[Path]:
        """The folder for rows that broke a rule, not among the reports, which are shown. What is in it at the end goes
        to the store."""
        make_private(self.home / layout.QUARANTINE_HERE)
        with self._kept(layout.QUARANTINE_HERE, *parts) as folder:
            yield folder

    @property
    def with_rows(self) -> list[Path]:
        """Folders on this machine, beside the log, in which rows may lie: `forget` looks into them."""
        return [self.home / layout.REPORTS_HERE, self.home / layout.QUARANTINE_HERE]

    @contextmanager
    def _kept(self, *parts: str) -> Iterator[Path]:
        folder = self.home.joinpath(*parts)
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        put_folder(self.store, "/".join(parts), folder)


def _declared(settings: Settings) -> list[str]:
    return sorted(path.parent.name for path in settings.var.glob(layout.DECLARED_APPS))


def _near(settings: Settings) -> list[str]:
    return difflib.get_close_matches(settings.app, _declared(settings), n=1)


def _unknown(settings: Settings) -> ValueError:
    hint = "".join(f"; did you mean {name}?" for name in _near(settings))
    var = f" (in {settings.var.absolute()}; CROUPIER_VAR chooses another)"
    expected = ", ".join(_declared(settings)) or "an app"
    if settings.app == Settings.model_fields["app"].default and not hint:
        hint = "; no app was named: say --app NAME, or set CROUPIER_APP"
    return ValueError(f"app: found no folder {settings.home}, expected one of {expected}{var}{hint}")


def put_folder(store: storage.Store, prefix: str, folder: Path) -> None:
    """Every file below `folder`, under `prefix`; the caller's key says what it is, so writing it again is harmless."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        store.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path)


def get_folder(store: storage.Store, prefix: str, folder: Path) -> Path:
    """The reverse; raises KeyError when nothing is there."""
    keys = store.list(f"{prefix}/")
    if not keys:
        raise KeyError(f"{prefix}: nothing of that name in {store.url}")
    with tempfile.TemporaryDirectory(prefix="croupier-") as scratch:
        for key, found in zip(keys, store.fetch(keys, Path(scratch)), strict=True):
            path = folder / key.removeprefix(f"{prefix}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(found, path)
            except FileNotFoundError:
                raise KeyError(key) from None
    return folder
