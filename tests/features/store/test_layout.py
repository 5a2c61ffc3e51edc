"""Keys and paths are those of the stores and hosts there are: every function of the layout beside the literal it gives,
and every object of a store that an earlier version wrote."""

import inspect
from pathlib import Path

import pytest

from croupier.features.store import layout, log_layout, released, result_layout
from croupier.features.store.storage import open_store

H = "2026-09-21T14"
HOME = Path("/srv/var/reels")
OLDER = Path(__file__).resolve().parents[2] / "older" / "store"
GIVEN = {
    "hour_of": (layout.hour_of(f"interactions/hour={H}/v0001.json"), "2026-09-21T14"),
    "beside": (layout.beside("features/ab12/encoded.parquet", layout.SEGMENTS), "features/ab12/segments.parquet"),
    "log_of": (layout.log_of("rewards"), "log/rewards/"),
    "log_object": (
        log_layout.log_object("decisions", H, spool="f689c6e5", first=41, last=80),
        "log/decisions/hour=2026-09-21T14/f689c6e5-000000000041-000000000080.parquet",
    ),
    "hour_below": (layout.hour_below("quality/", H), "quality/hour=2026-09-21T14/"),
    "hours_below": (
        layout.hours_below("interactions/", "2026-09-20T00", H),
        ("interactions/hour=", "2026-09-20T00", "2026-09-21T14~"),
    ),
    "rows_of": (
        [log_layout.rows_of(f"log/decisions/hour={H}/{host}f689c6e5-000000000041-000000000080.parquet") for host in ("", "h-")],
        [("f689c6e5", 41, 80), None],
    ),
    "is_indexed": (
        [log_layout.is_indexed(f"log/decisions/hour={H}/{host}f689c6e5-000000000041-000000000080.parquet") for host in ("", "h-")],
        [True, False],
    ),
    "receipt": (log_layout.receipt("rewards", "f6", 1, 40), "ledger/shipped/rewards-f6-000000000001-000000000040.json"),
    "receipt_kind": (log_layout.receipt_kind("ledger/shipped/rewards-f6-000000000001-000000000040.json"), "rewards"),
    "tardy": (log_layout.tardy("2026-09-20T00", H, "f6-1-2.parquet"), "log/tardy/hour=2026-09-20T00/2026-09-21T14-f6-1-2.parquet"),
    "results": (result_layout.results("tuning/ab12"), "results/tuning/ab12/"),
    "result": (result_layout.result("tuning/ab12", "cc0f"), "results/tuning/ab12/cc0f.json"),
    "features_of": ([result_layout.features_of(p) for p in ("candidates/ab12/lin_ts", "releases/000007/lin_ts")], ["ab12", ""]),
    "tuning": (result_layout.tuning("ab12", "cc0f"), "tunings/ab12-cc0f.json"),
    "choice": (result_layout.choice("ab12"), "choices/ab12.json"),
    "shard_rows": (
        result_layout.shard_rows("17-ab", H, 3, "cc0f", layout.LATE), "shards/17-ab/2026-09-21T14-0003-cc0f.late.parquet"
    ),
    "shards_of": (result_layout.shards_of("17-ab"), "shards/17-ab/"),
    "shards_begun": (result_layout.shards_begun("shards/17-ab/2026-09-21T14-0003-cc0f.parquet"), 17),
    "log_hour": (log_layout.log_hour("rewards", H), "log/rewards/hour=2026-09-21T14/"),
    "log_rows": (log_layout.log_rows("f689c6e5", 1, 40), "f689c6e5-000000000001-000000000040.parquet"),
    "interactions_of": (layout.interactions_of(H), "interactions/hour=2026-09-21T14/"),
    "version": (layout.version(H, 2), "interactions/hour=2026-09-21T14/v0002.json"),
    "version_rows": (
        layout.version_rows(H, 1, "cc0f0abf7b15e523", layout.LATE),
        "interactions/hour=2026-09-21T14/v0001-cc0f0abf7b15e523.late.parquet",
    ),
    "digest_of": (layout.digest_of("interactions/hour=2026-09-21T14/v0002-7561f8c4.parquet"), "7561f8c4.parquet"),
    "checked": (layout.checked(f"interactions/hour={H}/v0012.json"), "quality/hour=2026-09-21T14/v0012.json"),
    "checked_interval": (
        layout.checked_interval("20261101T0000-20261102T0000", "1f2e"),
        "quality/interval=20261101T0000-20261102T0000/1f2e.json",
    ),
    "checked_version": (layout.checked_version("quality/hour=2026-09-21T14/v0012.json"), 12),
    "quarantine_history": (layout.quarantine_history(H), "quality/hour=2026-09-21T14/quarantine.json"),
    "quarantined": (layout.quarantined(H), "quarantine/hour=2026-09-21T14/rows.parquet"),
    "audit": (layout.audit(1790000000000000, 1790003600000000), "audit/1790000000000000-1790003600000000.json"),
    "audit_day": (layout.audit_day("2026-01-01"), "audit/day=2026-01-01.json"),
    "audit_span": (layout.audit_span("audit/17-36.json"), (17, 36)),
    "features": (layout.features("ab12", "encoder"), "features/ab12/encoder"),
    "candidate": (layout.candidate("ab12", "lin_ts"), "candidates/ab12/lin_ts"),
    "encoder_beside": (
        (layout.encoder_beside("candidates/ab12/lin_ts-before"), layout.encoder_beside("releases/000007/champion")),
        ("features/ab12/encoder", "releases/000007/encoder"),
    ),
    "verdict": (layout.verdict("ab12"), "verdicts/ab12.json"),
    "verdict_name": (layout.verdict_name("verdicts/ab12.json"), "ab12"),
    "looks": (layout.looks("lin_ts"), "looks/lin_ts.json"),
    "looks_at_releases": (layout.looks_at_releases("lin_ts"), "looks/lin_ts@"),
    "release": (layout.release(7, "champion", "policy.json"), "releases/000007/champion/policy.json"),
    "claim": (layout.claim(7), "releases/000007/claim"),
    "refusal": (layout.refusal(7), "releases/000007/refused.json"),
    "release_numbers": (
        layout.release_numbers(["releases/000010/claim", "releases/000002/claim", "releases/000002/x"], "claim"),
        [2, 10],
    ),
    "rollout_history": (layout.rollout_history(7), "rollout/history/000007.json"),
    "rollout_shadow": (layout.rollout_shadow(7), "rollout/shadow/000007.parquet"),
    "rollout_watch": (layout.rollout_watch(7), "rollout/watch/000007.json"),
    "promotion_lease": (layout.promotion_lease(7), "rollout/promotion/000007"),
    "report": (layout.report("gate/ab12/index.html"), "reports/gate/ab12/index.html"),
    "report_name": (layout.report_name("reports/gate/ab12/index.html"), "gate/ab12/index.html"),
    "quality_report": (layout.quality_report("20261101T0000-20261102T0000"), "quality/20261101T0000-20261102T0000/index.html"),
    "gate_report": (layout.gate_report("ab12", layout.VERDICT_FILE), "gate/ab12/verdict.json"),
    "rollout_report": (layout.rollout_report(7, 12), "rollout/000007-012.html"),
    "rollout_page": (layout.rollout_page(7), "rollout/7.html"),
    "served": (layout.served(HOME, 7), Path("/srv/var/reels/triton/select_arm/7")),
    "change": (layout.change("ab12", 7), "features/ab12/change-7.json"),
    "linear_fit": (layout.linear_fit("ab12"), "features/ab12/linear.json"),
    "figures": (layout.figures("interactions/hour=2019-11-24T00/v0001.json"), "health/hour=2019-11-24T00/v0001.json"),
    "host_of": (log_layout.host_of("log/decisions/hour=2019-11-24T00/my-host-ab12-1-9.parquet"), "my-host"),
    "embedded": (layout.embedded(HOME, 7), Path("/srv/var/reels/embedded/7")),
    "head": (layout.head(HOME / layout.HEADS, 7, "champion"), Path("/srv/var/reels/posterior/000007-champion.head")),
}  # fmt: skip
SPELLED = {
    "SHIPPED": "ledger/shipped/",
    "LOG": "log/", "INTERACTIONS": "interactions/", "FEATURES": "features/", "QUALITY": "quality/",
    "QUARANTINE": "quarantine/", "AUDIT": "audit/", "AUDIT_DAYS": "audit/day=", "AUDIT_BY_DAYS": "audited/by-days.json",
    "VERDICTS": "verdicts/", "RELEASES": "releases/",
    "REPORTS": "reports/", "QUALITY_INTERVALS": "quality/interval=", "QUARANTINE_HOURS": "quarantine/hour=",
    "OWNER": "croupier.json", "EPOCH": "privacy/epoch", "RESTATED": "ledger/restated.json",
    "TRAINING_BEGUN": "training/begun.json", "TRAINING_ENDED": "training/ended.json", "PROCESS": "process.json",
    "CURRENT": "releases/current", "ROLLOUT": "rollout/state.json", "ROLLOUT_WATCHED": "rollout/watched.json", "BREAKERS": "rollout/breakers/",
    "MULTIPLIERS": "constraints/multipliers.json", "SPENT": "constraints/spent.json", "CONSERVATIVE": "constraints/conservative.json", "BASELINE": "baseline", "MULTIPLIERS_KEPT": "constraints/multipliers/",
    "MULTIPLIERS_MIRROR": "multipliers.json",
    "MONTH": "month.json", "EMBEDDED": "embedded", "HEALTH_HOURS": "health/",
    "HEALTH_PAGE": "health/verdict.html",
    "HEALTH_SAID": "health/verdict.json", "EMBEDDED_LOCK": ".embedded.lock", "HEADS_LOCK": ".posterior.lock",
    "ARMS_ACCEPTED": "arms/accepted.json", "ARMS_REFUSED": "arms/refused.json", "PARQUET": ".parquet", "JSON": ".json", "LATE": ".late.parquet",
    "ENCODER": "encoder", "CATALOGUE": "catalogue.json", "GOLDEN": "golden.json", "META": "meta.json",
    "ENCODED": "encoded.parquet", "SEGMENTS": "segments.parquet", "GUARDRAILS": "guardrails.parquet", "TOO_LATE": "late.parquet", "SILENCES": "silences/health.json", "NOTICE": "notices/health.json", "CHANGES": "changes/health.json",
    "LOSS": "loss.json", "LEARNING": "learning.json", "EARLIER_COLUMNS": "earlier_columns.json", "ENCODER_FILE": "encoder.json", "POLICY_FILE": "policy.json", "ARRAYS_FILE": "arrays.safetensors",
    "MANIFEST": "manifest.json", "SIGNATURE": "manifest.sig", "CLAIM": "claim",
    "SIGNING_KEY": "release.key", "VERIFY_KEY": "release.pub", "AUTHORITY": "ca.crt", "CERTIFICATE": ".crt",
    "PRIVATE_KEY": ".key", "CHECKPOINT": ".safetensors", "MODEL_PY": "model.py", "CONFIG_PBTXT": "config.pbtxt", "PAGE": "index.html",
    "VERDICT_FILE": "verdict.json", "HEALTH": "health", "HEALTH_NUMBERS": "health.json", "DATA_DOCS": "docs",
    "QUARANTINED_ROWS": "rows.parquet", "BROKEN_ROWS": "quarantine.parquet",
    "APP_TOML": "app.toml", "APP_TOML_DRAFT": "app.toml.draft", "IMPORT_COLUMNS": "import.json", "STORE": "store",
    "PAGES_LOCK": ".pages.lock", "SPOOL": "spool", "SPOOL_LOG": "spool/log.db", "UNIT_KEY": "unit.key", "UNIT_KEY_USED": "spool/unit_key",
    "REPORTS_HERE": "reports", "QUARANTINE_HERE": "quarantine", "CATALOGUE_ACCEPTED": "catalogue.accepted",
    "CATALOGUE_ACCEPTED_DRAFT": ".catalogue.accepted", "ROLLOUT_MIRROR": "rollout.json", "ROLLOUT_DRAFTS": ".rollout-",
    "BREAKER": "breaker.json", "HEADS": "posterior", "SPENDING": "spending", "RETRIEVAL": "retrieval", "INDEX": "index.safetensors",
    "REPOSITORY": "triton", "SERVED": "triton/select_arm",
    "RUNTIME": "triton-runtime", "TRITON_LOG": "triton.log", "TRITON_PID": "triton.pid",
    "TRITON_SECRET": "triton.secret", "PORTS": "ports.json", "SUPERVISOR_LOG": "supervisor.log",
    "SUPERVISOR_PID": "supervisor.pid", "PUBLISHING": "publish", "REPLAYED": "replay", "LOCK": ".lock",
    "ARMS_LOCK": ".arms.lock", "CATALOGUE_LOCK": ".catalogue.lock", "DEPLOY_LOCK": ".deploy.lock",
    "ROLLOUT_LOCK": ".rollout.lock", "UNIT_KEY_LOCK": "spool/.unit_key.lock", "UP_LOCK": ".up.lock",
    "DECLARED_APPS": "*/app.toml", "PORTS_LOCK": ".ports.lock", "AIRFLOW": "airflow", "CACHE": "cache",
    "DEMO_SUMMARY": "summary.json", "OVERVIEW": "overview/index.html", "AIRFLOW_LOG": "standalone.log", "AIRFLOW_PID": "standalone.pid",
    "AIRFLOW_SECRET": "jwt.secret", "AIRFLOW_LOGS": "logs",
}  # fmt: skip


