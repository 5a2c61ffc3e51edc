"""What a Personalizer that still runs says of itself over its own interface: settings, learning policy, model, and from
when to when it has a log. The log itself it never gives: its owner has that in a storage account, or exported it."""

import ipaddress
import re
import ssl
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

ROOT, SERVICE = "/personalizer/v1.0", "/configurations/service"
_VERSIONED = re.compile(r"/personalizer(/v1\.[01][^/]*)?$")  # of a URL copied with its path
KEY = "Ocp-Apim-Subscription-Key"
SECONDS, MAX_BYTES = 30.0, 256 << 20  # of one answer


@dataclass(frozen=True, kw_only=True)
class TheirAnswers:
    """`service` and `policy`: as their GET answers; `said`: a sentence on everything else that was asked for."""

    service: dict[str, Any]
    policy: dict[str, Any]
    said: tuple[str, ...]


def ask(endpoint: str, key: str, *, root: Path | None = None) -> TheirAnswers:
    """Asks a Personalizer at URL `endpoint`, which may be a gateway of ours; `root` (PEM) signed its certificate, where
    that is no public one. Raises ValueError where it does not answer, the key is wrong, or settings cannot be read."""
    get = _Getter(endpoint, key, root)
    service, policy = _object(get, SERVICE), _object(get, "/configurations/policy")
    if not service:
        raise ValueError(
            f"--endpoint: found nothing at {get.path_of(SERVICE)} of {get.named}, expected a Personalizer, which has "
            "its settings there; is it another server, or a path too many?"
        )
    return TheirAnswers(service=service, policy=policy, said=(_logs(get), _model(get)))


def key_in(file: Path) -> str:
    """The first key of a file. Raises ValueError where there is none."""
    try:
        lines = [line.strip() for line in file.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--key: found no file of a key ({error}), expected one with the key alone in it") from None
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys or not keys[0].isascii() or not keys[0].isprintable() or " " in keys[0]:
        raise ValueError(f"--key: found no key in {file}, expected one line of ASCII characters without a space")
    return keys[0]


class _Getter:
    """Follows no redirect: it would carry the key to whoever it names."""

    def __init__(self, endpoint: str, key: str, root: Path | None) -> None:
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"--endpoint: found {endpoint!r}, expected a URL such as https://NAME.example")
        if parts.scheme == "http" and not _this_machine(parts.hostname):
            raise ValueError(f"--endpoint: found {endpoint!r}, expected https: else the key travels in the clear")
        self._host, self._port = parts.hostname, parts.port
        self._path = _VERSIONED.sub("", parts.path.rstrip("/"))
        self._tls = ssl.create_default_context(cafile=str(root) if root else None) if parts.scheme == "https" else None
        self._key, self.named = key, endpoint

    def __call__(self, path: str) -> bytes | None:
        """The answer's bytes; None for 404 and 405, what this Personalizer does not have. Raises ValueError."""
        try:
            with closing(self._connection()) as connection:
                connection.request("GET", self.path_of(path), headers={KEY: self._key})
                with connection.getresponse() as answer:
                    status, found = answer.status, answer.read(MAX_BYTES + 1)
        except (OSError, HTTPException) as error:
            raise ValueError(
                f"--endpoint: found no answer of {self.named} ({error!r:.200}), expected a Personalizer's"
            ) from None
        if status in (404, 405):
            return None
        if status != 200:
            why = "expected its key in --key" if status in (401, 403) else "expected 200: ask again later"
            raise ValueError(f"--endpoint: GET {path}: found status {status}, {why}")
        if len(found) > MAX_BYTES:
            raise ValueError(f"--endpoint: GET {path}: found more than {MAX_BYTES} bytes, expected fewer")
        return found

    def path_of(self, path: str) -> str:
        """Where this Personalizer has it."""
        return self._path + ROOT + path

    def _connection(self) -> HTTPConnection:
        if self._tls is None:
            return HTTPConnection(self._host, self._port, timeout=SECONDS)
        return HTTPSConnection(self._host, self._port, timeout=SECONDS, context=self._tls)


def _this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _object(get: _Getter, path: str) -> dict[str, Any]:
    """{} where the Personalizer does not have it."""
    raw = get(path)
    if raw is None:
        return {}
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"--endpoint: GET {path}: found {raw[:40]!r}, expected a JSON object of settings")
    return found


def _logs(get: _Getter) -> str:
    ends = _object(get, "/logs/properties").get("dateRange")
    if not isinstance(ends, dict) or not ends:
        return "logs: it has none"
    span = f"{ends.get('from')} to {ends.get('to')}"[:80]
    return f"logs: not kept: from {span}; its interface gives no log: export them, and name their folder by --export"


def _model(get: _Getter) -> str:
    raw = get("/model")
    if raw is None:
        return "model: it gives none"
    why = "a model of VW is no release of croupier's: the first is trained from the log"
    return f"model ({len(raw):,} bytes): not kept: {why}"
