"""The decisions of a slate, put on record together: all of its slots, or none."""

from collections import Counter
from collections.abc import Mapping, Sequence

from croupier.features.log.spool import Spool
from croupier.features.schema import Decision


class PageLog:
    """Stands in the place of the log until `commit`, which puts what was decided on record in one transaction."""

    def __init__(self, spool: Spool) -> None:
        self._spool, self._held, self._undeclared = spool, dict[str, Decision](), Counter[str]()

    def append_decisions(
        self, decisions: Sequence[Decision], undeclared: Mapping[str, int] | None = None
    ) -> list[Decision]:
        """Keeps decisions. One whose event is in the log is returned as it is there."""
        known = self._known([d.event_id for d in decisions])
        self._undeclared.update(undeclared or {})
        self._held |= {d.event_id: d for d in decisions if d.event_id not in known}
        return [known.get(d.event_id, d) for d in decisions]

    def append_rejects(self, rejects: Sequence[tuple[str, str, bytes, str, int]]) -> None:
        """Puts refused events on record, at once."""
        self._spool.append_rejects(rejects)

    def commit(self, refused: Sequence[str]) -> bool:
        """Puts on record what was decided, but for the slates whose ids are `refused`. False where another process had
        decided one of the events meanwhile: then the slates are asked again, and have its answer."""
        held = [d for name, d in self._held.items() if name.rpartition("/")[0] not in refused]
        stored = self._written(held, [self._undeclared] if self._undeclared else []) if held else []
        pairs = zip(stored, held, strict=True)
        return all((d.arm, d.propensity) == (mine.arm, mine.propensity) for d, mine in pairs)

    def _known(self, event_ids: Sequence[str]) -> Mapping[str, Decision]:
        """The decisions of these events that stand already."""
        return self._spool.find(event_ids)

    def _written(self, held: Sequence[Decision], left_out: Sequence[Mapping[str, int]]) -> list[Decision]:
        """Writes them, all at once, and returns each as it stands then."""
        return self._spool.append_decisions(held, *left_out)
