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
    from seewhy import extend
    from seewhy.api import explain, explain_all, load, wrap
    from seewhy.api.attacking import attack, attack_all
    from seewhy.api.doctoring import diagnose
    from seewhy.api.evaluating import evaluate_model
    from seewhy.api.inside.channels import feature_maps, feature_maps_all
    from seewhy.api.inside.factorisation import factors
    from seewhy.api.inside.kernels import filters
    from seewhy.api.inside.visualisation import maximise
    from seewhy.api.listing import layers, methods
    from seewhy.api.preparing import prepare
    from seewhy.api.segmenting import segment, segment_all
    from seewhy.core import targets
    from seewhy.explanation import Attack, Explanation, Explanations, Gallery, Segmentation
    from seewhy.models import Model, Preprocess

__all__ = [
    "Attack",
    "Explanation",
    "Explanations",
    "Gallery",
    "Model",
    "Preprocess",
    "Segmentation",
    "__version__",
    "attack",
    "attack_all",
    "diagnose",
    "errors",
    "evaluate_model",
    "explain",
    "explain_all",
    "extend",
    "factors",
    "feature_maps",
    "feature_maps_all",
    "filters",
    "layers",
    "load",
    "maximise",
    "methods",
    "prepare",
    "segment",
    "segment_all",
    "targets",
    "wrap",
]

_HOMES = {
    "Attack": "seewhy.explanation",
    "Explanation": "seewhy.explanation",
    "Explanations": "seewhy.explanation",
    "Gallery": "seewhy.explanation",
    "Model": "seewhy.models",
    "Preprocess": "seewhy.models",
    "Segmentation": "seewhy.explanation",
    "attack": "seewhy.api.attacking",
    "attack_all": "seewhy.api.attacking",
    "diagnose": "seewhy.api.doctoring",
    "evaluate_model": "seewhy.api.evaluating",
    "explain": "seewhy.api",
    "explain_all": "seewhy.api",
    "extend": "seewhy.extend",
    "factors": "seewhy.api.inside.factorisation",
    "feature_maps": "seewhy.api.inside.channels",
    "feature_maps_all": "seewhy.api.inside.channels",
    "filters": "seewhy.api.inside.kernels",
    "layers": "seewhy.api.listing",
    "load": "seewhy.api",
    "maximise": "seewhy.api.inside.visualisation",
    "prepare": "seewhy.api.preparing",
    "methods": "seewhy.methods",
    "segment": "seewhy.api.segmenting",
    "segment_all": "seewhy.api.segmenting",
    "targets": "seewhy.core.targets",
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
