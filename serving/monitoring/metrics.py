"""Every metric that `croupier exporter` exports: its name, kind, labels and help. Names are stable: one that is here is
never given another meaning. What a server itself counts stands in serving/decide/metrics.py, at Triton's /metrics.

All have the label `app`; what is of one host also `host`, as CROUPIER_HOST names it. Ages are seconds by the loop's
clock. What is not known is not exported, rather than 0.
"""

from croupier.serving.decide.metrics import Metric


def _gauge(what: str, *labels: str) -> Metric:
    return Metric("gauge", ("app", *labels), what)


EXPORTED = {
    "croupier_up": _gauge("1 if every figure of the app could be read, 0 if not"),
    "croupier_read_failures_total": Metric(
        "counter", ("app", "part", "error"), "figures that could not be read, by part and kind of error; see the log"
    ),
    "croupier_read_seconds": _gauge("time that it took to read the figures of the app"),
    "croupier_health_verdict": _gauge("last verdict, without what is silenced: 0 fine, 1 watch, 2 act"),
    "croupier_health_watch": _gauge("what a watch found, silenced or not: 0 fine, 1 watch, 2 act", "watch"),
    "croupier_health_part": _gauge(
        "verdict on a role, release or segment that decided in the last day, or on all: 0 fine, 1 watch, 2 act",
        "group",
        "part",
    ),
    "croupier_reward_calibration_error": _gauge(
        "calibration error of predicted rewards, less what chance adds; model: champion, reward_model", "model"
    ),
    "croupier_reward_skill": _gauge(
        "1 less the squared error of predicted rewards over that of their mean; below 0 the mean is better", "model"
    ),
    "croupier_reward_sharpness": _gauge("variance of the predicted rewards over that of the rewards", "model"),
    "croupier_posterior_condition": _gauge("condition number of the precision of a Bayesian head", "policy"),
    "croupier_feature_information": _gauge(
        "nats of mutual information of a feature and whether there is a reward, in the last day", "feature"
    ),
    "croupier_health_silenced": _gauge("1 while the watch is silenced", "watch"),
    "croupier_health_age_seconds": _gauge("time since the end of the last hour that health judged"),
    "croupier_health_lag_seconds": _gauge("how far health is behind the joined and mature hours; 0: it has judged all"),
    "croupier_lift_over_uniform": _gauge(
        "what was served this week over uniform selection, relative; bound: estimate, low, high (95 %)", "bound"
    ),
    "croupier_release_number": _gauge("the current release"),
    "croupier_release_age_seconds": _gauge("time since the current release was made"),
    "croupier_features_age_seconds": _gauge("time since the end of the data that the current release was trained on"),
    "croupier_rollout_stage": _gauge("1 for the stage at which the rollout stands", "stage"),
    "croupier_rollout_share": _gauge("share of units that the candidate, or what was kept back, serves"),
    "croupier_rollout_running": _gauge("1 while the rollout may still move"),
    "croupier_rollout_held": _gauge("1 while the rollout is held, with an alarm"),
    "croupier_rollout_look_age_seconds": _gauge("time since the rollout was last looked at"),
    "croupier_breaker_open": _gauge("1 while the candidate's breaker is open on this host", "host"),
    "croupier_posterior_age_seconds": _gauge("time since the head last learnt, by role", "host", "role"),
    "croupier_hours_due": _gauge("mature hours that wait to be joined or validated"),
    "croupier_hour_lag_seconds": _gauge("how long the oldest hour that is due has been mature; 0: none is due"),
    "croupier_quality_failed_hours": _gauge("hours of the last week whose newest version failed validation"),
    "croupier_log_bytes": _gauge("size of the host's event log", "host"),
    "croupier_log_fill_ratio": _gauge(
        "size of the log as a share of CROUPIER_SPOOL_MAX_BYTES; decisions are thinned from 0.8 on", "host"
    ),
    "croupier_log_unshipped_rows": _gauge("events of the log that no shipment has taken yet", "host"),
    "croupier_log_unshipped_age_seconds": _gauge(
        "age of the oldest decision that is not in the store; 0: none", "host"
    ),
    "croupier_log_shipped_age_seconds": _gauge("age of the newest decision of this host that is in the store", "host"),
    "croupier_log_newest_age_seconds": _gauge("age of the newest decision of this host", "host"),
    "croupier_log_expected_rewards": _gauge(
        "rewarded decisions that should have come since the last reward, by the share before it", "host"
    ),
    "croupier_disk_free_bytes": _gauge("free space of the disk that the app's folder lies on", "host"),
    "croupier_disk_size_bytes": _gauge("size of that disk", "host"),
}
