"""Advice on the model: a linear champion misses what a nonlinear one would earn (models/health/linear)."""

from collections.abc import Collection

from croupier.features.declared.policies import AUTO
from croupier.models.health.linear.failure import LinearFit
from croupier.models.health.symptom import TO_WATCH, Symptom

LINEAR = ("vw_cb_adf", "lin_ts", "lin_ucb")
ADVISED = "neural_linear"
ENOUGH = 1.0  # a ratio of losses below it is found


def asked(champion: str, candidates: Collection[str]) -> bool:
    """True if a failure of linear models concerns this app: a linear policy serves; or none that learns does yet, and
    only linear ones compete."""
    return champion in LINEAR or (champion == "uniform" and set(candidates) <= set(LINEAR))


def symptoms(fit: LinearFit | None, candidates: Collection[str]) -> list[Symptom]:
    """Returns the advice; nothing where the linear model is good enough. It is never acted on at once."""
    if fit is None or not fit.failed:
        return []
    return [
        Symptom(
            watch="model",
            about="linear champion",
            level=TO_WATCH,
            cause="linear_failure",
            number=fit.bent_loss / fit.loss,
            threshold=ENOUGH,
            since=fit.since,
            says=_says(fit),
            remedy=_remedy(candidates),
        )
    ]


def gain_text(fit: LinearFit) -> str:
    """'+0.051 [0.024, 0.079] a decision (+12 %)'."""
    share = f" ({fit.gain / fit.reward:+.0%})" if fit.reward > 0 else ""
    return f"{fit.gain:+.3g} [{fit.low:.3g}, {fit.high:.3g}] a decision{share}"


def growth_text(fit: LinearFit) -> str:
    """'twice the rows earn a linear policy +0.004 [-0.01, 0.018] a decision more: its value hardly grows'; "" of a fit
    that an older version kept."""
    if fit.growth is None:
        return ""
    worth = f"{fit.growth:+.3g} [{fit.growth_low:.3g}, {fit.growth_high:.3g}] a decision"
    grows = "its value still grows" if (fit.growth_low or 0.0) > 0 else "whether its value still grows is not known"
    return f"twice the rows earn a linear policy {worth} more: {'its value hardly grows' if fit.flat else grows}"


def _says(fit: LinearFit) -> str:
    names = [m.name for m in (*fit.features, *fit.pairs)]
    what = f"how the reward depends on {', '.join(names)}" if names else "something of its features"
    return (
        f"a linear policy misses {what}: try {ADVISED}, expected gain {gain_text(fit)}; the held-out loss of a "
        f"nonlinear model is {fit.lower:.0%} lower over {fit.rows:,} decisions"
        + (f"; {growth_text(fit)}" if fit.flat else "")
    )


def _remedy(candidates: Collection[str]) -> str:
    if ADVISED in candidates or AUTO in candidates:
        return f"{ADVISED} is trained already, and the gate judges it: `croupier gate report`"
    return f'add "{ADVISED}" to [policies] candidates; the gate judges it before anybody sees it'
