"""Where the arms of requests come from, as a release carries it: the catalogue, the request, or both."""

from collections.abc import Mapping
from typing import Any

from croupier.features.schema import FROM_CATALOGUE
from croupier.models.policy import Policy

ENTRY = "arm_source"


def of(manifest: Mapping[str, Any]) -> str:
    """What a manifest says; releases of before there was a choice know the catalogue alone."""
    return str(manifest.get(ENTRY, FROM_CATALOGUE))


def entry(source: str) -> dict[str, str]:
    """The manifest's entry."""
    return {} if source == FROM_CATALOGUE else {ENTRY: source}


def refuse_unfit(source: str, roles: Mapping[str, Policy]) -> None:
    """Raises ValueError where a policy cannot serve arms that requests bring along, and they may."""
    for role, policy in roles.items():
        if source != FROM_CATALOGUE and policy.inline_arms == "refused":
            raise ValueError(
                f"{role}: found {policy.name}, which refuses arms that are in no catalogue, expected a policy that "
                f"scores or explores them, since app.toml has [arms] source = {source!r}"
            )
