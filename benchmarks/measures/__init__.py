"""One file a measure: what is done on a stage, and the figures that come of it.

Each has `TASKS` (how many, if nobody says so), `FIGURES` (what it gives, in the order of the table)
and `run(stage, options)`, which gives a value for each figure it could measure; `SCALED` where a
slow peer runs fewer tasks, `cases(options)` where each peer is asked for several things, and
`COMPARES_CASES` where these are compared with each other instead of with ours.
"""
