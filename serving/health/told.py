"""What was found, in a sentence, in words for a terminal, and as JSON."""

from dataclasses import asdict
from typing import Any

from croupier.features.utc import HOUR, from_us
from croupier.models.health.diagnosis import Diagnosis
from croupier.models.health.lift import ChampionLift
from croupier.models.health.linear.failure import LinearFit
from croupier.models.health.noted import RESET, NotedChange
from croupier.models.health.symptom import ACT, FINE, LEVELS, TO_WATCH, Symptom
from croupier.models.health.watches.model import gain_text, growth_text
from croupier.serving.health.examine import Examined
from croupier.serving.health.rows import alike, watches
from croupier.serving.health.silences import Silence

MANY = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NOTHING_YET = (
    "no hour that has ended is joined yet: `croupier turn` (in Airflow: build_features) joins each once its rewards "
    "are complete"
)


def sentence(found: Examined) -> str:
    """The one sentence on an app: "shop is well: +18 % [12, 24] over uniform this week", and which watches that have
    found something are silenced."""
    hushed = ", ".join(sorted({s.watch for s in found.silenced}))
    return _heard(found) + (f"; silenced: {hushed}" if hushed else "")


def _heard(found: Examined) -> str:
    d = found.diagnosis
    if d is None:
        return f"{found.app}: {NOTHING_YET}"
    if not d.needed and d.level != ACT:
        return f"{found.app} is {d.says}"
    earned = f"{lift_text(d.lift)} over uniform this week" if d.lift else "its lift over uniform is not known yet"
    if d.level == FINE:
        return f"{found.app} is well: {earned}"
    if d.level == TO_WATCH:
        count = len(alike(d.symptoms))
        many = f"{MANY[count] if count < len(MANY) else count} thing{'s' * (count > 1)}"
        return f"{found.app} is well: {earned}; {many} to watch: {d.says}"
    return f"{found.app} needs you: {d.says}; {earned}"


def lift_text(lift: ChampionLift) -> str:
    """'+18 % [12, 24]'."""
    value, low, high = (round(100 * x) for x in (lift.value, lift.low, lift.high))
    return f"{value:+d} % [{low}, {high}]"


def lines(found: Examined) -> list[str]:
    """What a terminal shows: the sentence, the remedy, each symptom, and how often this is wrong."""
    out, d = [sentence(found)], found.diagnosis
    if d is None:
        return [*out, *agreement(found), *prices(found), *left_out(found), *silenced(found)]
    if d.remedy and d.level == ACT:
        out.append(f"what to do: {d.remedy}")
    out += [_line(each) for each in alike(d.symptoms)]
    out += [change_text(change) for change in found.changes[-1:]]
    beside = [*agreement(found), *prices(found), *left_out(found), *silenced(found)]
    return [*out, *beside, *([judged(d)] if d.needed else [])]


def _line(symptoms: list[Symptom]) -> str:
    s, also = symptoms[0], watches(symptoms)
    return f"{s.level:5}  since {time_text(s.since)}  {s.about}{f' ({also})' if also else ''}: {s.says}; {s.remedy}"


def agreement(found: Examined) -> list[str]:
    """A line on how often the policy would have chosen as the app does, where the app is served in apprentice mode."""
    a = found.agreement
    if a is None:
        return []
    said = (
        f"apprentice mode: {a.policy} would have chosen as the app did in {100 * a.share:.1f} % of {a.decisions:,} "
        f"decisions of the last day (by chance {100 * a.chance:.1f} %)"
    )
    return [said + '; nobody sees what it chooses until [requests] learning_mode = "online"']


def prices(found: Examined) -> list[str]:
    """A line on the one price that would earn most of everybody, where arms are prices."""
    if not found.prices:
        return []
    best = max(found.prices, key=lambda one: one.profit)
    said = f"of {len(found.prices)} prices of the last day {best.arm} alone would have earned most of everybody"
    sold = f"{best.sold:.3f} ± {best.sold_se:.3f} sold a decision"
    return [f"prices: {said}: {best.profit:.4g} ± {best.profit_se:.2g} a decision, {sold}"]


def left_out(found: Examined) -> list[str]:
    """A line on the features that requests bring and nothing declares, the most frequent first."""
    if not found.left_out:
        return []
    named = ", ".join(f"{name} ({n:,})" for name, n in [*found.left_out.items()][:10])
    more = f", and {len(found.left_out) - 10} more" if len(found.left_out) > 10 else ""
    remedy = "declare them in app.toml, or let the client send them no more"
    return [f"left out of the last day's requests, since app.toml does not declare them: {named}{more}; {remedy}"]