def test_every_function_is_held_against_its_literal():
    parts = {part.__name__: part for part in (layout, log_layout, result_layout)}
    every = (each for part in parts.values() for each in inspect.getmembers(part, inspect.isfunction))
    functions = {name for name, function in every if function.__module__ in parts}
    assert functions == set(GIVEN)


@pytest.mark.parametrize("name", GIVEN)
def test_a_key_is_to_the_byte_what_it_was(name):
    found, expected = GIVEN[name]
    assert found == expected


def test_every_name_is_what_it_was():
    assert {name: value for name, value in vars(layout).items() if name.isupper()} == SPELLED


def test_an_interval_and_the_history_beside_a_verdict_are_no_version():
    assert layout.checked_version("quality/interval=20261101T0000-20261102T0000/v1.json") is None
    assert layout.checked_version(layout.quarantine_history(H)) is None
    assert layout.audit_span(layout.audit_day("2026-01-01")) is None


def keys_of(found):
    """What the layout says the keys of a store are, from its kinds, hours and numbers alone."""
    yield from (layout.CURRENT, layout.ROLLOUT, layout.rollout_history(1))
    for kind, spans in {"decisions": ((1, 40), (41, 80)), "rewards": ((1, 9), (10, 17))}.items():
        for first, last in spans:
            yield f"{log_layout.log_hour(kind, H)}h-{log_layout.log_rows('f689c6e5', first, last)}"  # its host's name before it
    for number, digest in ((1, "cc0f0abf7b15e523"), (2, "7561f8c4b55cb004")):
        yield layout.version(H, number)
        yield layout.version_rows(H, number, digest, layout.PARQUET)
    for number in layout.release_numbers(found, "claim"):
        yield layout.claim(number)
        for name in (layout.MANIFEST, layout.MODEL_PY, layout.GOLDEN, layout.CATALOGUE):
            yield layout.release(number, name)
        yield layout.release(number, layout.ENCODER, layout.ENCODER_FILE)
        yield layout.release(number, "champion", layout.POLICY_FILE)
    yield layout.release(2, "candidate", layout.POLICY_FILE)
    yield layout.release(2, "candidate", layout.ARRAYS_FILE)


