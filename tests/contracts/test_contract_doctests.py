"""Every example in the documentation of the package gives what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import warnings

import pytest
import torch

import seewhy

MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(seewhy.__path__, "seewhy.")
    if not found.name.endswith(("__main__", "._version"))
)


@pytest.mark.parametrize("name", ["seewhy", *MODULES])
def test_examples(name: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    with torch.random.fork_rng([]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        found = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0


def test_there_are_examples_to_run() -> None:
    finder = doctest.DocTestFinder()
    counts = [len(test.examples) for name in MODULES for test in finder.find(importlib.import_module(name))]
    assert sum(counts) > 100