def silenced(found: Examined) -> list[str]:
    """A line for each silence in force, with what its watch has found, if anything."""
    out = []
    for watch, silence in found.silences.items():
        heard = "; ".join(f"{s.level} since {time_text(s.since)}: {s.says}" for s in found.silenced if s.watch == watch)
        out.append(f"{silence_text(silence)}: {heard or 'it has found nothing'}")
    return out


def linear_text(fit: LinearFit) -> str:
    """'Not enough: …', or 'Enough, as far as 5,000 decisions tell: …', with the losses' difference, the gain, and what
    more rows would bring."""
    growth = growth_text(fit)
    word = "Not enough" if fit.failed else f"Enough, as far as {fit.rows:,} decisions tell"
    return (
        f"{word}: a nonlinear model's held-out loss is {fit.lower:.0%} lower, {fit.better:+.1f} standard errors, and "
        f"its greedy policy would earn {gain_text(fit)} more{growth and '; '}{growth}"
    )


def change_text(change: NotedChange) -> str:
    """'trainings leave out rows before 2026-11-02 14:00 UTC ([health] on_change = "reset_head"): …'."""
    what = "leave out rows" if change.action == RESET else f"count {change.weight:g} times the rows"
    began = f'trainings {what} before {time_text(change.since)} ([health] on_change = "{change.action}")'
    return f"{began}: {change.says}"


def silence_text(silence: Silence) -> str:
    """'reward is silenced until 2026-11-02 14:00 UTC by ann (the feed is being moved)'."""
    why = f" ({silence.why})" if silence.why else ""
    return f"{silence.watch} is silenced until {time_text(silence.until)} by {silence.by}{why}"


def judged(d: Diagnosis) -> str:
    """Up to when it was judged, by how much, and what is not known yet."""
    young = "" if d.weekly else "; weekends are not known yet, so that what depends on the season is only watched"
    return f"judged up to {time_text(d.at + HOUR)} by {d.signals} watches over {d.known / 24:.0f} days{young}"


def time_text(at: int) -> str:
    """'2026-11-02 14:00 UTC'."""
    return f"{from_us(at):%Y-%m-%d %H:%M} UTC"


def as_json(found: Examined) -> dict[str, Any]:
    """What was found as JSON: {"app", "level", "known": false where it is too early to judge, "sentence", "silences",
    "silenced": symptoms that do not count, "left_out": how many values of which undeclared features, "agreement" with
    the app's own choice in apprentice mode, or null, "prices": what is sold at each, where arms are prices, "linear":
    what the last training says of linear models, or null,
    "changes" that trainings count with, "served": how the last day was, or null, "parts": a line for each role, release
    and segment, "learning": predictions, posteriors, losses and features, and the diagnosis}."""
    head = {
        "app": found.app, "level": level(found), "known": known(found), "sentence": sentence(found),
        "silences": [silence.to_dict() for silence in found.silences.values()],
        "silenced": [s.to_dict() for s in found.silenced],
        "left_out": dict(found.left_out),
        "agreement": asdict(found.agreement) if found.agreement else None,
        "prices": [asdict(one) for one in found.prices],
        "changes": [change.to_dict() for change in found.changes],
        "linear": found.linear.to_dict() if found.linear else None,
        "served": found.served.to_dict() if found.served else None,
        "parts": [part.to_dict() for part in found.parts],
        "learning": found.learnt.to_dict(),
    }  # fmt: skip
    return head | (found.diagnosis.to_dict() if found.diagnosis else {})


def known(found: Examined) -> bool:
    """True if the app was judged: it has enough joined hours."""
    return found.diagnosis is not None and found.diagnosis.needed > 0


def level(found: Examined) -> str:
    """fine | watch | act; fine where nothing is known yet."""
    return found.diagnosis.level if found.diagnosis else FINE


def exit_code(found: Examined) -> int:
    """0 fine, 1 watch, 2 act."""
    return LEVELS.index(level(found))


def mark(symptom: Symptom) -> tuple[str, str]:
    """The sign and the style of a symptom's level, on the page."""
    return ("▲", "bad") if symptom.level == ACT else ("●", "warn")
