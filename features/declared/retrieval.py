"""[retrieval] of app.toml: a shortlist of the catalogue for each request that lists no arms."""

from collections.abc import Mapping

from pydantic import Field

from croupier.features.declared.feature import Feature
from croupier.features.declared.policies import PoliciesSpec
from croupier.features.schema import FROM_CATALOGUE, MAX_ARMS
from croupier.features.spec_values import Strict

MAX_CLUSTERS = 10_000
LEARNS = ("neural_linear", "lin_ts")  # policies whose scores embed arms, with one shared head


class RetrievalSpec(Strict):
    """Which arms a request that lists none is decided among: the `top` ones whose embedding has the largest inner
    product with the request's, found by an index within the release, and `random` ones of all others, each with the
    same probability, so that every arm can be reached. With `clusters` first a cluster of arms is chosen, and the list
    is of its arms alone."""

    learnt: bool = Field(
        False,
        exclude_if=lambda given: not given,  # releases of before did not know it
        description='true: by what the champion expects of arms (neural_linear or lin_ts, heads "shared"), in the '
        "place of context and arm; until one decides, lists are random",
    )
    context: str = Field("", description="the embedding among [context]; empty: requests list their arms")
    arm: str = Field("", description="the embedding among [arm], of the same length")
    top: int = Field(90, ge=1, lt=MAX_ARMS, description="arms by inner product")
    random: int = Field(10, ge=1, lt=MAX_ARMS, description="arms drawn of all others, uniformly")
    clusters: int = Field(0, ge=0, le=MAX_CLUSTERS, description="clusters of arms, by their embeddings; 0: none")
    explore: float = Field(
        0.1, ge=0, le=1, description="of requests whose cluster is any one, each alike; else the nearest"
    )

    @property
    def declared(self) -> bool:
        """Whether there is a shortlist."""
        return bool(self.context) or self.learnt


def check(retrieval: RetrievalSpec, context: Mapping[str, Feature], arm: Mapping[str, Feature], source: str) -> None:
    """Raises ValueError where a shortlist does not fit what else app.toml declares."""
    if bool(retrieval.context) != bool(retrieval.arm):
        raise ValueError("retrieval: found one of context and arm, expected both, or neither")
    if retrieval.learnt and (retrieval.context or retrieval.clusters):
        found = "found it beside " + ("context and arm" if retrieval.context else "clusters")
        raise ValueError(f"retrieval.learnt: {found}, expected one of them: embeddings are given, or learnt")
    if not retrieval.declared:
        return
    if not retrieval.learnt:
        _check_given(retrieval, context, arm)
    if retrieval.top + retrieval.random > MAX_ARMS:
        raise ValueError(
            f"retrieval: found top {retrieval.top} and random {retrieval.random}, expected at most {MAX_ARMS} together"
        )
    if source != FROM_CATALOGUE:
        raise ValueError(f"retrieval: found it with arms.source = {source!r}, expected {FROM_CATALOGUE!r}")


def check_learnt(retrieval: RetrievalSpec, policies: PoliciesSpec) -> None:
    """Raises ValueError where no candidate learns the embeddings that arms are retrieved by."""
    heads = {name: policies.parameters.get(name, {}).get("heads", "shared") for name in policies.candidates}
    if retrieval.learnt and not policies.auto and not any(heads.get(name) == "shared" for name in LEARNS):
        found = f"found candidates {', '.join(policies.candidates)}"
        raise ValueError(f"retrieval.learnt: {found}, expected {' or '.join(LEARNS)} with heads = 'shared'")


def _check_given(retrieval: RetrievalSpec, context: Mapping[str, Feature], arm: Mapping[str, Feature]) -> None:
    for scope, name, known in (("context", retrieval.context, context), ("arm", retrieval.arm, arm)):
        if name not in known or known[name].type != "embedding":
            there = ", ".join(sorted(each for each, of in known.items() if of.type == "embedding")) or "none is"
            raise ValueError(f"retrieval.{scope}: found {name!r}, expected an embedding among [{scope}]: {there}")
    if (asked := context[retrieval.context].length) != (has := arm[retrieval.arm].length):
        raise ValueError(f"retrieval: found embeddings of length {asked} and {has}, expected one length")
