"""Where everything lies: the only file that spells a key of a store, or the path of a file on a host.

A store holds one app. Of what belongs to an hour there is one partition an hour of UTC, by the time of the event:

    log/decisions/hour=2019-11-24T00/<spool>-<first>-<last>.parquet    rows first..last of the spool with that id
    log/rewards/…   log/rejects/…   log/foreign/…   log/tardy/…     the last two: log/index/event_hours.py
    interactions/hour=2019-11-24T00/v0001.json, v0001-<digest>.parquet, v0001-<digest>.late.parquet
    quality/hour=2019-11-24T00/v0001.json, quarantine.json     quarantine/hour=2019-11-24T00/rows.parquet
    health/hour=2019-11-24T00/v0001.json     figures of that version, for `croupier health`
    silences/health.json   changes/health.json
    features/<key>/…   candidates/<key>/<policy>/…   verdicts/<key>.json   releases/000007/…   rollout/…   reports/…

Keys end in no slash, prefixes do. On a host, everything of an app lies below its home, `<CROUPIER_VAR>/<app>/`; whoever
opens a file there joins its name to the home: `home / layout.APP_TOML`. This file knows names, not what is inside.
"""

from pathlib import Path

# The store: prefixes, whose objects have keys of the same name, and objects that there is one of.
LOG, INTERACTIONS, FEATURES = "log/", "interactions/", "features/"
QUALITY, QUARANTINE, AUDIT, AUDIT_DAYS = "quality/", "quarantine/", "audit/", "audit/day="  # the last: sums of days
CHANGES = "changes/health.json"  # of the users, as health saw them, and what trainings make of each
SILENCES, NOTICE = "silences/health.json", "notices/health.json"  # alarms that do not count; what people were told
VERDICTS, RELEASES, REPORTS = "verdicts/", "releases/", "reports/"
QUALITY_INTERVALS, QUARANTINE_HOURS, HEALTH_HOURS = "quality/interval=", "quarantine/hour=", "health/"
OWNER = "croupier.json"  # whose the store is
EPOCH = "privacy/epoch"  # not below log/: it is no event, and differs in every store
RESTATED, AUDIT_BY_DAYS = "ledger/restated.json", "audited/by-days.json"  # when `restate` was here last; days have sums
SHIPPED = "ledger/shipped/"  # what was shipped since: one receipt a shipment, until `restate` has seen it
TRAINING_BEGUN, TRAINING_ENDED = "training/begun.json", "training/ended.json"
PROCESS = "process.json"  # the models through time that a scheduled loop judges
CURRENT, MULTIPLIERS, MULTIPLIERS_KEPT = "releases/current", "constraints/multipliers.json", "constraints/multipliers/"
SPENT, CONSERVATIVE, ROLLOUT = "constraints/spent.json", "constraints/conservative.json", "rollout/state.json"
ROLLOUT_WATCHED, BREAKERS = "rollout/watched.json", "rollout/breakers/"  # when the controller looked; what hosts say
ARMS_ACCEPTED, ARMS_REFUSED = "arms/accepted.json", "arms/refused.json"
PARQUET, JSON, LATE = ".parquet", ".json", ".late.parquet"

# Folders that are objects of the store and, as copies, folders of a host: features, a policy, a release, a report.
ENCODER, CATALOGUE, GOLDEN, LEARNING = "encoder", "catalogue.json", "golden.json", "learning.json"
RETRIEVAL, INDEX, BASELINE = "retrieval", "index.safetensors", "baseline"
META, ENCODED, SEGMENTS, GUARDRAILS = "meta.json", "encoded.parquet", "segments.parquet", "guardrails.parquet"
TOO_LATE = "late.parquet"  # what rewards past the window would have come to, beside the encoded rows
ENCODER_FILE, POLICY_FILE, ARRAYS_FILE = "encoder.json", "policy.json", "arrays.safetensors"
LOSS, EARLIER_COLUMNS = "loss.json", "earlier_columns.json"  # of a policy that reads what an earlier encoder wrote
MANIFEST, MODEL_PY, CONFIG_PBTXT = "manifest.json", "model.py", "config.pbtxt"
SIGNATURE, CLAIM = "manifest.sig", "claim"  # of a release: where it is signed; that its number is taken
PAGE, VERDICT_FILE, HEALTH, HEALTH_NUMBERS, DATA_DOCS = "index.html", "verdict.json", "health", "health.json", "docs"
HEALTH_PAGE, HEALTH_SAID = "health/verdict.html", "health/verdict.json"  # names below REPORTS
QUARANTINED_ROWS, BROKEN_ROWS = "rows.parquet", "quarantine.parquet"  # of an hour; of an interval that was validated

