"""Arrow schemas of the events in columns: the same fields, and the same version, as features/schema.py has them."""

from collections.abc import Sequence

import pyarrow as pa

from croupier.features.schema import SCHEMA_VERSION

_DECISION_FIELDS: Sequence[tuple[str, pa.DataType]] = (
    ("event_id", pa.string()), ("at", pa.int64()), ("unit_id", pa.string()), ("context", pa.string()),
    ("arms", pa.list_(pa.string())), ("pmf", pa.list_(pa.float64())), ("arm", pa.string()),
    ("propensity", pa.float64()), ("policy", pa.string()), ("role", pa.string()), ("release", pa.int64()),
    ("stage", pa.string()), ("arm_context", pa.string()), ("catalogue", pa.string()), ("encoder", pa.string()),
    ("posterior_step", pa.int64()), ("fallback_reason", pa.string()), ("pass_probability", pa.float64()),
    ("took_us", pa.int64()), ("arm_features", pa.string()), ("allocation", pa.string()),
    ("multipliers", pa.int64()), ("shared_posterior", pa.string()),
    ("stopped", pa.string()), ("retrieved", pa.string()), ("slate_so_far", pa.string()),
    ("conservative", pa.string()), ("margin", pa.string()),
)  # fmt: skip
_VERSION = {b"croupier.schema": str(SCHEMA_VERSION).encode()}
DECISIONS = pa.schema(_DECISION_FIELDS, metadata=_VERSION)
REWARDS = pa.schema(
    [("event_id", pa.string()), ("at", pa.int64()), ("kind", pa.string()), ("value", pa.float64()),
     ("reward_id", pa.string())], metadata=_VERSION,
)  # fmt: skip
# An interaction is its decision, the one number its rewards came to, and how many rewards that was.
INTERACTIONS = pa.schema(
    [*_DECISION_FIELDS, ("reward", pa.float64()), ("reward_count", pa.int64()), ("reward_at", pa.int64())],
    metadata=_VERSION,
)
