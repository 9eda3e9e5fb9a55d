"""Data sets with a known shortcut or none, and networks trained on them, for measuring audits of data sets."""
