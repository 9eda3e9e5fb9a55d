"""Every attribution method, one file each: tensors to tensors; never a model, a hook, a device or a picture.

A file dropped into this folder registers itself: it is imported when its method is first looked up, and its card makes
the command line's table, the documentation and the tests' parameters. Other packages add theirs by entry points of the
group ``seewhy.methods``, each of which names a module; they are loaded when a method is first looked up or listed (see
`seewhy.extend`).
"""

from __future__ import annotations

import pkgutil
import sys
from types import ModuleType

from seewhy.registry import Card, cards, registered_by
from seewhy.registry import methods as _registry


def _discover() -> None:
    """Know the method of every file on the package's path: function, file and card have one name."""
    files = [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]
    homes = {name.replace("_", "-"): f"{__name__}.{name}" for name in files}
    _registry.wait_for(homes, lambda method: method.formula.__module__)


class _Room(ModuleType):
    """``seewhy.methods`` is this package and, for users, a function: Python allows one name to be only one of them."""

    def __call__(self, family: str | None = None) -> list[Card]:
        """The cards of all methods, or of one family (`seewhy.registry.FAMILIES`), by name."""
        return cards(family)


_discover()
_registry.open_to("seewhy.methods", registered_by)
sys.modules[__name__].__class__ = _Room
