"""The keys of app.toml, read off the models that check it: a page for people, and a commented file to begin with.

keys       what there is: tables, keys, types, units, defaults, meanings
page       features/APP_TOML.md; `python -m croupier.features.reference` writes it anew
starter    what `croupier app init` writes
"""
