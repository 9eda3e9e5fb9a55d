"""What can be wrong with a model: takes what an examination saw, gives findings with their fix; runs nothing.

Every decorated function knows one defect. Its name is the code, its docstring the entry in the docs, and each has a
model that has it in the tests.
"""

from __future__ import annotations

from seewhy.api.defects import gradients, inputs, scores, state  # noqa: F401 - they enter themselves
from seewhy.api.defects.base import DEFECTS, Patient, findings

__all__ = ["DEFECTS", "Patient", "findings"]
