"""seewhy shows why a vision model decided what it did.

>>> import seewhy
>>> [card.name for card in seewhy.methods() if card.family == "cam"][:3]
['ablation-cam', 'cam', 'eigen-cam']

Everything here is imported when it is first used, so that ``import seewhy`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from seewhy import errors
from seewhy._version import __version__

if TYPE_CHECKING:
    from seewhy import conformance, extend, metrics
    from seewhy.api import explain, explain_all, explain_batches, load, wrap
    from seewhy.api.asked.noise import Noise
    from seewhy.api.attacking import attack, attack_all
    from seewhy.api.auditing.result import Audit
    from seewhy.api.auditing.running import audit
    from seewhy.api.boundaries import boundary
    from seewhy.api.data_sets.running import run
    from seewhy.api.doctoring import diagnose
    from seewhy.api.evaluating import Evaluation, Mistake, evaluate_model
    from seewhy.api.for_quantus import explain_func
    from seewhy.api.given.training_logs import training_curves
    from seewhy.api.inside.attending import attention, attention_all
    from seewhy.api.inside.channels import feature_maps, feature_maps_all
    from seewhy.api.inside.components import principal_components
    from seewhy.api.inside.factorisation import factors
    from seewhy.api.inside.kernels import filters
    from seewhy.api.inside.visualisation import maximise
    from seewhy.api.judging.ranking import Ranking
    from seewhy.api.judging.recommending import Recommendation, recommend
    from seewhy.api.judging.running import evaluate
    from seewhy.api.listing import LayerInfo, layers, methods
    from seewhy.api.preparing import Preparation, prepare
    from seewhy.api.repairing.result import Repair
    from seewhy.api.repairing.running import repair
    from seewhy.api.reporting.making import report
    from seewhy.api.segmenting import segment, segment_all
    from seewhy.api.trusting.cards import trust
    from seewhy.audits.mending.penalty import evidence_penalty
    from seewhy.core import targets
    from seewhy.explanation import (
        Attack,
        Boundary,
        Cost,
        Curves,
        Diagnosis,
        Evidence,
        Explanation,
        Explanations,
        Finding,
        Gallery,
        GridProof,
        Guess,
        MethodCheck,
        Prediction,
        Segmentation,
        Status,
        Tile,
        Trust,
    )  # fmt: skip
    from seewhy.metrics import Classification
    from seewhy.models import Model, Preprocess
    from seewhy.registry import Card
    from seewhy.runs.opened import Run, open_run

__all__ = [
    "Attack",
    "Audit",
    "Boundary",
    "Card",
    "Classification",
    "Cost",
    "Curves",
    "Diagnosis",
    "Evaluation",
    "Evidence",
    "Explanation",
    "Explanations",
    "Finding",
    "Gallery",
    "GridProof",
    "Guess",
    "Intervention",
    "LayerInfo",
    "MethodCheck",
    "Mistake",
    "Model",
    "Noise",
    "Prediction",
    "Preparation",
    "Preprocess",
    "Ranking",
    "Recommendation",
    "Repair",
    "Run",
    "Segmentation",
    "Status",
    "Tile",
    "Trust",
    "__version__",
    "attack",
    "attack_all",
    "attention",
    "attention_all",
    "audit",
    "boundary",
    "conformance",
    "diagnose",
    "errors",
    "evaluate",
    "evaluate_model",
    "evidence_penalty",
    "explain",
    "explain_all",
    "explain_batches",
    "explain_func",
    "extend",
    "factors",
    "feature_maps",
    "feature_maps_all",
    "filters",
    "intervene",
    "layers",
    "load",
    "maximise",
    "methods",
    "metrics",
    "open_run",
    "prepare",
    "principal_components",
    "recommend",
    "repair",
    "report",
    "run",
    "segment",
    "segment_all",
    "targets",
    "training_curves",
    "trust",
    "view",
    "wrap",
]

_HOMES = {
    "Attack": "seewhy.explanation",
    "Audit": "seewhy.api.auditing.result",
    "Boundary": "seewhy.explanation",
    "Card": "seewhy.registry",
    "Classification": "seewhy.metrics",
    "Cost": "seewhy.explanation",
    "Curves": "seewhy.explanation",
    "Diagnosis": "seewhy.explanation",
    "Evaluation": "seewhy.api.evaluating",
    "Evidence": "seewhy.explanation",
    "Explanation": "seewhy.explanation",
    "Explanations": "seewhy.explanation",
    "Finding": "seewhy.explanation",
    "Gallery": "seewhy.explanation",
    "GridProof": "seewhy.explanation",
    "Guess": "seewhy.explanation",
    "Intervention": "seewhy.api.intervening",
    "LayerInfo": "seewhy.api.listing",
    "MethodCheck": "seewhy.explanation",
    "Mistake": "seewhy.api.evaluating",
    "Model": "seewhy.models",
    "Noise": "seewhy.api.asked.noise",
    "Prediction": "seewhy.explanation",
    "Preparation": "seewhy.api.preparing",
    "Preprocess": "seewhy.models",
    "Ranking": "seewhy.api.judging.ranking",
    "Recommendation": "seewhy.api.judging.recommending",
    "Repair": "seewhy.api.repairing.result",
    "Run": "seewhy.runs.opened",
    "Segmentation": "seewhy.explanation",
    "Status": "seewhy.explanation",
    "Tile": "seewhy.explanation",
    "Trust": "seewhy.explanation",
    "attack": "seewhy.api.attacking",
    "attack_all": "seewhy.api.attacking",
    "attention": "seewhy.api.inside.attending",
    "attention_all": "seewhy.api.inside.attending",
    "audit": "seewhy.api.auditing.running",
    "boundary": "seewhy.api.boundaries",
    "conformance": "seewhy.conformance",
    "diagnose": "seewhy.api.doctoring",
    "evaluate": "seewhy.api.judging.running",
    "evaluate_model": "seewhy.api.evaluating",
    "evidence_penalty": "seewhy.audits.mending.penalty",
    "explain": "seewhy.api",
    "explain_all": "seewhy.api",
    "explain_batches": "seewhy.api",
    "explain_func": "seewhy.api.for_quantus",
    "extend": "seewhy.extend",
    "factors": "seewhy.api.inside.factorisation",
    "feature_maps": "seewhy.api.inside.channels",
    "feature_maps_all": "seewhy.api.inside.channels",
    "filters": "seewhy.api.inside.kernels",
    "intervene": "seewhy.api.intervening",
    "layers": "seewhy.api.listing",
    "load": "seewhy.api",
    "maximise": "seewhy.api.inside.visualisation",
    "methods": "seewhy.methods",
    "metrics": "seewhy.metrics",
    "open_run": "seewhy.runs.opened",
    "prepare": "seewhy.api.preparing",
    "principal_components": "seewhy.api.inside.components",
    "recommend": "seewhy.api.judging.recommending",
    "repair": "seewhy.api.repairing.running",
    "report": "seewhy.api.reporting.making",
    "run": "seewhy.api.data_sets.running",
    "segment": "seewhy.api.segmenting",
    "segment_all": "seewhy.api.segmenting",
    "targets": "seewhy.core.targets",
    "training_curves": "seewhy.api.given.training_logs",
    "trust": "seewhy.api.trusting.cards",
    "view": "seewhy.web.widget",
    "wrap": "seewhy.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'seewhy' has no attribute {name!r}")
    home = importlib.import_module(_HOMES[name])
    globals()[name] = value = home if home.__name__.rpartition(".")[2] == name else getattr(home, name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
