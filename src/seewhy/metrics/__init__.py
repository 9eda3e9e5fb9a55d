"""Measures: take answers, maps and truths, give numbers; never draw, and run a model by what they ask alone.

A metric of a map is one file with a formula and a card, like a method. It is called with maps and functions,
``seewhy.metrics.deletion(predict, image, map)``, so that it judges anybody's maps; `metrics` is the table of all.
"""

from __future__ import annotations

from seewhy.metrics._metric import Measure, Metric, MetricCard, metric, metrics
from seewhy.metrics.average_drop import average_drop
from seewhy.metrics.average_gain import average_gain
from seewhy.metrics.average_increase import average_increase
from seewhy.metrics.classification import NO_ANSWER, Answer, Classification, ClassScore, answer, classification, counted
from seewhy.metrics.completeness import completeness
from seewhy.metrics.deletion import deletion
from seewhy.metrics.efficient_randomisation import efficient_randomisation
from seewhy.metrics.energy_pointing import energy_pointing
from seewhy.metrics.entropy import entropy
from seewhy.metrics.faithfulness_correlation import faithfulness_correlation
from seewhy.metrics.gini import gini
from seewhy.metrics.grid_pointing import grid_pointing
from seewhy.metrics.infidelity import infidelity
from seewhy.metrics.insertion import insertion
from seewhy.metrics.iou import iou
from seewhy.metrics.max_sensitivity import max_sensitivity
from seewhy.metrics.pixel_flipping import pixel_flipping
from seewhy.metrics.planes import NEIGHBOURS, Plane, principal_plane, umap, umap_class, voted
from seewhy.metrics.pointing import pointing
from seewhy.metrics.random_logit import random_logit
from seewhy.metrics.randomisation import randomisation
from seewhy.metrics.relevance_mass import relevance_mass
from seewhy.metrics.relevance_rank import relevance_rank
from seewhy.metrics.road import road
from seewhy.metrics.selectivity import selectivity
from seewhy.metrics.srg import srg
from seewhy.metrics.stability import stability

__all__ = [
    "NEIGHBOURS", "NO_ANSWER", "Answer", "ClassScore", "Classification", "Measure", "Metric", "MetricCard", "Plane",
    "answer", "average_drop", "average_gain", "average_increase", "classification", "completeness", "counted",
    "deletion", "efficient_randomisation", "energy_pointing", "entropy", "faithfulness_correlation", "gini",
    "grid_pointing", "infidelity", "insertion", "iou", "max_sensitivity", "metric", "metrics", "pixel_flipping",
    "pointing", "principal_plane", "random_logit", "randomisation", "relevance_mass", "relevance_rank", "road",
    "selectivity", "srg", "stability", "umap", "umap_class", "voted",
]  # fmt: skip
