"""One file a group of `croupier` commands; `serving/cli.py` lists them."""
