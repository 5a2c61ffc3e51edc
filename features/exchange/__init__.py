"""Logs of other systems in, ours out: a table or VW's DSJSON becomes decisions and rewards.

    open_source(path) → Source: arms(), records(), notes      import_log(spool, source, spec) → Imported
    dsjson.export(interactions, arms) → lines that `vw --dsjson` trains on unchanged

What a log does not say is either derived and noted (`notes`, shown to the user) or an error; rows that cannot be used
are skipped, counted by reason (`skipped`), and never silently zero.
"""
