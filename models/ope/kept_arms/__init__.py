"""Was every feature known before the draw? `tested` asks it of a log; each file here is one way to ask."""
