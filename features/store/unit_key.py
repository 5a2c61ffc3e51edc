"""The key under which unit ids are hashed: CROUPIER_UNIT_KEY, else a file of the app's own, made at first use.

    <home>/unit.key         the key (mode 0600); the same on every host of the app, so copy it, or set the variable
    <home>/spool/unit_key   the fingerprint of the key that this host's log is written with

Another key would make every unit another one: stickiness, the sample-ratio test and `forget` would fail without a word.
So it is refused, here and by the store's marker (owner.py).
"""

import hashlib
import hmac
import logging
from pathlib import Path

from croupier.features.settings import Settings
from croupier.features.store import key_file, layout
from croupier.features.store.folders import make_private
from croupier.features.store.locks import alone

log = logging.getLogger(__name__)
FORMERLY = "development-only"  # what earlier versions used unless told otherwise; logs of theirs go on with it


def unit_key(settings: Settings, home: Path) -> str:
    """The key of the app whose folder is `home`. Raises ValueError when it is not the one its log is written with."""
    marker = home / layout.UNIT_KEY_USED
    make_private(marker.parent)
    with alone(home / layout.UNIT_KEY_LOCK):  # of two at once the second finds what the first has made
        return _settled(settings, home, marker)


def _settled(settings: Settings, home: Path, marker: Path) -> str:
    written = marker.read_text().strip() if marker.exists() else ""
    key = settings.unit_key.get_secret_value() or _own(home, written)
    found = fingerprint(key)
    if written and written != found:
        raise ValueError(
            f"unit key: found one of fingerprint {found}, expected {written}, which {home / layout.SPOOL} is written "
            f"with: set CROUPIER_UNIT_KEY to the former key, or restore {home / layout.UNIT_KEY}"
        )
    if not written:
        marker.write_text(found)
    return key


def known(settings: Settings, home: Path) -> str | None:
    """The key's fingerprint, where there is a key already: who only looks makes none."""
    if (home / layout.UNIT_KEY).exists() or (home / layout.UNIT_KEY_USED).exists():
        return fingerprint(unit_key(settings, home))
    given = settings.unit_key.get_secret_value()
    return fingerprint(given) if given else None


def fingerprint(key: str) -> str:
    """What may be shown of a key: enough to tell it from another."""
    return hmac.new(key.encode(), b"croupier unit key", hashlib.sha256).hexdigest()[:16]


def _own(home: Path, written: str) -> str:
    """The key file's; where an earlier version wrote the log, the key that it used."""
    file = home / layout.UNIT_KEY
    if file.exists():
        return key_file.read(file)
    if written == fingerprint(FORMERLY) or (not written and (home / layout.SPOOL_LOG).exists()):
        log.warning("%s: its units are hashed with the former, public key; set CROUPIER_UNIT_KEY for new apps", home)
        return FORMERLY
    if written:
        raise ValueError(
            f"unit key: found no {file}, expected the key of fingerprint {written}, which this log is written with: "
            "restore the file from another host, or set CROUPIER_UNIT_KEY"
        )
    return key_file.read_or_make(file)
