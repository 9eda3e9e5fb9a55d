"""Progress in a notebook: a bar under the cell where there is a page, nothing anywhere else."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import seewhy
from seewhy.api.waiting import Bars, watched


class _Notebook:
    """As much of IPython as a bar needs; ``page`` is what each place showed, one after the other."""

    def __init__(self, kernel: Any = True) -> None:
        self.page: list[list[str]] = []
        self._shell = SimpleNamespace(kernel=kernel) if kernel else SimpleNamespace()
        self.display = SimpleNamespace(HTML=str, display=self._display)

    def get_ipython(self) -> Any:
        return self._shell

    def _display(self, html: str, display_id: bool) -> Any:
        assert display_id
        place = [html]
        self.page.append(place)
        return SimpleNamespace(update=place.append)


def test_a_bar_comes_late_moves_seldom_and_goes() -> None:
    notebook, now = _Notebook(), [0.0]
    bars = Bars(notebook, clock=lambda: now[0])
    for second, done in ((0.2, 1), (0.9, 2), (1.5, 3), (1.6, 4), (2.0, 5)):
        now[0] = second
        bars("photos", done, 10)
    (place,) = notebook.page
    assert ["photos: 3 of 10" in place[0], "photos: 5 of 10" in place[1], len(place)] == [True, True, 2]
    assert "about 2 s left" in place[1]  # four tenths of a second each
    bars("photos", 10, 10)
    bars("photos", 10, 10)
    assert place[2:] == [""]
    bars("maps", 0, 2)
    now[0] = 3
    bars("maps", 1, 2)
    assert len(notebook.page) == 1
    assert "maps: 1 of 2" in place[-1]


def test_what_is_over_in_a_moment_shows_nothing() -> None:
    notebook = _Notebook()
    bars = Bars(notebook, clock=lambda: 0.0)
    bars("photos", 1, 2)
    bars("photos", 2, 2)
    assert notebook.page == []


def test_only_a_notebook_is_shown_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    def own(what: str, done: int, total: int) -> None:
        pass

    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not isinstance(watched(None), Bars)
    monkeypatch.setitem(sys.modules, "IPython", _Notebook(kernel=None))
    assert not isinstance(watched(None), Bars)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace())
    assert not isinstance(watched(None), Bars)
    monkeypatch.setitem(sys.modules, "IPython", _Notebook())
    assert isinstance(watched(None), Bars)
    assert watched(own) is own


def test_calls_show_how_far_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = _Notebook()
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    monkeypatch.setattr("seewhy.api.waiting._AFTER", 0.0)
    monkeypatch.setattr("seewhy.api.waiting._EVERY", 0.0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).eval()
    x = torch.rand(70, 3, 8, 8)
    for call, words in (
        (lambda: seewhy.explain(net, x[:1], method="rise", target=1, n=64), "rise: "),
        (lambda: seewhy.evaluate_model(net, x, [0] * 70), "photos: 64 of 70"),
        (lambda: seewhy.boundary(net, x, [0] * 70), "photos: 64 of 70"),
        (lambda: seewhy.maximise(net, 1, size=8, steps=4, bounds=(0, 1)), "maximise: "),
        (lambda: seewhy.diagnose(net, x[0], methods=["saliency", "grad-cam"]), "methods: 1 of 2"),
    ):
        notebook.page.clear()
        call()
        shown = [html for place in notebook.page for html in place]
        assert any(words in html for html in shown), words
        assert all(place[-1] == "" for place in notebook.page), words
