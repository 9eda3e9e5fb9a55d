"""Benchmarks: takes a model and methods, gives times and differences of ours and of other libraries side by side.

`running` is ``seewhy bench``; ``python -m benchmarks`` stands on the same files. `entering` makes our own entrants,
`peers` those of other libraries, `racing` runs them in turn, `measures` says which results are equal, `result` is what
was found.
"""
