"""Contributions to heads, exchanged: this host's goes to the shared store, those of the others come from there.

What the others have learnt lies, summed up, in a memory-mapped file beside the host's own head; every process that
decides adds the two (learning/live_heads.py). Its name is on record with each decision, and what the name stands for in
the spool, before the file has it.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from croupier.features.log.spool import Spool
from croupier.features.store import layout
from croupier.serving.fleet import contribution, posteriors
from croupier.serving.fleet.contribution import Contribution
from croupier.serving.fleet.shared_store import SharedStore
from croupier.serving.learning.fast_loop import LearntHead
from croupier.serving.learning.head_file import HeadFile, State, name_of

log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Known:
    """What is known of a head: the others' contributions by spool id, and the file of their sum."""

    file: HeadFile
    others: dict[str, Contribution] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)  # versions that could not be read, said once


class HeadExchange:
    """Exchanges the heads of one host, whose folder of heads is `folder`."""

    def __init__(self, store: SharedStore, spool: Spool, folder: Path) -> None:
        self._store, self._spool, self._folder = store, spool, folder
        self._known: dict[str, _Known] = {}

    def look(self, heads: Iterable[LearntHead]) -> dict[str, int]:
        """Writes what this host has learnt and reads what the others have. Returns by role how many other hosts' parts
        there are. Raises SharedStoreUnavailable, and then nothing has changed for those who decide."""
        return {head.role: self._exchange(head) for head in heads}

    def _exchange(self, head: LearntHead) -> int:
        key = f"{head.release}:{head.digest[:16]}:{head.role}"
        known = self._known.get(key) or self._known.setdefault(key, _Known(self._file(head)))
        mine = Contribution.of(self._spool.id, head.base, head.state)
        there = self._store.versions(key)
        if there.get(mine.spool) != mine.version and (mine.step or mine.spool in there):
            self._store.put(key, mine.spool, mine.version, mine.raw)
        self._give_back(key, known, there)
        self._fetch(key, known, there, len(head.base.moments.b))
        self._write(known, len(head.base.moments.b))
        return len(known.others)

    def _file(self, head: LearntHead) -> HeadFile:
        path = layout.head(self._folder, head.release, head.role, others=True)
        return HeadFile.create(path, d=len(head.base.moments.b), digest=head.digest)

    def _give_back(self, key: str, known: _Known, there: dict[str, str]) -> None:
        """Puts back what the store lost of hosts that may not be there to do it."""
        for each in known.others.values():
            if each.spool not in there:
                self._store.put(key, each.spool, each.version, each.raw, again=True)

    def _fetch(self, key: str, known: _Known, there: dict[str, str], d: int) -> None:
        news = [
            spool
            for spool, version in there.items()
            if spool != self._spool.id and version not in known.refused and not _has(known, spool, version)
        ]
        for spool, raw in self._store.learnt(key, news).items():
            try:
                known.others[spool] = Contribution.read(spool, raw, d)
            except ValueError as error:
                known.refused.add(there[spool])
                log.error("what another host has learnt is left out: %s", error)

    def _write(self, known: _Known, d: int) -> None:
        others = contribution.ordered(known.others.values())
        name, before = contribution.name(others), known.file.read()
        if not others or (before is not None and before.cursor == name):
            return
        state = State(contribution.total(others, d), sum(each.step for each in others), name)
        said = contribution.described(others)
        posteriors.keep(self._spool, name_of(state), said, before=name_of(before) if before else "")
        known.file.write(state)


def _has(known: _Known, spool: str, version: str) -> bool:
    return spool in known.others and known.others[spool].version == version
