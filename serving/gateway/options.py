"""What `croupier gateway` was asked for, checked before anything listens, and handed to each worker."""

import ipaddress
import os
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

import orjson

VARIABLE = "CROUPIER_GATEWAY"  # how the options reach the workers, which are processes of their own
REFUSE, IGNORE = "refuse", "ignore"
Unknown = Literal["refuse", "ignore"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """`keys`: the file of keys, "" for none; `reward_kind`: what Personalizer's rewards are, "" for the app's only
    kind; `unknown`: what becomes of features that nobody declared; `deferred`: most decisions that wait for their
    activation."""

    app: str
    host: str = "127.0.0.1"
    port: int = 8090
    keys: str = ""
    workers: int = 1
    reward_kind: str = ""
    unknown: Unknown = REFUSE  # type: ignore[assignment]
    deferred: int = 100_000

    @classmethod
    def of(cls, *, listen: str, keys: Path | None, **given: object) -> Self:
        """Raises ValueError where an address is none, or is open to others without keys."""
        host, port = address(listen)
        made = cls(host=host, port=port, keys=str(keys.absolute()) if keys else "", **given)  # type: ignore[arg-type]
        if not made.keys and not loopback(host):
            raise ValueError(
                f"--listen: found {host} without --keys, expected a loopback address such as 127.0.0.1: without keys "
                "whoever reaches the port could decide and reward; give --keys FILE"
            )
        return made

    def hand_over(self) -> None:
        """Makes them known to the workers that are started from here."""
        os.environ[VARIABLE] = orjson.dumps(asdict(self)).decode()

    @classmethod
    def handed_over(cls) -> Self:
        """What `hand_over` of the parent said."""
        return cls(**orjson.loads(os.environ[VARIABLE]))


def address(text: str) -> tuple[str, int]:
    """Host and port of "127.0.0.1:8090" or "[::1]:8090". Raises ValueError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"--listen: found {text!r}, expected HOST:PORT, such as 127.0.0.1:8090 or [::1]:8090")
    return host.removeprefix("[").removesuffix("]"), int(port)


@lru_cache(maxsize=64)
def loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
