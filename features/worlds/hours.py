"""A world as the hours that its app would leave in the store, and what can be wrong with them."""

from dataclasses import dataclass
from typing import Protocol

import polars as pl


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What is wrong. Nothing by default. `fading`: (arm, per hour since `since`); `flipped`: (feature, value)."""

    feed_arm: str = ""
    lost: float = 0.0
    frozen: str = ""
    scaled: tuple[str, float] = ("", 1.0)
    swapped: tuple[str, str] = ("", "")
    renamed: tuple[str, str, str] = ("", "", "")
    bot: float = 0.0
    slower: float = 1.0
    sharper: float = 1.0
    fading: tuple[str, float] = ("", 0.0)
    flipped: tuple[str, str] = ("", "")
    skewed: tuple[str, float] = ("", 0.0)
    since: int = 0


@dataclass(frozen=True, kw_only=True)
class WorldHour:
    """What an hour left in the store: interactions, which host logged which event, and the account of its events."""

    interactions: pl.DataFrame
    logged: pl.DataFrame
    account: dict[str, int]


class HourlyWorld(Protocol):
    """An app whose hours can be made one by one."""

    @property
    def seed(self) -> int:
        """What its draws begin with."""

    @property
    def start(self) -> int:
        """When its first hour begins, UTC µs."""

    def app_toml(self) -> str:
        """Returns what the app declares."""

    def hour(self, t: int, trouble: Trouble | None = None, /) -> WorldHour:
        """Returns the t-th hour; the same (seed, t) and trouble, the same hour."""
