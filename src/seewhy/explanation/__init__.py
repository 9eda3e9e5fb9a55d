"""Takes results, gives them as records with pictures and files; never computes a map."""

from __future__ import annotations

from seewhy.explanation.attack import Attack
from seewhy.explanation.boundary import Boundary, Head
from seewhy.explanation.collection import Explanations, file_stems
from seewhy.explanation.curves import Curve, Curves
from seewhy.explanation.diagnosis import Diagnosis, Finding, GridProof, MethodCheck
from seewhy.explanation.gallery import Gallery, Tile, columns_for
from seewhy.explanation.parts import CODES, Cost, Guess, Prediction, Status
from seewhy.explanation.result import Explanation
from seewhy.explanation.scan import Scan
from seewhy.explanation.segmentation import Segmentation, graph_cut
from seewhy.explanation.strip import gallery_strip, together
from seewhy.explanation.trust import LEVELS, Evidence, Trust

__all__ = [
    "CODES",
    "LEVELS",
    "Attack",
    "Boundary",
    "Cost",
    "Curve",
    "Curves",
    "Diagnosis",
    "Evidence",
    "Explanation",
    "Explanations",
    "Finding",
    "Gallery",
    "GridProof",
    "Guess",
    "Head",
    "MethodCheck",
    "Prediction",
    "Scan",
    "Segmentation",
    "Status",
    "Tile",
    "Trust",
    "columns_for",
    "file_stems",
    "gallery_strip",
    "graph_cut",
    "together",
]
