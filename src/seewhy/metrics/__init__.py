"""Measures: take answers, maps and truths, give numbers; never run a model and never draw."""

from __future__ import annotations

from seewhy.metrics.classification import NO_ANSWER, Classification, ClassScore, classification
from seewhy.metrics.localisation import relevance_mass, relevance_rank
from seewhy.metrics.sparseness import gini

__all__ = ["NO_ANSWER", "ClassScore", "Classification", "classification", "gini", "relevance_mass", "relevance_rank"]
