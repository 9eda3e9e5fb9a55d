"""Noise over any method: what is asked for, checked; draws nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seewhy.errors import UnknownName, UsageError

__all__ = ["STATISTICS", "Noise", "noise_of"]

#: what can be made of a method's values at noisy copies of an image
STATISTICS = ("smooth", "squared", "variance")


@dataclass(frozen=True, kw_only=True)
class Noise:
    """A method's map as a statistic of its maps at noisy copies of the image.

    ``statistic`` is ``"smooth"``, their mean (Smilkov et al. 2017), ``"squared"``, the mean of their squares (Hooker et
    al. 2019), or ``"variance"``, the unbiased one (Adebayo et al. 2018), of the values as the method gives them, signed
    unless ``absolute``. Noise is Gaussian, of standard deviation ``sigma`` times the range of each preprocessed image,
    or ``std`` in the units of the input; ``n`` copies at most: fewer once the standard error of the map, which is
    returned, is under ``tolerance`` of its range. Drawn from the image, ``seed`` and number, as for ``smooth-grad``.

    Raises `UnknownName` for another statistic and `UsageError` for numbers out of range.

    >>> Noise(statistic="variance", n=16).sigma
    0.15
    """

    statistic: str = "smooth"
    n: int = 32
    sigma: float | None = None
    std: float | None = None
    absolute: bool = False
    tolerance: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if self.statistic not in STATISTICS:
            raise UnknownName("statistic of noise", str(self.statistic), STATISTICS, f"one of {', '.join(STATISTICS)}")
        if self.sigma is not None and self.std is not None:
            raise UsageError(
                f"noise has a sigma of {self.sigma:g}, a share of the range, and a std of {self.std:g}, in input "
                "units: give one"
            )
        if self.sigma is None and self.std is None:
            object.__setattr__(self, "sigma", 0.15)
        size = self.sigma if self.std is None else self.std
        if isinstance(self.n, bool) or not isinstance(self.n, int) or self.n < 2:
            raise UsageError(f"{self.n!r} noisy copies: a statistic is made of 2 or more")
        if isinstance(size, bool) or not isinstance(size, int | float) or not 0 <= size < float("inf"):
            raise UsageError(f"noise of size {size!r}: sigma, and std, are 0 or more")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise UsageError(f"noise with the seed {self.seed!r}: a seed is a whole number")
        if isinstance(self.tolerance, bool) or not isinstance(self.tolerance, int | float) or not self.tolerance >= 0:
            raise UsageError(
                f"noise with a tolerance of {self.tolerance!r}: a share of the map's range, as 0.05; 0 draws all copies"
            )

    def __str__(self) -> str:
        """What it is, in a line."""
        size = f"sigma {self.sigma:g} of the range" if self.std is None else f"standard deviation {self.std:g}"
        return f"{self.statistic}{' of magnitudes' if self.absolute else ''}, {size}"


def noise_of(asked: Any) -> Noise | None:
    """``noise=`` as given: None, a statistic's name, or a `Noise`. Raises `UsageError` for anything else."""
    if asked is None or isinstance(asked, Noise):
        return asked
    if isinstance(asked, str):
        return Noise(statistic=asked)
    raise UsageError(f"noise={asked!r:.60}: 'smooth', 'squared', 'variance', or a seewhy.Noise, with n and sigma")
