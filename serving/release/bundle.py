"""A release: one numbered, immutable folder, verified byte for byte before anything parses it.

manifest.json    SHA-256 and size of every other file, versions, digests, floor, salt, training window, verdict
champion/  candidate/  encoder/  catalogue.json    what decides        (candidate/ may be absent)
toward/          only without a candidate: an undecided one, toward which the champion explores (exploration/toward.py)
baseline/        only where app.toml is held to an earlier release: its champion (exploration/kept_baseline.py)
golden.json      requests and the pmf this code computed for them, for the smoke test of a server
model.py         the Triton entry point, so that the folder is also one version of `select_arm`

ReleaseRefused(ValueError)     the folder is not, to the byte, what its manifest says: names file, found, expected
"""

import hashlib
import secrets
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from croupier.features.batch import F64, Batch, Catalogue
from croupier.features.declared.retrieval import RetrievalSpec
from croupier.features.encoding import catalogue
from croupier.features.encoding.encoder import Encoder
from croupier.features.schema import CANDIDATE, CHAMPION, FROM_CATALOGUE, IN_CANDIDATES_PLACE, SCHEMA_VERSION, Arm
from croupier.features.store import layout
from croupier.features.store.durable import flush, sync
from croupier.models import policy as policies
from croupier.models.constraints.held import DecisionLimits
from croupier.models.policy import Policy
from croupier.serving.release import arm_source, entry
from croupier.serving.release.exploration.body import ReleaseBody
from croupier.serving.release.exploration.mixed import Exploration
from croupier.serving.release.exploration.toward import ENTRY as TOWARD
from croupier.serving.release.exploration.toward import Toward
from croupier.serving.release.golden import Golden
from croupier.serving.release.newcomer_share import Newcomers
from croupier.serving.release.safeguards import Safeguards
from croupier.serving.retrieval import retriever
from croupier.serving.retrieval.retriever import Decides, Retriever

FORMAT = 1
MODEL = Path(__file__).parents[1] / "triton" / "select_arm" / layout.MODEL_PY


class ReleaseRefused(ValueError):
    """`file` is where the folder departs from its manifest."""

    def __init__(self, folder: Path, file: str, found: object, expected: object) -> None:
        super().__init__(f"release {folder}: {file}: found {found}, expected {expected}; not used, publish it anew")
        self.file = file


@dataclass(frozen=True, kw_only=True)
class LoadedRelease:
    """A verified release in memory. `catalogue` is `arms` as the encoder sees them."""

    number: int
    champion: Policy
    candidate: Policy | None
    encoder: Encoder
    catalogue: Catalogue
    arms: tuple[Arm, ...]
    floor: float
    salt: str
    golden: tuple[Golden, ...]
    manifest: dict[str, Any]
    toward: Toward | None = None
    retriever: Retriever | None = None
    baseline: Policy | None = None

    @property
    def continues(self) -> tuple[int, ...]:
        """Releases of the same policies before this one, which differ by their catalogue alone."""
        return tuple(self.manifest["meta"].get("continues", ()))

    @property
    def newcomers(self) -> Newcomers:
        """What the release gives to new arms."""
        return Newcomers(**self.manifest.get("newcomers", {}))

    @cached_property
    def limits(self) -> DecisionLimits:
        """The limits of each decision, of the release's arms."""
        return Safeguards.of(self.manifest).limits(self.arms)

    @cached_property
    def exploration(self) -> Exploration:
        """What the release makes of a policy's pmf."""
        beside = Safeguards.of(self.manifest).beside
        beside = beside and replace(beside, kept=self.baseline)
        return Exploration.of(self.floor, self.newcomers, self.catalogue, self.limits, self.toward, beside=beside)

    def pmf(self, role: str, batch: Batch) -> F64:
        """Returns (B, K): what the policy in `role` serves, its exploration mixed in. A hold-out stands in the
        candidate's place."""
        policy = self.candidate if role in IN_CANDIDATES_PLACE else self.champion
        if policy is None:
            raise ValueError(f"release {self.number} has no candidate")
        return self.exploration.pmf(policy, batch)


