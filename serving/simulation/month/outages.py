"""Parts that are down for some hours of the virtual month, as a person would find them in the morning.

airflow   no DAG has its turn
store     every read and write of it fails; hosts decide on with what they have, and keep their log
triton    nobody is answered: the caller's own uniform rule decides, and nothing of it is logged
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PARTS = ("airflow", "store", "triton")
Outages = Mapping[str, frozenset[int]]  # part → the hours since the start in which it is down


def parsed(texts: Sequence[str]) -> Outages:
    """ "store=100-106" → hours 100 to 105; without a part it is Airflow that is down. Raises ValueError."""
    found: dict[str, frozenset[int]] = {}
    for text in texts:
        part, given, hours = text.rpartition("=")
        part = part if given else "airflow"
        first, _, last = hours.partition("-")
        if part not in PARTS or not (first.isdecimal() and last.isdecimal() and int(first) < int(last)):
            raise ValueError(
                f'--outage: found {text!r}, expected hours since the start, such as "100-106", or with a '
                f'part of {", ".join(PARTS)}: "store=100-106"'
            )
        found[part] = found.get(part, frozenset()) | frozenset(range(int(first), int(last)))
    return found


@contextmanager
def store_down(folder: Path, *, down: bool) -> Iterator[None]:
    """Makes the store at `folder` out of reach inside the block, if `down`: where its folder was, a file stands."""
    if not down:
        yield
        return
    away = folder.with_name(folder.name + "-away")
    folder.rename(away)
    folder.write_text("the store is down")
    try:
        yield
    finally:
        folder.unlink()
        away.rename(folder)
