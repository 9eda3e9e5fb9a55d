"""What a forward must make possible: plain values, for the model itself (`Demand`) and for a prepared program that
stands for it (`Use`); runs nothing."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from seewhy.core.intercept.functions import Handler
from seewhy.core.network.capture import Edit, Graph
from seewhy.core.network.layouts import Reshape
from seewhy.core.network.places import Place

__all__ = ["Demand", "Recorded", "Use"]

#: which part of the network gradients are asked of: none, what follows the taps, all of it
Recorded = Literal["none", "after", "all"]


@dataclass(frozen=True)
class Use:
    """What a program is for: the layers it shows, what gradients are asked of, whether activation functions have to be
    seen one by one, whether of one image (a batch of one can take another way through a network), and the ``windows``
    outside of which the inputs are one and the same image, by name."""

    layers: tuple[str, ...]
    recorded: Recorded
    rules: bool
    single: bool
    windows: Hashable = None

    def __str__(self) -> str:
        if self.windows is not None:
            return "scores, of what changes in a window"
        what = {"none": "scores", "after": "gradients at layers", "all": "gradients at the input"}[self.recorded]
        about = [*self.layers, *(["rules"] if self.rules else []), "one image" if self.single else "several images"]
        return f"{what} ({', '.join(about)})"


@dataclass(frozen=True)
class Demand:
    """What a forward must make possible.

    ``places`` are captured; ``at_input`` keeps the graph down to the input; ``rules`` and ``biases`` put the watches
    in; ``edits`` change layers (canonical in, canonical out); ``gradients`` False records no graph; ``attached``
    keeps the caller's own graph, for differentiable maps; ``survey`` notes every module's output, and what
    ``functions`` give; ``curvature`` makes second derivatives possible; ``attention`` makes attention weights visible;
    ``swap`` puts the output of the second layer in the place of the first one's, in the same forward; ``watches`` are
    handlers of a caller's own;
    ``optional`` places are captured if they run; ``module`` runs the module even where the program that it stands for
    could answer.
    """

    places: Mapping[str, Place] = field(default_factory=dict)
    at_input: bool = False
    rules: bool = False
    biases: bool = False
    edits: Mapping[str, Edit] = field(default_factory=dict)
    gradients: bool = True
    attached: bool = False
    survey: bool = False
    functions: bool = False
    curvature: bool = False
    attention: bool = False
    swap: tuple[str, str] | None = None
    reshape: Reshape | None = None
    watches: tuple[dict[str, Handler], ...] = ()
    optional: frozenset[str] = frozenset()
    module: bool = False

    @property
    def scores_only(self) -> bool:
        """Whether the output is all that is asked for."""
        return self == Demand(gradients=False, reshape=self.reshape, optional=self.optional)

    @property
    def graph(self) -> Graph:
        """How much of the forward is recorded for gradients."""
        if self.attached:
            return "full"
        if not self.gradients:
            return "none"
        # one of several tensors, or one that is only taken, may have been read before a graph could begin there
        parts = any(place.element for place in self.places.values())
        return "full" if self.at_input or self.survey or parts or not self.places else "lazy"
