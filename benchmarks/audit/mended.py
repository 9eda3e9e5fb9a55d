"""Networks mended: takes an audited network with a planted cue, gives the network that each way to repair it gives, and
those that know more than an audit does."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

import seewhy
from benchmarks.audit.folders import read_folder, read_masks
from benchmarks.audit.planted import Made, unbiased
from benchmarks.audit.training import fit, inputs, preprocess, seeded, steps_of, untrained
from seewhy.api.given.masks import open_masks
from seewhy.api.given.truths import known_truths
from seewhy.api.repairing.planning import Asked, planned
from seewhy.api.repairing.proved import proved
from seewhy.api.repairing.standing import groups_of
from seewhy.api.repairing.training import Training
from seewhy.core.forward.settings import Settings

__all__ = ["Mended", "reweighted", "without_bias"]

#: what a penalty may weigh; the one with the best worst group of held-out pictures is taken
_PENALTIES = (0.01, 0.1, 1.0)
#: of the steps of a training, those of one with a penalty, which goes on from the network as it was; and its rate
_GOES_ON, _SLOWLY = 0.3, 2e-3


class Mended:
    """The repairs of one network, of which ``audit`` proved something: from pictures in ``train``, proved on those in
    ``held``; ``masks`` are where objects are. Whatever is written goes into ``place``."""

    def __init__(
        self, model: seewhy.Model, network: nn.Module, pictures: Made, audit: seewhy.Audit, place: Path,
        masks: Path | None,
    ) -> None:  # fmt: skip
        self.model, self.network, self.pictures, self.audit, self.place = model, network, pictures, audit, place
        self.train, self.held, self.masks = str(place / "train"), str(place / "held"), masks
        self._proof = self._proved_on()

    def head(self) -> nn.Module:
        """The last layer fitted again."""
        return _module(self._repaired("head"))

    def project(self) -> nn.Module:
        """The cue's direction taken out."""
        return _module(self._repaired("project"))

    def data(self) -> nn.Module:
        """A network trained anew on the counterfactual folder, in as many steps as that before it."""
        self._repaired("data")
        x, y = read_folder(self.place / "by-data" / "data")
        design = self.pictures.design
        with seeded(design):
            network = untrained(self.pictures)
            fit(network, design, x, y, steps=steps_of(self.pictures))
        return network

    def loss(self) -> nn.Module:
        """The network trained on, under masks, with the penalty of those tried that does best on held-out pictures."""
        self._repaired("loss")
        x, y, masks = read_masks(self.place / "train", self.place / "by-loss")
        design, steps = self.pictures.design, int(_GOES_ON * steps_of(self.pictures))
        tried: list[nn.Module] = []
        for penalty in _PENALTIES:
            with seeded(design):
                network = untrained(self.pictures)
                network.load_state_dict(self.network.state_dict())
                fit(network, design, x, y, steps=steps, rate=_SLOWLY, masks=masks, penalty=penalty)
            tried.append(network)
        return max(tried, key=self.worst)

    def worst(self, network: nn.Module) -> float:
        """The share that a network gets right of the worst group of held-out pictures, as they are and with each cue
        that the audit proved put in and taken out: what a repair is chosen by."""
        wrapped = seewhy.wrap(network, preprocess=preprocess(self.pictures), labels=self.model.labels)
        return min(group.before for group in groups_of([wrapped], self._proof))

    def _repaired(self, how: str) -> seewhy.Repair:
        out = self.place / f"by-{how}"
        return seewhy.repair(
            self.model, self.audit, self.train, how=how, out=out, held=self.held, masks=self.masks
        )  # fmt: skip

    def _proved_on(self) -> Training:
        objects = None if self.masks is None else open_masks(self.masks)
        asked = Asked("head", None, objects, Settings(), 0, lambda *_: None)
        known = known_truths(self.model, self.train, None, {}, "repair", asked.progress)
        plan = planned(self.model, proved(self.audit), known, self.train, self.held, {"columns": None}, asked)
        proof = plan.proof()
        assert proof is not None
        return proof


def _module(repair: seewhy.Repair) -> nn.Module:
    assert repair.model is not None
    assert isinstance(repair.model.module, nn.Module)
    return repair.model.module


def without_bias(pictures: Made, data: Path) -> nn.Module:
    """What training gives on pictures in which the cue says nothing."""
    split = unbiased(pictures.design, data)
    network = untrained(pictures)
    fit(network, pictures.design, inputs(split.images), torch.from_numpy(split.labels))
    return network


def reweighted(pictures: Made) -> nn.Module:
    """What re-weighting gives to somebody who knows which pictures have the cue: each class with it and without it is
    drawn as often as any other."""
    split = pictures.train
    groups = torch.from_numpy(2 * split.labels + split.has_cue)
    shares = 1 / torch.bincount(groups)[groups].double()
    network = untrained(pictures)
    fit(network, pictures.design, inputs(split.images), torch.from_numpy(split.labels), shares=shares)
    return network
