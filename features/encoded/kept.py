"""Encoding a log and keeping it in the store, with what lies beside its rows, in one pass over its parts."""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from croupier.features import clock
from croupier.features.batch import Interactions
from croupier.features.encoded.frame_file import FrameFile, values
from croupier.features.encoded.labels import SegmentLabels
from croupier.features.encoding import catalogue, dataset, inline
from croupier.features.encoding.encoder import Encoder
from croupier.features.interactions import imitation
from croupier.features.interactions.guardrail_totals import GuardrailTotals
from croupier.features.interactions.parts.log_parts import LearntLog
from croupier.features.known_arms import known_arms
from croupier.features.reference import declaration
from croupier.features.schema import OPEN_ENDED, Arm
from croupier.features.spec import AppSpec
from croupier.features.store import layout
from croupier.features.workspace import Workspace, put_folder

GOLDEN_ROWS = 16


def keep(
    w: Workspace, log: LearntLog, encoder: Encoder, *, name: str, facts: dict[str, Any], **more: Any
) -> dict[str, Any]:
    """Encode a log and keep it under a key of all that it was made from. Returns `facts` with the key, the rows, where
    judging begins and the encoder; meta.json says `more`."""
    arms = known_arms(w)
    with tempfile.TemporaryDirectory(prefix="croupier-") as scratch:
        folder, beside = Path(scratch) / "folder", Path(scratch) / "beside"
        for made in (folder / layout.ENCODER, beside):
            made.mkdir(parents=True)
        encoder.save(folder / layout.ENCODER)
        catalogue.write(folder / layout.CATALOGUE, arms)
        written = BesideRows(w, folder, beside)
        with written:
            dataset.write(folder / layout.ENCODED, written.encoded(log, encoder, arms), encoder)
        written.labels.select(folder / layout.SEGMENTS)
        key = written.key(name, encoder.digest, catalogue.digest(arms), str(log.split_at))
        meta = {"app": w.settings.app, "features": key, "rows": log.rows, "split_at": log.split_at} | facts
        kept = {"encoder": encoder.digest, "spec": declaration.kept(w.spec)}
        (folder / layout.META).write_bytes(orjson.dumps(meta | kept | more))
        (folder / layout.GOLDEN).write_bytes(orjson.dumps(written.golden))
        put_folder(w.store, layout.features(key), folder)
    return meta | {"encoder": encoder.digest}


class BesideRows(ExitStack):
    """What is kept beside the encoded rows of a log in `folder`, written as they are encoded: labels, what came too
    late, totals of guardrails, and golden requests. `scratch` holds what the key is made from."""

    def __init__(self, w: Workspace, folder: Path, scratch: Path) -> None:
        super().__init__()
        self.w, self.golden = w, list[dict[str, Any]]()
        self.rows = self.enter_context(FrameFile(scratch / "rows"))
        self.late = self.enter_context(FrameFile(folder / layout.TOO_LATE))
        self.guarded = self.enter_context(FrameFile(folder / layout.GUARDRAILS))
        self.labels = self.enter_context(SegmentLabels(w.spec, scratch / "labels"))
        self.totals = GuardrailTotals(w.store, w.spec, scratch, clock.now())
        self.kinds = list[str]()

    def encoded(self, log: LearntLog, encoder: Encoder, arms: Sequence[Arm]) -> Iterator[Interactions]:
        """Yields the encoded chunks of a log; what is beside the rows of a part is written before them."""
        known, rules = encoder.catalogue(arms), inline.ruled_out(self.w.spec, arms)
        seen, step = 0, max(log.rows // GOLDEN_ROWS, 1)
        for part in log.parts:
            self._add(part)
            golden = part.select("arms", *OPEN_ENDED).gather_every(step, -seen % step)
            self.golden += [_request(row) for row in golden.to_dicts()][: GOLDEN_ROWS - len(self.golden)]
            seen += len(part)
            yield from dataset.encode_chunks(part, encoder, known, rules=rules)

    def _add(self, part: pl.DataFrame) -> None:
        self.rows.add(part.select("event_id", "reward"))
        self.late.add(part.select("at", "late_reward"))
        self.labels.add(part)
        if self.w.spec.guardrails and not imitation.is_imitated(part):  # those came of other arms than these rows'
            self.kinds = list(self.w.spec.guardrails)
            self.guarded.add(self.totals.of(part))

    def key(self, *made_from: str) -> str:
        """Returns the key of what was written, and of what it was `made_from` besides."""
        watched = chain.from_iterable(chain([kind], values(self.guarded.path, kind)) for kind in self.kinds)
        late = enumerate(zip(values(self.late.path, "at"), values(self.late.path, "late_reward"), strict=True))
        tardy = chain.from_iterable((i, at, value) for i, (at, value) in late if value != 0.0)
        events, rewards = (values(self.rows.path, column) for column in ("event_id", "reward"))
        return digest(chain(made_from, events, rewards, watched, tardy, _rulings(self.w.spec)))


def digest(parts: Iterable[object]) -> str:
    """16 hex digits over these parts, each on a line of its own."""
    found, lines = hashlib.sha256(), (f"\n{part}".encode() for part in parts)
    found.update(next(lines, b"")[1:])
    for line in lines:
        found.update(line)
    return found.hexdigest()[:16]


def _rulings(spec: AppSpec) -> list[str]:
    return [rule.model_dump_json() for rule in spec.ruling]


def _request(row: dict[str, Any]) -> dict[str, Any]:
    """A request of the log, for the smoke test of a release made from it."""
    return {"arms": row["arms"]} | {name: orjson.loads(row[name]) for name in OPEN_ENDED}
