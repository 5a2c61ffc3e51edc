"""Which module is mutated, and which fast tests have to notice: those of that module, and those of who uses it at once."""

MODULES = {
    "join": ("features/interactions/joins/in_memory.py", (
        "tests/features/interactions/test_join.py", "tests/features/interactions/test_one_rule.py",
        "tests/features/interactions/test_quarantine.py", "tests/features/interactions/test_join_edges.py",
    )),
    "rewards": ("serving/decide/rewards.py", ("tests/serving/decide/test_rewards.py",)),
    "records": ("serving/decide/records.py", (
        "tests/serving/decide/test_records.py", "tests/serving/evidence/test_planted_errors.py",
    )),
    "comparison": ("serving/evidence/comparison.py", (
        "tests/serving/evidence/test_comparison.py", "tests/serving/evidence/test_planted_errors.py",
        "tests/serving/operate/test_watch.py",
    )),
    "gather": ("serving/evidence/gather.py", (
        "tests/serving/evidence/test_planted_errors.py", "tests/serving/evidence/test_gathered_guardrails.py",
        "tests/serving/operate/test_watch.py", "tests/serving/evidence/test_hold_out_watch.py",
    )),
    "controller": ("serving/release/stage_rule.py", (
        "tests/serving/release/test_stage_rule.py", "tests/serving/release/test_rollout.py",
    )),
    "gate": ("models/gate/gate.py", (
        "tests/models/gate/test_gate.py", "tests/models/gate/test_verdict_values.py", "tests/models/gate/test_unchecked.py",
    )),
    "off-policy": ("models/ope/estimators.py", (
        "tests/models/ope/test_estimators.py", "tests/models/ope/test_units_and_thinning.py",
    )),
    "monotone": ("models/pricing/monotone.py", ("tests/models/pricing/test_monotone.py",)),
    "prices": ("features/pricing/prices.py", ("tests/features/pricing/test_prices.py",)),
    "slate-policies": ("models/slates/policies.py", (
        "tests/models/slates/test_policies.py", "tests/models/slates/test_asked_again.py",
    )),
    "slate-estimators": ("models/slates/estimators.py", (
        "tests/models/slates/test_estimators.py", "tests/models/slates/test_evidence.py",
    )),
    "slate-draws": ("models/slates/policy.py", ("tests/models/slates/test_policies.py",)),
    "slate-weights": ("models/slates/pseudoinverse.py", (
        "tests/models/slates/test_pseudoinverse.py", "tests/models/slates/test_estimators.py",
    )),
    "slate-q": ("models/slates/reward_model.py", (
        "tests/models/slates/test_reward_model.py", "tests/models/slates/test_pseudoinverse.py",
    )),
    "slate-requests": ("serving/contract/slates.py", ("tests/serving/client/test_slates.py",)),
    "draws": ("serving/decide/draws.py", ("tests/serving/decide/test_selector.py",)),
    "scoring": ("serving/decide/scoring.py", (
        "tests/serving/decide/test_scoring.py", "tests/serving/decide/test_selector.py",
    )),
}  # fmt: skip
MEDIUM = {"comparison", "gather"}  # whose tests take a second or more each: they run a whole host
PRELOADED = (
    "numpy", "orjson", "polars", "psutil", "pyarrow.parquet", "pydantic", "pydantic_settings", "pytest",
    "scipy.stats", "tritonclient.grpc", "jinja2",
)  # fmt: skip
