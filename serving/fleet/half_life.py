"""Why a head that forgets cannot be shared.

A half-life discounts all that was learnt before by each further row: the order of the rows matters, and the sum of what
hosts have learnt apart is not what one host would have learnt from all rows. Each host would also forget by its own
rows alone, at a fraction of the pace that was meant.
"""

from collections.abc import Iterable

from croupier.features.settings import Settings
from croupier.models.policy import Policy
from croupier.serving.learning.live_heads import learns


def refuse(settings: Settings, policies: Iterable[Policy | None]) -> None:
    """Raises ValueError where hosts share what they learn and one of these policies, which learns, forgets."""
    for policy in policies if settings.redis.get_secret_value() else ():
        if learns(policy) and (why := why_alone(policy.parameters["half_life"])):
            raise ValueError(f"{policy.name}: {why}")


def why_alone(half_life: float) -> str:
    """The sentence that refuses to share a head with this half-life (rows); empty where it can be shared."""
    if not half_life:
        return ""
    return (
        f"found half_life = {half_life:g} and CROUPIER_REDIS, expected one of them: a head that forgets depends on the "
        "order of its rows, and what several hosts learnt apart does not add up; set half_life = 0 (and train again, "
        "more often), or serve this policy without CROUPIER_REDIS, each host by itself"
    )
