"""Personalizer's learning policy, a command line of VW → parameters of `vw_cb_adf`, and a sentence on each argument.

What croupier's policy does otherwise is said and not kept; nothing is dropped in silence.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_SILENT = {
    "--cb_explore_adf",
    "--cb_adf",
    "--quiet",
    "--dsjson",
    "--json",
    "--save_resume",
    "--preserve_performance_counters",
}
_SHORT = {"-l": "--learning_rate", "-q": "--quadratic", "-b": "--bit_precision"}
_OTHER_EXPLORATION = {"--cover", "--first", "--softmax", "--rnd", "--synthcover", "--lambda"}
_CROSSED = "the context is crossed with each feature of arm and pair; other products are [[interactions]]"
_WHY = {
    "--power_t": "rates decay for each feature by itself, as VW's default does",
    "--interactions": _CROSSED,
    "--quadratic": _CROSSED,
    "--cubic": "products of three features are none of this policy; neural_linear finds them by itself",
    "--bit_precision": "the table's size follows from the features",
    "--ignore_linear": "it names namespaces; ignore_linear of vw_cb_adf is U (context) or A (arm and pair)",
    "--nounif": "exploration is uniform over the arms, so that each can be evaluated",
}  # fmt: skip


@dataclass
class _Read:
    values: dict[str, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def keep(self, option: str, value: str, name: str, kept: object) -> None:
        self.values[name] = kept
        asked = f"{option} {value}".strip()
        self.said.append(f"{asked} → [policies.parameters.vw_cb_adf] {name} = {kept}")

    def leave(self, option: str, value: str, why: str) -> None:
        asked = f"{option} {value}".strip()
        self.said.append(f"{asked}: not kept: {why}")


def parameters(policy: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """`policy` as Personalizer exports it: {"name": …, "arguments": "--cb_explore_adf …"}. Raises ValueError where the
    arguments are no command line, or a number is none."""
    text = policy.get("arguments")
    if text is None:
        return {}, []
    options, read = dict(_options(str(text))), _Read()
    _explore(options, read)
    _rate(options, read)
    if (kind := options.pop("--cb_type", "mtr")) != "mtr":
        read.leave("--cb_type", kind, "vw_cb_adf learns by mtr")
    for option, value in options.items():
        if option not in _SILENT:
            read.leave(option, value, _WHY.get(option, "vw_cb_adf has no such parameter"))
    return read.values, read.said


def _options(text: str) -> list[tuple[str, str]]:
    """(option, value) in their order; an option without a value has ""."""
    try:
        words = [part for word in shlex.split(text) for part in _split(word)]
    except ValueError as error:
        raise ValueError(f"arguments: found {text[:80]!r} ({error}), expected a command line of VW") from None
    found: list[tuple[str, str]] = []
    for word in words:
        if word.startswith("-") and not _is_number(word):
            found.append((word, ""))
        elif found:
            found[-1] = (found[-1][0], f"{found[-1][1]} {word}".strip())
    return found


def _split(word: str) -> list[str]:
    """--name=value and -n5 as two words."""
    if word.startswith("--"):
        return word.split("=", 1)
    return [_SHORT[word[:2]], *([word[2:]] if word[2:] else [])] if word[:2] in _SHORT else [word]


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _explore(options: dict[str, str], read: _Read) -> None:
    """What explores, and its constants."""
    epsilon, gamma, mellow = (options.pop(name, "") for name in ("--epsilon", "--gamma_scale", "--mellowness"))
    if other := next((name for name in options if name in _OTHER_EXPLORATION), ""):
        read.leave(other, options.pop(other), "exploration becomes epsilon_greedy")
    if "--squarecb" in options:
        del options["--squarecb"]
        read.keep("--squarecb", "", "preset", "squarecb")
        read.keep("--gamma_scale", gamma or "(VW's own)", "gamma_scale", _float("--gamma_scale", gamma or "10"))
    elif {"--regcb", "--regcbopt"} & options.keys():
        first = options.pop("--regcbopt", None) is not None
        options.pop("--regcb", None), options.pop("--first_only", None)
        read.keep("--regcbopt" if first else "--regcb", "", "preset", "regcb" if first else "regcb_elim")
        read.keep("--mellowness", mellow or "(VW's own)", "mellowness", _float("--mellowness", mellow or "0.1"))
        if epsilon:
            read.leave("--epsilon", epsilon, "RegCB has none in VW; [policies] floor is what every arm keeps")
        return
    elif "--bag" in options:
        read.keep("--bag", options["--bag"], "preset", "bag")
        read.values["members"] = int(_float("--bag", options.pop("--bag")))
    else:
        read.values["preset"] = "epsilon_greedy"
    if epsilon or read.values["preset"] == "epsilon_greedy":
        read.keep("--epsilon", epsilon or "(VW's own)", "epsilon", _float("--epsilon", epsilon or "0.05"))


def _rate(options: dict[str, str], read: _Read) -> None:
    """A rate means the same only where it decays the same way."""
    rate, power = options.pop("--learning_rate", ""), options.get("--power_t", "0.5")
    if rate and _float("--power_t", power) == 0.5:
        read.keep("-l", rate, "learning_rate", _float("-l", rate))
    elif rate:
        read.leave("-l", rate, f"with --power_t {power} it does not decay as here; vw_cb_adf begins with its own")


def _float(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"arguments: found {option} {text}, expected a number") from None
