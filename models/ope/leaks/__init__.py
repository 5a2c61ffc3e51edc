"""Was every feature known before the draw? `tested` asks it of a log; each file here is one way to ask."""

from croupier.models.ope.leaks.tested import NAME, Tested, tested

__all__ = ["NAME", "Tested", "tested"]
