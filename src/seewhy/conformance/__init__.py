"""Conformance: takes methods, or a function that explains, gives what they do on small networks whose right answer is
known exactly; changes nobody's model.

A unit is a network with its weights written down, pictures, and a property with its exact answer; `units` is the table
of all, with their cards. `run` puts our methods, another library's or any function through them.
"""

from __future__ import annotations

from seewhy.conformance import additive, flat, invariance, logic, where  # noqa: F401 - they fill the table
from seewhy.conformance._unit import CELLS, SIDE, Maps, Scene, Unit, UnitCard, unit, units
from seewhy.conformance.peers import LIBRARIES
from seewhy.conformance.result import BY_DESIGN, FAILED, PASSED, Conformance, Row
from seewhy.conformance.running import run

__all__ = [
    "BY_DESIGN", "CELLS", "FAILED", "LIBRARIES", "PASSED", "SIDE", "Conformance", "Maps", "Row", "Scene", "Unit",
    "UnitCard", "run", "unit", "units",
]  # fmt: skip