# A host, below the home of an app.
APP_TOML, APP_TOML_DRAFT, IMPORT_COLUMNS = "app.toml", "app.toml.draft", "import.json"
STORE, SPOOL, SPOOL_LOG = "store", "spool", "spool/log.db"
UNIT_KEY, UNIT_KEY_USED = "unit.key", "spool/unit_key"  # the key; the fingerprint of the one the log is written with
REPORTS_HERE, QUARANTINE_HERE, MULTIPLIERS_MIRROR = "reports", "quarantine", "multipliers.json"
CATALOGUE_ACCEPTED, CATALOGUE_ACCEPTED_DRAFT = "catalogue.accepted", ".catalogue.accepted"
ROLLOUT_MIRROR, ROLLOUT_DRAFTS, BREAKER = "rollout.json", ".rollout-", "breaker.json"
HEADS, SPENDING = "posterior", "spending"
REPOSITORY, SERVED, RUNTIME = "triton", "triton/select_arm", "triton-runtime"  # Triton's models; ours by number
TRITON_LOG, TRITON_PID, TRITON_SECRET, PORTS = "triton.log", "triton.pid", "triton.secret", "ports.json"
SUPERVISOR_LOG, SUPERVISOR_PID = "supervisor.log", "supervisor.pid"
PUBLISHING, REPLAYED, EMBEDDED = "publish", "replay", "embedded"  # folders of releases: on their way, fetched to be
# replayed, and served by the selector of a product's own process
LOCK, ARMS_LOCK, CATALOGUE_LOCK, DEPLOY_LOCK = ".lock", ".arms.lock", ".catalogue.lock", ".deploy.lock"
EMBEDDED_LOCK, HEADS_LOCK, PAGES_LOCK = ".embedded.lock", ".posterior.lock", ".pages.lock"
ROLLOUT_LOCK, UNIT_KEY_LOCK, UP_LOCK = ".rollout.lock", "spool/.unit_key.lock", ".up.lock"

# A host, in a folder that its operator names: keys, certificates, trainings that are to go on after a crash.
SIGNING_KEY, VERIFY_KEY, AUTHORITY, CERTIFICATE, PRIVATE_KEY = "release.key", "release.pub", "ca.crt", ".crt", ".key"
CHECKPOINT = ".safetensors"

# A host, below CROUPIER_VAR, beside the apps.
DECLARED_APPS, PORTS_LOCK = "*/app.toml", ".ports.lock"
AIRFLOW, CACHE, DEMO_SUMMARY = "airflow", "cache", "summary.json"
OVERVIEW = "overview/index.html"  # every app in a sentence; copies of the pages that it links lie beside it
MONTH = "month.json"  # below the home of a virtual month: what it has come to
AIRFLOW_LOG, AIRFLOW_PID, AIRFLOW_SECRET, AIRFLOW_LOGS = "standalone.log", "standalone.pid", "jwt.secret", "logs"


def hour_of(key: str) -> str:
    """The hour that a key of the store belongs to; '' where it belongs to none."""
    return key.partition("hour=")[2].partition("/")[0]


def hour_below(prefix: str, hour: str) -> str:
    """The prefix of an hour's objects below a prefix that is partitioned by the hour."""
    return f"{prefix}hour={hour}/"


