"""Other libraries: takes a library's name, gives its methods as explainers; imports a library when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib.metadata import version
from types import ModuleType

import torch

from seewhy._version import __version__
from seewhy.conformance.explainers import Explainer
from seewhy.errors import UnknownName, UsageError

__all__ = ["LIBRARIES", "explainers", "versions"]

#: by the name of the library, the file of this package
LIBRARIES = {"captum": "captum_", "pytorch-grad-cam": "grad_cam_", "torchcam": "torchcam_", "zennit": "zennit_"}


def explainers(library: str, names: Sequence[str] | None = None) -> list[Explainer]:
    """The methods of ``library`` that are ``names``, in its own words; all of them where left out.

    Raises `UnknownName` for a library that has no adapter here and for a method that the adapter has not, and
    `UsageError` for a library that is not installed, with what to type.
    """
    file = _file(library)
    try:
        table: dict[str, Explainer] = {each.name: each for each in file.explainers()}
    except ImportError as error:
        raise UsageError(f"{library} is not installed: pip install {file.PACKAGE} ({error})") from None
    if names is None:
        return list(table.values())
    for name in names:
        if name not in table:
            raise UnknownName(f"method of {library}", name, table, f"seewhy conformance --library {library}")
    return [table[name] for name in names]


def versions(library: str | None) -> dict[str, str]:
    """The versions of what runs, by package."""
    own = {"seewhy": __version__, "torch": str(torch.__version__).partition("+")[0]}
    return own if library is None else own | {library: version(_file(library).PACKAGE)}


def _file(library: str) -> ModuleType:
    if library not in LIBRARIES:
        raise UnknownName("library", library, LIBRARIES, f"one of {', '.join(LIBRARIES)}")
    return importlib.import_module(f"{__name__}.{LIBRARIES[library]}")
