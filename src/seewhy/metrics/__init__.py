"""Measures: take answers, maps and truths, give numbers; never run a model and never draw."""

from __future__ import annotations

from seewhy.metrics.classification import NO_ANSWER, Answer, Classification, ClassScore, answer, classification, counted
from seewhy.metrics.localisation import relevance_mass, relevance_rank
from seewhy.metrics.planes import NEIGHBOURS, Plane, principal_plane, umap, umap_class, voted
from seewhy.metrics.sparseness import gini

__all__ = [
    "NEIGHBOURS", "NO_ANSWER", "Answer", "ClassScore", "Classification", "Plane", "answer", "classification", "counted",
    "gini", "principal_plane", "relevance_mass", "relevance_rank", "umap", "umap_class", "voted",
]  # fmt: skip