def hours_below(prefix: str, first: str, last: str) -> tuple[str, str, str]:
    """What `Store.between` is asked for the objects of the hours `first` to `last`, both included."""
    return f"{prefix}hour=", first, f"{last}~"


def beside(key: str, name: str) -> str:
    """The key of the object `name` in the same folder as `key`."""
    return f"{key.rpartition('/')[0]}/{name}"


def log_of(kind: str) -> str:
    """The prefix of the shipped log's objects of a kind: decisions, rewards or rejects."""
    return f"{LOG}{kind}/"


def interactions_of(hour: str) -> str:
    """The prefix of every version of an hour's interactions."""
    return f"{INTERACTIONS}hour={hour}/"


def version(hour: str, number: int) -> str:
    """The key of the small object that makes a version of an hour's interactions exist."""
    return f"{interactions_of(hour)}v{number:04d}{JSON}"


def version_rows(hour: str, number: int, digest: str, suffix: str) -> str:
    """The key of a version's rows; `suffix` is PARQUET, or LATE for the rewards that came late."""
    return f"{interactions_of(hour)}v{number:04d}-{digest}{suffix}"


def digest_of(rows_key: str) -> str:
    """The digest, with its suffix, that ends the key of a version's rows."""
    return rows_key.rpartition("-")[2]


def checked(version_key: str) -> str:
    """The key of what the validation said of a version: interactions/hour=H/v0001.json → quality/hour=H/v0001.json."""
    return f"{QUALITY}hour={hour_of(version_key)}/{version_key.rpartition('/')[2]}"


def figures(version_key: str) -> str:
    """The key of the hourly figures of a version: interactions/hour=H/v0001.json → health/hour=H/v0001.json."""
    return f"{HEALTH_HOURS}hour={hour_of(version_key)}/{version_key.rpartition('/')[2]}"


def checked_interval(interval: str, digest: str) -> str:
    """The key of what was said of an interval that was validated as one; `digest` is of the versions that it read."""
    return f"{QUALITY_INTERVALS}{interval}/{digest}{JSON}"


def quarantine_history(hour: str) -> str:
    """The key of what was done with the rows of an hour that were quarantined."""
    return f"{QUALITY}hour={hour}/quarantine{JSON}"


def checked_version(key: str) -> int | None:
    """The version of an hour that a key below QUALITY is about; None where it is about an interval or no version."""
    name = key.rpartition("/")[2]
    return int(name[1 : -len(JSON)]) if hour_of(key) and name.startswith("v") else None


def quarantined(hour: str) -> str:
    """The key of an hour's rows that broke a rule."""
    return f"{QUARANTINE_HOURS}{hour}/{QUARANTINED_ROWS}"


def audit(start: int, end: int) -> str:
    """The key of the propensity audit's evidence of [start, end), UTC µs."""
    return f"{AUDIT}{start}-{end}{JSON}"


def audit_day(day: str) -> str:
    """The key of the sum over a day's intervals; `day` is 2026-01-01."""
    return f"{AUDIT_DAYS}{day}{JSON}"


def audit_span(key: str) -> tuple[int, int] | None:
    """The start and end that the key of an interval's audit names; None for that of a day."""
    start, _, end = key.removeprefix(AUDIT).removesuffix(JSON).partition("-")
    return None if start.startswith("day=") else (int(start), int(end))


def features(key: str, *parts: str) -> str:
    """The prefix of encoded features without its slash, or with `parts` the key of something in them."""
    return "/".join((f"{FEATURES}{key}", *parts))


def change(features_key: str, before: int) -> str:
    """The key of what the rows of encoded features before a time (UTC µs) say of a change of the users."""
    return features(features_key, f"change-{before}{JSON}")


def linear_fit(features_key: str) -> str:
    """The key of what a training's rows say of linear models (models/health/linear)."""
    return features(features_key, f"linear{JSON}")


