"""A number about an interval, and the rule that it is held against."""

from dataclasses import dataclass

from croupier.features.quality.rules import Rule, Severity


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A number and its rule."""

    value: float
    rule: Rule


def at_most(name: str, value: float, limit: float, says: str, severity: Severity = "warning") -> Measure:
    """Returns a number that may be at most `limit`; `says`, for people, what it is."""
    return _measure(name, value, {"max_value": limit}, says, severity)


def at_least(name: str, value: float, limit: float, says: str, severity: Severity = "warning") -> Measure:
    """Returns a number that must be at least `limit`."""
    return _measure(name, value, {"min_value": limit}, says, severity)


def _measure(name: str, value: float, limits: dict[str, float], says: str, severity: Severity) -> Measure:
    rule = Rule(
        name=name, column=name, says=says, severity=severity, limits=limits, expectation="ExpectColumnMaxToBeBetween"
    )
    return Measure(value=value, rule=rule)
