"""Symptoms as rows: those that say the same are one, and their figures have a unit."""

from collections.abc import Iterable

from croupier.models.health.symptom import Symptom

FALLS = ("reward_feed_arm", "worse_choices", "rewards_lost", "taste_flip", "dying_arm", "decider_fell", "reward_rise")
DRIFTS = ("feature_swapped", "category_renamed", "feature_frozen", "feature_scaled", "feature_drift")
UNITS = {  # cause: what its number is multiplied by, and how it is written
    **dict.fromkeys(FALLS, (100, "{:.0f} % of due")),
    **dict.fromkeys(DRIFTS, (1, "PSI {:.2g}")),
    "clock_skew": (1, "{:.3g} s"),
    "bot_traffic": (100, "{:.2g} % of decisions"),
    "feature_silent": (1, "|r| {:.2f}"),
    "feature_uninformative": (1, "{:.4f} nats"),
    "poor_prediction": (1, "skill {:.2f}"),
    "unreliable_posterior": (1, "condition {:.1e}"),
    "fallbacks": (100, "{:.2g} % of decisions"),
    "reward_change": (1, "×{:.3g}"),
    "coverage": (100, "{:.2g} % of its offers"),
    "late_rewards": (100, "{:.2g} % of rewards"),
    "orphan_rewards": (100, "{:.2g} % of rewards"),
    "reward_delay": (1, "×{:.3g}"),
    "premature_convergence": (1, "entropy {:.2f}"),
    "linear_failure": (1, "×{:.2f} the loss"),
    "harmful_candidate": (1, "{:.3g} a decision"),
    "upkeep": (1, "{:.3g}"),  # hours or a share: the sentence says which
}


def alike(symptoms: Iterable[Symptom]) -> list[list[Symptom]]:
    """The symptoms, the gravest first, those that say the same together: one arm's lost rewards show in everything's,
    too, and a watch that saw them begin another hour says the same of other counts."""
    found: dict[tuple[str, str], list[Symptom]] = {}
    for s in symptoms:
        found.setdefault((s.cause, s.says.partition(": ")[0]), []).append(s)
    return list(found.values())


def figures(symptom: Symptom) -> tuple[str, str]:
    """The number that was found and its threshold, with their unit."""
    times, form = UNITS.get(symptom.cause, (1, "{:.3g}"))
    return form.format(times * symptom.number), form.format(times * symptom.threshold)


def watches(symptoms: list[Symptom]) -> str:
    """'also in reward, all; reward, segment device=tv': where else it shows; "" for a symptom that stands alone."""
    others = [s.about for s in symptoms[1:]]
    more = f" and {len(others) - 4} more" if len(others) > 5 else ""
    return f"also in {'; '.join(others[: 4 if more else 5])}{more}" if others else ""