def candidate(features_key: str, policy: str) -> str:
    """The prefix, without its slash, of a policy that was trained on features."""
    return f"candidates/{features_key}/{policy}"


def encoder_beside(policy_prefix: str) -> str:
    """The prefix of the encoder that a policy of this prefix was trained with, or is released with."""
    folder, owner, _ = f"{policy_prefix}/".split("/", 2)
    return features(owner, ENCODER) if folder == "candidates" else f"{folder}/{owner}/{ENCODER}"


def verdict(key: str) -> str:
    """The key of the gate's verdict on what was trained on the features `key`."""
    return f"{VERDICTS}{key}{JSON}"


def verdict_name(verdict_key: str) -> str:
    """The features that the key of a verdict names."""
    return verdict_key.removeprefix(VERDICTS).removesuffix(JSON)


def looks(champion: str) -> str:
    """The key of the ledger of looks at this champion's challengers."""
    return f"looks/{champion}{JSON}"


def looks_at_releases(champion: str) -> str:
    """What the keys of ledgers begin with that were kept for each release of a champion, until November 2026."""
    return f"looks/{champion}@"


def release(number: int, *parts: str) -> str:
    """The prefix of a release without its slash, or with `parts` the key of something in it."""
    return "/".join((f"{RELEASES}{number:06d}", *parts))


def claim(number: int) -> str:
    """The key that says that a release's number is taken."""
    return release(number, CLAIM)


def refusal(number: int) -> str:
    """The key of why a release never took traffic."""
    return release(number, "refused.json")


def release_numbers(keys: list[str], name: str) -> list[int]:
    """The numbers, in order, of the releases that have an object `name` (CLAIM or MANIFEST) among these keys."""
    return sorted(int(key.split("/")[1]) for key in keys if key.endswith(f"/{name}"))


def rollout_history(release_number: int) -> str:
    """The key of the last state of a rollout that another one followed."""
    return f"rollout/history/{release_number:06d}{JSON}"


def rollout_shadow(release_number: int) -> str:
    """The key of what a candidate in shadow would have done."""
    return f"rollout/shadow/{release_number:06d}{PARQUET}"


def rollout_watch(release_number: int) -> str:
    """The key of what the last look at a promoted release's watch saw."""
    return f"rollout/watch/{release_number:06d}{JSON}"


def promotion_lease(release_number: int) -> str:
    """The key of the lease of whoever promotes a release's candidate."""
    return f"rollout/promotion/{release_number:06d}"


def report(page: str) -> str:
    """The key of a page, or of what it shows, from its name below REPORTS."""
    return f"{REPORTS}{page}"


def report_name(report_key: str) -> str:
    """The name below REPORTS of a report's key."""
    return report_key.removeprefix(REPORTS)


def quality_report(interval: str, page: str = PAGE) -> str:
    """The name of the page on the quality of an interval."""
    return f"quality/{interval}/{page}"


def gate_report(key: str, page: str = PAGE) -> str:
    """The name of the page on the gate's verdict."""
    return f"gate/{key}/{page}"


def rollout_report(release_number: int, step: int) -> str:
    """The name of the page on a rollout after its `step`-th change."""
    return f"rollout/{release_number:06d}-{step:03d}.html"


def rollout_page(release_number: int) -> str:
    """The name of the page on a rollout that a person asks for, which is only on the host."""
    return f"rollout/{release_number}.html"


def served(home: Path, number: int) -> Path:
    """The folder of a release that Triton serves here."""
    return home / SERVED / str(number)


def embedded(home: Path, number: int) -> Path:
    """The folder of a release that the selectors of this host's own processes serve."""
    return home / EMBEDDED / str(number)


def head(folder: Path, release_number: int, role: str, *, others: bool = False) -> Path:
    """The file of one role's head, or of what the other hosts have learnt of it, in the folder HEADS of a host."""
    return folder / f"{release_number:06d}-{role}.{'others' if others else 'head'}"
