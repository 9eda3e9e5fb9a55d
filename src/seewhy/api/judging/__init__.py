"""Judging maps: takes a model, photos, methods and metrics, gives numbers with controls, intervals and rankings."""
