"""Runs: maps for whole data sets: where pictures come from, what is done at a time, what is written where and when it
counts as done; given a function that explains, knows no mathematics."""
