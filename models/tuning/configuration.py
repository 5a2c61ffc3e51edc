"""A policy with its parameters, as what is tried, kept and pasted into app.toml."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Configuration:
    """A name of models.policy.POLICIES, and parameters that its constructor takes, in plain JSON."""

    policy: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """A text that equal configurations share, and no others."""
        return f"{self.policy} {json.dumps(self.parameters, sort_keys=True)}"

    def to_json(self) -> dict[str, Any]:
        """Returns it as plain JSON."""
        return {"policy": self.policy, "parameters": dict(self.parameters)}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(found["policy"], found["parameters"])

    @property
    def said(self) -> str:
        """In a few words, for tables."""
        return ", ".join([self.policy, *(f"{name} {value}" for name, value in self.parameters.items())])


def toml(configurations: list[Configuration]) -> str:
    """The lines of app.toml that declare these as candidates: one of each policy."""
    names = ", ".join(json.dumps(each.policy) for each in configurations)
    lines = ["[policies]", f"candidates = [{names}]"]
    for each in configurations:
        if each.parameters:
            lines += ["", f"[policies.parameters.{each.policy}]"]
            lines += [f"{name} = {json.dumps(value)}" for name, value in each.parameters.items()]
    return "\n".join(lines) + "\n"