def test_every_object_of_an_older_store_has_the_key_that_the_layout_gives_it():
    found = sorted(path.relative_to(OLDER).as_posix() for path in OLDER.rglob("*") if path.is_file())
    assert sorted(keys_of(found)) == found


def test_an_older_store_says_which_release_is_current():
    store = open_store(str(OLDER))
    assert (released.current(store), released.numbers(store)) == (2, [1, 2])
    assert released.manifest(store, 2)["policies"] == {"champion": "uniform", "candidate": "lin_ts"}


def test_before_the_first_release_none_is_current(tmp_path):
    store = open_store(str(tmp_path))
    assert released.pointer(store) == (None, None)
    assert (released.current(store), released.numbers(store)) == (None, [])
    with pytest.raises(KeyError):
        released.manifest(store, 1)


def test_a_pointer_is_written_as_it_always_was():
    written = released.Pointer(number=7, digest="ab").to_json()
    assert written == b'{"number":7,"digest":"ab"}'
    assert released.Pointer.from_json(written) == released.Pointer(number=7, digest="ab")


def test_what_other_hosts_learnt_lies_beside_a_head():
    path = layout.head(HOME / layout.HEADS, 7, "champion", others=True)
    assert path == Path("/srv/var/reels/posterior/000007-champion.others")
