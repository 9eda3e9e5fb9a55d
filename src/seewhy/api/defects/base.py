"""What can be wrong with a model: takes what an examination saw, gives findings with their fix; runs nothing.

Every function below knows one defect. Its name is the code, its docstring the entry in the docs, and each has a model
that has it in the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from seewhy.core.forward.examination import Examination
from seewhy.core.layers.verdicts import Proof
from seewhy.core.network.borrowed import Network
from seewhy.core.network.outputs import Outputs
from seewhy.explanation import Finding
from seewhy.models import Model

__all__ = ["DEFECTS", "Patient", "Words", "apart", "defect", "findings"]


@dataclass(frozen=True)
class Patient:
    """A model, what was seen of it, its forward on the probe, the flags it came with, and the layer for class
    activation maps with what pictures said of its grid."""

    model: Model
    network: Network
    seen: Examination
    x: Tensor
    training: tuple[str, ...] = ()
    layer: str | None = None
    grid: Proof | None = None

    @property
    def parts(self) -> list[tuple[str, nn.Module]]:
        """Submodules by name."""
        return [] if self.network.root is None else [(n, p) for n, p in self.network.root.named_modules() if n]

    @property
    def forward(self) -> Outputs | None:
        """What the probe gave, as targets see it."""
        return None if self.seen.raw is None else Outputs(self.seen.raw, 1)


Words = tuple[str, str, str]
DEFECTS: dict[str, Callable[[Patient], Words | None]] = {}


def defect(check: Callable[[Patient], Words | None]) -> Callable[[Patient], Words | None]:
    """Enter a defect under its function's name."""
    DEFECTS[check.__name__.replace("_", "-")] = check
    return check


def findings(patient: Patient) -> Iterator[Finding]:
    """Everything that is found, in the order of the functions below."""
    for code, check in DEFECTS.items():
        said = check(patient)
        if said is not None:
            yield Finding(code, *said)


def apart(a: Tensor | None, b: Tensor | None) -> float:
    """How far two outputs lie apart, relative to the largest number; 0 where they cannot be compared. What is no number
    in both is the same."""
    if a is None or b is None or a.shape != b.shape or not a.numel():
        return 0.0
    a, b = a.double(), b.double()
    alike = (a == b) | (a.isnan() & b.isnan())
    size = float(a.nan_to_num(0, 0, 0).abs().max())
    return float((a - b).masked_fill(alike, 0).abs().max()) / max(size, 1e-12)
