"""The head of all sites together: their sums, added, in the place of what the release's own head had learnt."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from math import hypot
from operator import add
from typing import TYPE_CHECKING

from croupier.models.federated.noise import repaired
from croupier.models.federated.profile import SiteProfile, untrained
from croupier.models.federated.site_moments import SiteMoments
from croupier.models.federated.summed import largest

if TYPE_CHECKING:
    from croupier.models.bayesian.base import Bayesian


def pooled(policy: "Bayesian", profile: SiteProfile, sites: Sequence[SiteMoments]) -> "Bayesian":
    """The release's policy with the head of these sites: to rounding the head that had learnt all their rows in one
    place. Raises ValueError naming a site whose sums are of something else, or that is there twice."""
    refuse_unlike(profile, sites)
    start = untrained(policy)
    _refuse_too_little_noise(start, sites)
    moments = reduce(add, (site.moments for site in sorted(sites, key=lambda site: site.site)))
    if noises := [site.privacy.sd for site in sites if site.privacy]:
        moments = repaired(moments, hypot(*noises))
    return start.with_head(replace(start.head, moments=moments, step=round(moments.n)))


def _refuse_too_little_noise(policy: "Bayesian", sites: Sequence[SiteMoments]) -> None:
    for site in sites:
        if site.privacy is None:
            continue
        limits = site.privacy.limits
        needed = limits.sensitivity(largest(policy, limits))
        if not site.privacy.sensitivity >= needed * (1 - 1e-9):
            raise ValueError(
                f"site {site.site}: found a sensitivity of {site.privacy.sensitivity}, expected {needed:.6g}, which "
                "its limits come to on the head's scale of rewards: its noise is worth less than it states"
            )


def refuse_unlike(profile: SiteProfile, sites: Sequence[SiteMoments]) -> None:
    """Raises ValueError where these sums must not be added."""
    if not sites:
        raise ValueError("sites: found no file, expected one at least")
    for site in sites:
        if wrong := profile.differences(site.profile):
            raise ValueError(
                f"site {site.site}: found {'; '.join(wrong)}: its sums are of another φ or of other rewards, and "
                "cannot be added; let it write them with the release of the others"
            )
    if twice := [name for name, count in Counter(site.site for site in sites).items() if count > 1]:
        raise ValueError(f"sites: found {', '.join(twice)} twice, expected each once: its rows would count double")
    bounds = {replace(site.privacy.limits, rows=1) for site in sites if site.privacy}
    if len(bounds) > 1:
        raise ValueError(f"sites: found limits {sorted(map(str, bounds))}, expected the same length and range of all")