def write_release(
    folder: Path,
    *,
    number: int,
    champion: Policy,
    candidate: Policy | None,
    encoder: Encoder,
    arms: Sequence[Arm],
    floor: float,
    meta: Mapping[str, Any],
    salt: str = "",
    golden: Sequence[Mapping[str, Any]] = (),
    newcomers: Newcomers | None = None,
    source: str = FROM_CATALOGUE,
    safeguards: Safeguards | None = None,
    toward: Toward | None = None,
    retrieval: RetrievalSpec | None = None,
    baseline: Policy | None = None,
) -> dict[str, Any]:
    """Write the whole folder or nothing, and return its manifest. `folder` must not exist.

    `golden` are requests (context, arms, arm_context, arm_features) whose pmf is computed here; `meta` is kept in the
    manifest: training window, seeds, code revision, the gate's verdict. `source` says where the arms of requests come
    from; a policy that cannot serve these is refused (ValueError). `salt` keys the draws (default: a random one, which
    is nobody's to know who may name an event: else ids of a wished arm could be computed). `safeguards` hold.
    `toward`: whom a champion without a candidate explores toward. `retrieval`: the shortlist of requests without arms.
    `baseline`: the policy of the release that the safeguards name as one.
    """
    if folder.exists():
        raise FileExistsError(f"{folder}: a release is written once; take the next number")
    if toward is not None and candidate is not None:
        raise ValueError("toward: found it beside a candidate, expected one or the other: a rollout explores uniformly")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.parent / f".tmp-{folder.name}-{uuid.uuid4().hex[:8]}"
    roles = {CHAMPION: champion} | ({CANDIDATE: candidate} if candidate is not None else {})
    beside = ({TOWARD: toward.policy} if toward else {}) | ({layout.BASELINE: baseline} if baseline else {})
    arm_source.refuse_unfit(source, roles | beside)
    new, kept = newcomers or Newcomers(), (safeguards or Safeguards()).fitting(arms)
    body = ReleaseBody(encoder, arms, floor, roles, new, kept, toward, baseline)
    draft.mkdir(mode=0o750)  # the salt of the draws is in its manifest
    try:
        for role, policy in roles.items():
            (draft / role).mkdir()
            policy.save(draft / role)
        if toward is not None:
            toward.save(draft)
        if baseline is not None:
            (draft / layout.BASELINE).mkdir()
            baseline.save(draft / layout.BASELINE)
        (draft / layout.ENCODER).mkdir()
        encoder.save(draft / layout.ENCODER)
        catalogue.write(draft / layout.CATALOGUE, arms)
        (draft / layout.GOLDEN).write_bytes(_dump([asdict(g) for role in roles for g in body.golden(role, golden)]))
        shutil.copyfile(MODEL, draft / layout.MODEL_PY)
        head = (
            {"number": number, "salt": salt or secrets.token_hex(32), "meta": dict(meta)}
            | {"format": FORMAT}
            | body.names()
        )
        head |= arm_source.entry(source) | retriever.write(draft, retrieval or RetrievalSpec(), arms, body.decides)
        manifest = _sealed(head | {"files": {f: fingerprint((draft / f).read_bytes()) for f in sorted(_files(draft))}})
        (draft / layout.MANIFEST).write_bytes(_dump(manifest))
        flush(draft)
        draft.rename(folder)
        sync(folder.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest, after checking its own seal: the digest of everything else in it, in canonical form."""
    path = folder / layout.MANIFEST
    if not path.is_file():
        raise ReleaseRefused(folder, layout.MANIFEST, "no such file", "the manifest of a release")
    raw = path.read_bytes()
    try:
        manifest = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ReleaseRefused(folder, layout.MANIFEST, f"no JSON ({error})", "the manifest as it was written") from None
    check_seal(folder, raw, manifest)
    return dict(manifest)


def check_seal(folder: Path, raw: bytes, manifest: object) -> None:
    """Raises ReleaseRefused unless `raw` is the canonical form of a manifest of this format, sealed by its digest."""
    if not isinstance(manifest, dict) or raw != _dump(manifest):
        raise ReleaseRefused(folder, layout.MANIFEST, "another form", "the canonical JSON it was written in")
    expected = _sealed({k: v for k, v in manifest.items() if k != "digest"})["digest"]
    if manifest.get("digest") != expected:
        raise ReleaseRefused(folder, layout.MANIFEST, f"digest {manifest.get('digest')}", expected)
    if manifest["format"] != FORMAT or manifest["schema"] != SCHEMA_VERSION:
        found = f"format {manifest['format']}, schema {manifest['schema']}"
        raise ReleaseRefused(folder, layout.MANIFEST, found, f"format {FORMAT}, schema {SCHEMA_VERSION}")


def verify(folder: Path) -> dict[str, Any]:
    """Check every byte of the folder and return its manifest. Nothing but the manifest is parsed.

    Missing, changed, truncated and additional files and links raise ReleaseRefused, but for `__pycache__`, which Triton
    may add. A folder named by a number must hold that release."""
    manifest = read_manifest(folder)
    if folder.name.isdigit() and int(folder.name) != manifest["number"]:
        raise ReleaseRefused(folder, layout.MANIFEST, f"release {manifest['number']}", f"release {int(folder.name)}")
    present = set(_files(folder)) - {layout.MANIFEST, layout.SIGNATURE}
    for file in sorted(present - set(manifest["files"])):
        raise ReleaseRefused(folder, file, "an additional file", "only what the manifest lists")
    for file, expected in manifest["files"].items():
        if file not in present:
            raise ReleaseRefused(folder, file, "no such file", f"{expected['size']} bytes")
        found = fingerprint((folder / file).read_bytes())
        renewed = file == layout.MODEL_PY and entry.stands_for(folder / file, expected["sha256"], MODEL)
        if found != expected and not renewed:
            raise ReleaseRefused(folder, file, found, expected)
    return manifest


def load(folder: Path) -> LoadedRelease:
    """Verifies a release, then reads it. Raises ReleaseRefused before a policy, the encoder or torch sees a byte of a
    bad folder."""
    manifest = verify(folder)
    encoder, arms = _read_features(folder)
    golden = (Golden(**row) for row in orjson.loads((folder / layout.GOLDEN).read_bytes()))
    known, sides = encoder.catalogue(arms), [role for role in (CHAMPION, CANDIDATE) if role in manifest["policies"]]
    roles = {role: policies.load(folder / role) for role in sides}
    return LoadedRelease(
        number=manifest["number"],
        champion=roles[CHAMPION],
        candidate=roles.get(CANDIDATE),
        encoder=encoder,
        catalogue=known,
        arms=arms,
        floor=manifest["floor"],
        salt=manifest["salt"],
        golden=tuple(golden),
        manifest=manifest,
        toward=Toward.load(folder, manifest),
        retriever=Retriever.load(folder, manifest, arms, Decides(roles, encoder, known)),
        baseline=policies.load(folder / layout.BASELINE) if (folder / layout.BASELINE).exists() else None,
    )


def features_of(folder: Path) -> tuple[Encoder, tuple[Arm, ...]]:
    """Returns the encoder and arms of a release, verified like `load`, for processes that need no policy."""
    verify(folder)
    return _read_features(folder)


def _read_features(folder: Path) -> tuple[Encoder, tuple[Arm, ...]]:
    return Encoder.load(folder / layout.ENCODER), tuple(catalogue.read(folder / layout.CATALOGUE))


def fingerprint(data: bytes) -> dict[str, Any]:
    """Returns digest and size, by which a file is known again."""
    return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


def _files(folder: Path) -> Iterable[str]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise ReleaseRefused(folder, name, "a link, whose target may change", "the file itself")
        if not path.is_dir() and not name.startswith("__pycache__/"):
            yield name


def _dump(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)


def _sealed(body: dict[str, Any]) -> dict[str, Any]:
    body = orjson.loads(_dump(body))  # as it will be read back: tuples are lists, keys are strings
    return body | {"digest": hashlib.sha256(_dump(body)).hexdigest()}
