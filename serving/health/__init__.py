"""Is the bandit well: figures made, judged, told in a terminal and on a page."""
