"""Settings: how a call is to be run, as opposed to what; plain values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from seewhy.core.memory_budget import Budget
from seewhy.core.network.layouts import Reshape
from seewhy.errors import UsageError, nearest

__all__ = ["Settings", "when"]

#: what may be said of programs that stand for the network, and what it means
_WHEN: dict[bool | str, bool | str] = {
    "auto": "auto", "on": True, "verify": "verify", "off": False, "true": True, "false": False,
    True: True, False: False,
}  # fmt: skip


def when(prepare: bool | str) -> bool | str:
    """What ``prepare`` means: ``"auto"``, ``True`` ("on"), ``"verify"``, ``False`` ("off"). Raises `UsageError`."""
    word = prepare.lower() if isinstance(prepare, str) else prepare
    if not isinstance(word, bool | str) or word not in _WHEN:
        close = nearest(str(prepare), [name for name in _WHEN if isinstance(name, str)])
        hint = f"nearest: {close[0]!r}; " if close else ""
        raise UsageError(f"prepare={prepare!r}: {hint}one of 'auto', 'on' (True), 'verify', 'off' (False)")
    return _WHEN[word]


@dataclass(frozen=True)
class Settings:
    """How to run, as opposed to what: nothing here changes a value beyond float tolerance, except ``reshape``."""

    reshape: Reshape | None = None
    differentiable: bool = False
    memory: int | None = None
    prepare: bool | str = "auto"
    progress: Callable[[str, int, int], None] = lambda what, done, total: None
    preview: Callable[[Tensor, int, int], None] = lambda values, step, steps: None
    #: why no program is to be used, whatever ``prepare`` says; '' where none is doubted
    doubt: str = ""
    #: whether every sample goes through the network by itself
    alone: bool = False
    #: whether a softmax or sigmoid that ends the network is left where it is, and its output explained as it is given
    as_given: bool = False
    #: how many images go through the network together, where that is settled: it decides how sums are rounded
    together: int | None = None

    def budget(self, most: int = 32, first: int = 4) -> Budget:
        """How many samples go together: at most ``most``, ``first`` of them before it is known what each takes."""
        return Budget(self.memory, 1, 1) if self.alone else Budget(self.memory, most, first)
