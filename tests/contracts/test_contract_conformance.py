"""Every method on every unit: none fails without its card saying so, no card says more than units show, and
docs/conformance.md has what came out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from tools.write_conformance import OTHERS, OURS, PAGE, asked, line, ours

from seewhy import conformance
from seewhy.conformance import units
from seewhy.registry import methods

#: why a method may not be asked, and which methods that is true of
UNASKED = {
    r"no attention was seen": {"attention-rollout", "gradient-attention", "le-grad"},
    r"CAM needs global average pooling": {"cam"},
    r"the '\w+' rule matched no activation function": {"deconvnet", "guided-backprop", "guided-grad-cam"},
    r"has no rule for (round|scaled_dot_product)": {"lrp", "excitation-backprop", "c-excitation-backprop"},
    r"finer-cam compares a class with its neighbours": {"finer-cam"},
    r"takes several layers, and the network has one": {"refine-cam"},
    r"undecided: within": {"d-rise", "hsic", "rise", "smooth-grad-cam-pp", "sobol", "ss-cam", "var-grad"},
}
#: of all units, those on which a method that is no special case has to have an outcome
LEAST = {"cam": 11, "attention-rollout": 1, "gradient-attention": 1, "le-grad": 1, "sobol": 8, "ss-cam": 10}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", asked())
def test_a_method_passes_what_its_card_does_not_except(name: str) -> None:
    found = conformance.run(name)
    assert not found.failures, [(row.unit, row.found) for row in found.failures]
    shown = {units[row.unit].card.property for row in found.rows if row.outcome == conformance.BY_DESIGN}
    assert set(methods[name].card.excepts) == shown, "an exception that no unit shows"
    for row in found.unfit:
        known = [of for pattern, of in UNASKED.items() if re.search(pattern, row.found)]
        assert known, f"{row.unit}: {row.found}"
        assert name in set().union(*known)
    assert len(found.rows) >= LEAST.get(name, 14)
    assert line(found.table()[1]) in PAGE.read_text(encoding="utf-8"), "write it: python tools/write_conformance.py"


@pytest.mark.parametrize("name", sorted(methods.keys() - set(asked())))
def test_what_gives_no_map_of_a_picture_is_not_asked(name: str) -> None:
    (row,) = conformance.run(name, "linear").pairs
    assert row.outcome == "not applicable"
    assert "gives no map of evidence" in row.found or "explains the mean of every layer" in row.found


def test_exceptions_are_sentences() -> None:
    for method in methods:
        for name, why in method.card.excepts.items():
            assert len(why.split()) > 5, (method.name, name)
            assert why == " ".join(why.split())


def test_the_page_has_the_cards_of_the_units() -> None:
    text, _, others = PAGE.read_text(encoding="utf-8").partition(OTHERS)
    head = ours(conformance.run("saliency", sorted(units.keys()))).partition(OURS)[0]
    assert text.startswith(head), "write it: python tools/write_conformance.py"
    assert all(f"### {name}\n" in others for name in conformance.LIBRARIES)
    assert Path(PAGE.parent / "images" / "conformance.png").is_file()
