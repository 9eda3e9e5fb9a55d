"""Audits: takes pictures of classes, their evidence and a model's scores as a function, gives cues that cause an
answer, each proved by intervention, and whether it is a shortcut; runs no model itself."""
