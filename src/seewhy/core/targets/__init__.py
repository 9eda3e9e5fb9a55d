"""Targets: take what a model put out, give the one number per sample that is explained; never run a model.

A target is a value: two equal targets share their backward pass. They add, subtract and scale::

    Logit(281) - Logit(282)          # why a tabby and not a tiger cat
    0.5 * Logit(1) + 0.5 * Logit(2)
"""

from __future__ import annotations

from seewhy.core.network.proposals import YoloMaps
from seewhy.core.targets.base import Combination, Label, Target, scores
from seewhy.core.targets.classes import Centred, Logit, LogProbability, Margin, Probability
from seewhy.core.targets.dense import Depth, Region
from seewhy.core.targets.inside import LayerMean, Neuron, OfLayer
from seewhy.core.targets.objects import Box, Candidate, Likeness, surest_boxes
from seewhy.core.targets.whole import Custom, Everything, Output, ReadOut, Similarity

__all__ = [
    "Box",
    "Candidate",
    "Centred",
    "Combination",
    "Custom",
    "Depth",
    "Everything",
    "Label",
    "LayerMean",
    "Likeness",
    "LogProbability",
    "Logit",
    "Margin",
    "Neuron",
    "OfLayer",
    "Output",
    "Probability",
    "ReadOut",
    "Region",
    "Similarity",
    "Target",
    "YoloMaps",
    "scores",
    "surest_boxes",
]
