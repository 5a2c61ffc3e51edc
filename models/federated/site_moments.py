"""What a site tells of its rows: (A, b, Σr², n) over one release's φ, in a file of plain JSON with its digest.

No row, unit or text leaves the site. The sums still tell something of single rows where these are few, which noise
prevents (noise.py): then the file also says by how much, and what that is worth as (ε, δ).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import orjson

from croupier.features.batch import F64
from croupier.models.bayesian.posterior import RidgeMoments
from croupier.models.federated.noise import Privacy
from croupier.models.federated.profile import SiteProfile

FORMAT = 1
PARTS = {"format", "site", "profile", "since", "until", "A", "b", "rr", "n", "privacy"}


@dataclass(frozen=True, kw_only=True, eq=False)
class SiteMoments:
    """The sums of a `site` over its rows of [since, until), UTC µs; `privacy` is None where no noise was added."""

    site: str
    profile: SiteProfile
    since: int
    until: int
    moments: RidgeMoments
    privacy: Privacy | None = None

    @property
    def digest(self) -> str:
        """64 hex digits over all that the file says."""
        return _digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Returns it as plain JSON; of the symmetric A (d, d) the upper triangle, row by row."""
        m = self.moments
        return {
            "format": FORMAT,
            "site": self.site,
            "profile": self.profile.to_json(),
            "since": self.since,
            "until": self.until,
            "A": m.A[np.triu_indices(len(m.b))].tolist(),
            "b": m.b.tolist(),
            "rr": m.rr,
            "n": m.n,
            "privacy": None if self.privacy is None else self.privacy.to_json(),
        }

    def write(self, path: Path) -> None:
        """Writes the file, whole or not at all, and its digest in it."""
        draft = path.with_name(f".{path.name}.draft")
        draft.write_bytes(orjson.dumps(self.to_json() | {"digest": self.digest}))
        draft.replace(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads what `write` wrote. Raises ValueError naming the file where it was changed or is none of these."""
        if not path.is_file():
            raise ValueError(f"{path}: found no file, expected one that `croupier site moments` wrote")
        try:
            found = orjson.loads(path.read_bytes())
        except orjson.JSONDecodeError as error:
            raise ValueError(f"{path}: found no JSON ({error}), expected a file of `croupier site moments`") from None
        try:
            return cls._checked(found)
        except ValueError as error:
            raise ValueError(f"{path}: {error}; let the site write it again") from None

    @classmethod
    def _checked(cls, found: Any) -> Self:
        if not isinstance(found, dict) or set(found) != PARTS | {"digest"}:
            parts = sorted(found) if isinstance(found, dict) else type(found).__name__
            raise ValueError(f"found {parts!s:.200}, expected an object of {', '.join(sorted(PARTS))} and digest")
        said = found.pop("digest")
        if said != _digest(found):
            raise ValueError(f"digest: found {said!r:.80}, expected {_digest(found)}: the file was changed")
        if found["format"] != FORMAT:
            raise ValueError(f"format: found {found['format']!r}, expected {FORMAT}")
        return cls(
            site=_site(found["site"]),
            profile=SiteProfile.from_json(found["profile"]),
            since=_time(found, "since"),
            until=_time(found, "until"),
            moments=_moments(found),
            privacy=None if found["privacy"] is None else Privacy.from_json(found["privacy"]),
        )


def _site(name: Any) -> str:
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"site: found {name!r}, expected its name")
    return name


def _time(found: Mapping[str, Any], name: str) -> int:
    if type(found[name]) is not int:
        raise ValueError(f"{name}: found {found[name]!r:.80}, expected microseconds since 1970")
    return int(found[name])


def _moments(found: Mapping[str, Any]) -> RidgeMoments:
    upper, b, rest = (_numbers(found, name) for name in ("A", "b", ("rr", "n")))
    d = len(b)
    if len(upper) != d * (d + 1) // 2:
        raise ValueError(f"A: found {len(upper)} numbers, expected {d * (d + 1) // 2}, since b has {d}")
    A = np.zeros((d, d))
    A[np.triu_indices(d)] = upper
    return RidgeMoments(A=A + np.triu(A, 1).T, b=b, rr=float(rest[0]), n=float(rest[1]))


def _numbers(found: Mapping[str, Any], names: str | tuple[str, ...]) -> F64:
    """The list of that name, or the numbers of these names. Raises ValueError where one is no finite number."""
    given = found[names] if isinstance(names, str) else [found[name] for name in names]
    if not isinstance(given, list) or not all(isinstance(x, int | float) and not isinstance(x, bool) for x in given):
        raise ValueError(f"{names}: found {given!r:.80}, expected numbers")
    numbers = np.array(given, np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError(f"{names}: found infinity, expected finite numbers")
    return numbers


def _digest(found: Mapping[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(dict(found), option=orjson.OPT_SORT_KEYS)).hexdigest()
