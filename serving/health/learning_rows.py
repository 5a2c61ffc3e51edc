"""What the health page shows of how well is learnt: rows of tables, and a reliability diagram of each predictor."""

from typing import Any

from croupier.features.quality.pages import charts
from croupier.models.health.learning.calibration import RewardCalibration
from croupier.models.health.learning.telling import FeatureTelling
from croupier.models.health.symptom import Symptom
from croupier.serving.health.learnt import Learnt

NOT_KNOWN = "–"
SILENT = ("feature_silent", "feature_uninformative")


def shown(found: Learnt, symptoms: tuple[Symptom, ...]) -> dict[str, Any]:
    """Returns the values of learning.html.j2. `symptoms`: of the diagnosis, which name features that went silent."""
    known = [each for each in (found.champion, found.reward_model) if each is not None]
    features = [_feature(each, symptoms) for each in found.features]
    return {
        "predictions": [_prediction(each) for each in known],
        "charts": [_diagram(each) for each in known if len(each.bins) > 1],
        "tables": [(f"Reliability of {each.who}", _bins(each)) for each in known],
        "heads": [
            (head.who, f"{head.number:.1e}", f"{head.size:,}", head.arm, _alike(head.alike))
            for head in found.conditions
        ],
        "losses": [
            (f"{each.release}", each.policy, f"{each.rows:,}", f"{each.loss:.4g}", f"{each.of_mean:.4g}", _lower(each))
            for each in found.losses
        ],
        "features": [row for row in features if set(row[1:5]) != {NOT_KNOWN}],
    }


def _prediction(c: RewardCalibration) -> tuple[str, ...]:
    return (c.who, f"{c.rows:,}", f"{c.beyond:.4g}", f"{c.chance:.4g}", f"{c.sharpness:.3g}", f"{c.skill:.3g}")


def _bins(c: RewardCalibration) -> list[tuple[str, ...]]:
    return [(f"{b.rows:,}", f"{b.predicted:.4g}", f"{b.reward:.4g}", f"{b.low:.4g}", f"{b.high:.4g}") for b in c.bins]


def _diagram(c: RewardCalibration) -> tuple[str, str, str]:
    """Returns (title, what it says, chart): mean reward of each bin over its mean prediction, with 95 % intervals."""
    x = [b.predicted for b in c.bins]
    series = {"reward": (x, [b.reward for b in c.bins]), "as predicted": (x, list(x))}
    bands = {"reward": ([b.low for b in c.bins], [b.high for b in c.bins])}
    said = f"mean reward of tenths by the prediction of {c.who}: {charts.spoken([b.reward for b in c.bins])}"
    return f"Reliability: {c.who}", said, charts.paths(series, label=said, x="predicted reward", bands=bands)


def _alike(pairs: Any) -> str:
    return "; ".join(f"{pair.one} and {pair.other} (r = {pair.r:+.3f})" for pair in pairs)


def _lower(each: Any) -> str:
    return f"{1 - each.loss / each.of_mean:.1%}" if each.of_mean > 0 else NOT_KNOWN


def _feature(each: FeatureTelling, symptoms: tuple[Symptom, ...]) -> tuple[str, ...]:
    silent = any(s.cause in SILENT and s.about.startswith(f"{each.name} and ") for s in symptoms)
    texts = (
        NOT_KNOWN if value is None else format(value, form)
        for value, form in ((each.r, ".3f"), (each.r_now, ".3f"), (each.nats, ".4f"), (each.nats_now, ".4f"))
    )
    return (each.name, *texts, "watch" if silent else "")
