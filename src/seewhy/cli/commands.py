"""Every command by name: takes nothing, gives the functions that the frame registers."""

from __future__ import annotations

from seewhy.cli.attack import attack
from seewhy.cli.audit import audit
from seewhy.cli.bench import bench
from seewhy.cli.boundary import boundary
from seewhy.cli.conformance import conformance
from seewhy.cli.demo import demo
from seewhy.cli.doctor import doctor
from seewhy.cli.evaluate import evaluate_model
from seewhy.cli.explain import compare, explain
from seewhy.cli.inside import attention, components, factors, features, filters
from seewhy.cli.judge import evaluate, recommend
from seewhy.cli.lists import labels, layers, methods
from seewhy.cli.maximise import maximise
from seewhy.cli.metrics import metrics
from seewhy.cli.repair import repair
from seewhy.cli.run import run
from seewhy.cli.segment import segment
from seewhy.cli.serve import serve

__all__ = [
    "attack", "attention", "audit", "bench", "boundary", "compare", "components", "conformance", "demo", "doctor",
    "evaluate", "evaluate_model", "explain", "factors", "features", "filters", "labels", "layers", "maximise",
    "methods", "metrics", "recommend", "repair", "run", "segment", "serve",
]  # fmt: skip
