"""Every metric that a server exports at Triton's /metrics: its name, kind, labels and help. To add one, add a row here
and count it where it happens: `meter.count(NAME, label=…)`, `meter.gauge(NAME, value)` (meter.py).

Names and labels in the code are checked against this table by tests/serving/decide/test_metrics.py. A name that is not
here is exported as `croupier_unknown_metrics_total{name}` and costs no other count.

There are no histograms: one of Triton's takes a call to the server for every observation. Times of stages are counters
by upper bound instead, and are named as counters. PromQL reads their `le` label all the same:

    histogram_quantile(0.99, sum by (le) (rate(croupier_stage_within_total{stage="encode"}[5m])))

Labels never carry a unit, an event or a context.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """A counter only grows; a gauge is replaced. `labels` are all of its labels; `help` stands at /metrics."""

    kind: Literal["counter", "gauge"]
    labels: tuple[str, ...]
    help: str


UNKNOWN = "croupier_unknown_metrics_total"

METRICS = {
    "croupier_decisions_total": Metric(
        "counter", ("release", "role", "policy"), "decisions by release, role and policy"
    ),
    "croupier_fallbacks_total": Metric(
        "counter", ("reason",), "decisions that another policy than the one meant had to make, by reason"
    ),
    "croupier_rejects_total": Metric(
        "counter", ("model", "field"), "requests, rewards and records refused, by model and field"
    ),
    "croupier_not_admitted_total": Metric(
        "counter",
        ("model", "reason"),
        "well-formed rewards and records that the app does not declare, by model and reason",
    ),
    "croupier_dropped_arms_total": Metric(
        "counter", ("reason",), "arms of requests that could not be chosen, by reason: retired, paused, not yet"
    ),
    "croupier_left_out_features_total": Metric(
        "counter", ("scope",), "values of features that app.toml does not declare, left out of requests"
    ),
    "croupier_apprentice_agreed_total": Metric(
        "counter", (), "apprentice decisions that the policy would have made alike: the sum of its probabilities"
    ),
    "croupier_apprentice_decisions_total": Metric(
        "counter", (), "apprentice decisions: answered with the first arm of their request"
    ),
    "croupier_rewards_total": Metric("counter", ("fate",), "rewards by fate"),
    "croupier_records_total": Metric("counter", ("fate",), "clients' own decisions by fate"),
    "croupier_stage_within_total": Metric(
        "counter", ("stage", "le"), "batches that took at most le seconds in a stage of the selector"
    ),
    "croupier_stage_seconds_total": Metric("counter", ("stage",), "time of batches in a stage of the selector"),
    "croupier_stage_batches_total": Metric("counter", ("stage",), "batches that went through a stage of the selector"),
    UNKNOWN: Metric("counter", ("name",), "increments of names that no table of metrics has: a defect of the program"),
    "croupier_posterior_step": Metric("gauge", ("role",), "rewards the head has learnt from"),
    "croupier_fleet_staleness_seconds": Metric(
        "gauge", (), "time since this host last gave to and took from what the hosts share (CROUPIER_REDIS)"
    ),
    "croupier_fleet_other_hosts": Metric("gauge", ("role",), "other hosts whose learning is in this host's head"),
    "croupier_fleet_rewards_total": Metric(
        "counter", ("way",), "rewards of other hosts' decisions by way: passed on, taken in, malformed"
    ),
    "croupier_spool_bytes": Metric("gauge", (), "size of the host's event log"),
    "croupier_spool_unshipped_rows": Metric("gauge", (), "events of the host's log that are not in the store yet"),
}
