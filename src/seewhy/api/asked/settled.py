"""Settled targets: takes what is asked of images, remembers what it came to, gives the same again for other inputs that
stand for these images; runs no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from seewhy.api.asked.targets import Wanted
from seewhy.core.network.outputs import Outputs
from seewhy.core.targets import Target

__all__ = ["Settled"]


@dataclass
class Settled(Wanted):
    """Targets that an image itself settled, for copies of it: ``images`` says whose each input of a run is, ``rows``
    what each image's came to."""

    inner: Wanted
    images: Sequence[int]
    rows: dict[int, tuple[Target, ...]] = field(default_factory=dict)

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers that the targets themselves read."""
        return self.inner.layers

    def resolve(self, outputs: Outputs, images: Sequence[int]) -> list[tuple[Target, ...]]:
        """For the inputs of one batch, in order: the n-th target of every one, for each n."""
        whose = [self.images[n] for n in images]
        if any(image not in self.rows for image in whose):
            columns = self.inner.resolve(outputs, whose)
            for n, image in enumerate(whose):
                self.rows.setdefault(image, tuple(column[n] for column in columns))
        return list(zip(*(self.rows[image] for image in whose), strict=True))
