"""Measures: take answers and truths, give numbers; never run a model and never draw."""

from __future__ import annotations

from seewhy.metrics.classification import Classification, ClassScore, classification

__all__ = ["ClassScore", "Classification", "classification"]
