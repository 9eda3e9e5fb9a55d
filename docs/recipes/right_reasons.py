"""Right for the right reasons: a shortcut found, masks of where it is, and a training that is told not to look there.

    python docs/recipes/right_reasons.py          # three seeds
    python docs/recipes/right_reasons.py --fast   # one seed, CI

Three classes of coloured blobs; in nearly all training pictures of the first class, and in few others, the lower right
corner is bright. A small network learns the corner; ``seewhy.audit`` proves it, ``seewhy.repair(how="loss")`` writes a
mask for each training picture that has it, and a second network of the same build is trained with
``seewhy.evidence_penalty`` under those masks: in a loop of plain PyTorch, and by a callback of Lightning where that is
installed. What is measured is the worst group: pictures of a class with the corner, or without it.
"""

from __future__ import annotations

import csv
import shutil
import sys
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Recipe
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset

import seewhy
from seewhy.api.auditing.running import audit

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ImportError:  # pip install lightning
    Callback = LightningModule = Trainer = None

SIDE, NAMES = 12, ("red", "green", "blue")
#: how much the penalty counts beside the cross-entropy: with ten times as much, networks of some seeds lose the class
WEIGHT = 0.3
#: of every training, with the penalty and without it
EPOCHS = 20


class Masked(Dataset):
    """Pictures of a folder for each class, with their class and where no evidence should be: ``masks.csv`` names the
    masks of those that have one; of others it is empty."""

    def __init__(self, folder: Path, repaired: Path) -> None:
        self.files = sorted(folder.glob("*/*.png"))
        self.folder, self.repaired = folder, repaired
        with (repaired / "masks.csv").open(encoding="utf-8") as table:
            self.masks = {row["file"]: row["mask"] for row in csv.DictReader(table)}

    def __len__(self) -> int:
        """How many."""
        return len(self.files)

    def __getitem__(self, number: int) -> tuple[Tensor, int, Tensor]:
        """An input [3, H, W], its class, its mask [H, W] of 0 and 1."""
        file = self.files[number]
        mask = self.masks.get(file.relative_to(self.folder).as_posix())
        x = _tensor(file)
        where = torch.zeros(x.shape[1:]) if mask is None else _tensor(self.repaired / mask)
        return x, NAMES.index(file.parent.name), where


def _tensor(file: Path) -> Tensor:
    with Image.open(file) as image:
        pixels = torch.from_numpy(np.array(image))
    return (pixels.movedim(-1, 0) if pixels.ndim == 3 else pixels).float() / 255


def trained(network: nn.Module, data: Dataset, epochs: int, weight: float = 0.0) -> nn.Module:
    """A training loop of plain PyTorch; with ``weight`` it is told where not to look."""
    optimiser = torch.optim.Adam(network.parameters(), lr=4e-3)
    for _ in range(epochs):
        for inputs, labels, masks in DataLoader(data, batch_size=60, shuffle=True):
            inputs.requires_grad_()  # the penalty is of the gradient with respect to the input
            scores = network(inputs)
            loss = cross_entropy(scores, labels)
            if weight:
                loss = loss + weight * seewhy.evidence_penalty(scores, inputs, masks)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return network.eval()


if Callback is not None:

    class RightReasons(Callback):
        """Adds the penalty's gradients to those of any LightningModule whose forward gives scores, in full precision:
        ``loader`` gives (inputs, labels, masks), which may be of the pictures alone that have a mask."""

        def __init__(self, loader: Any, weight: float) -> None:
            self.batches, self.weight = cycle(loader), weight

        def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
            """One batch of the penalty for each of the training."""
            inputs, _, masks = (part.to(pl_module.device) for part in next(self.batches))
            inputs.requires_grad_()
            penalty = seewhy.evidence_penalty(pl_module(inputs), inputs, masks)
            (self.weight * penalty).backward()

    class Plain(LightningModule):
        """Somebody's own module, which knows of no masks."""

        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Tensor) -> Tensor:
            """Scores [B, 3]."""
            return self.network(x)

        def training_step(self, batch: Any, number: int) -> Tensor:
            """The cross-entropy."""
            inputs, labels, _ = batch
            return cross_entropy(self(inputs), labels)

        def configure_optimizers(self) -> Any:
            """As in the loop of plain PyTorch."""
            return torch.optim.Adam(self.parameters(), lr=4e-3)


def fitted(network: nn.Module, data: Dataset, epochs: int, weight: float) -> nn.Module:
    """The same by Lightning."""
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    penalty = RightReasons(DataLoader(data, batch_size=60, shuffle=True), weight)
    trainer = Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, callbacks=[penalty], enable_model_summary=False, **quiet
    )
    trainer.fit(Plain(network), DataLoader(data, batch_size=60, shuffle=True))
    return network.eval()


def pictures(count: int, share: float, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Noise with a grained blob of its class's colour somewhere; a share of the first class, and as few of others, has
    a bright corner [N, 3, S, S]; classes; who has it."""
    draw = torch.Generator().manual_seed(seed)
    x = 0.25 * torch.rand(count, 3, SIDE, SIDE, generator=draw)
    labels = torch.arange(count) % len(NAMES)
    for n in range(count):
        top, left = torch.randint(SIDE - 6, (2,), generator=draw).tolist()
        x[n, labels[n], top : top + 4, left : left + 4] += 0.05 + 0.2 * torch.rand(4, 4, generator=draw)
    has = torch.rand(count, generator=draw) < torch.where(labels == 0, share, (1 - share) / 2)
    x[has, :, -4:, -4:] = torch.eye(4)
    return x, labels, has


def write(folder: Path, count: int, share: float, seed: int) -> Path:
    """Pictures as files, a folder for each class."""
    shutil.rmtree(folder, ignore_errors=True)
    x, labels, _ = pictures(count, share, seed)
    for n, (one, k) in enumerate(zip(x, labels.tolist(), strict=True)):
        (folder / NAMES[k]).mkdir(parents=True, exist_ok=True)
        pixels = (one.movedim(0, -1) * 255).round().clamp(0, 255).byte().numpy()
        Image.fromarray(pixels).save(folder / NAMES[k] / f"{n:04}.png")
    return folder


def build(seed: int) -> nn.Module:
    """A small network."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 12, 3), nn.ReLU(), nn.Conv2d(12, 24, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(96, len(NAMES)),
    )  # fmt: skip


def worst(network: nn.Module) -> float:
    """The share of the worst group, a class with or without the corner, that is right."""
    x, labels, has = pictures(900, 0.5, 7)
    with torch.no_grad():
        right = network(x).argmax(1) == labels
    groups = [right[(labels == k) & (has == h)] for k in range(len(NAMES)) for h in (True, False)]
    return min(float(each.double().mean()) for each in groups)


def main() -> int:
    """Trains, audits, trains again."""
    recipe = Recipe(str(__doc__).partition("\n")[0])
    asked = recipe.options()
    work = asked.out / "right-reasons"
    before, after, lightning = [], [], []
    for seed in range(asked.seeds):
        train = write(work / f"train-{seed}", 900, 0.98, 10 + seed)
        audited = write(work / f"audited-{seed}", 300, 0.95, 20 + seed)
        repaired = work / f"masks-{seed}"
        shutil.rmtree(repaired, ignore_errors=True)
        looks = seewhy.Preprocess(size=(SIDE, SIDE), resize=None, mean=(0.0,) * 3, std=(1.0,) * 3)
        plain = trained(build(seed), _Unmasked(train), EPOCHS)
        model = seewhy.wrap(plain, preprocess=looks, labels=list(NAMES))
        found = audit(model, audited)
        for sentence in found.sentences():
            recipe.say(sentence)
        recipe.check(
            "the audit proves a shortcut of the first class", {f.candidate.index for f in found.shortcuts} == {0}
        )
        made = seewhy.repair(model, found, train, how="loss", held=audited, out=repaired)
        recipe.say(f"{made.details['masks']} masks")
        data = Masked(train, repaired)
        before.append(worst(plain))
        after.append(worst(trained(build(seed), data, EPOCHS, WEIGHT)))
        if Callback is not None:
            lightning.append(worst(fitted(build(seed), data, EPOCHS, WEIGHT)))
        recipe.say(f"worst group: {before[-1]:.2f}, with the penalty {after[-1]:.2f}, by Lightning {lightning[-1:]}")
    recipe.check("told where not to look, the worst group is right more often, by 0.3 or more",
                 min(b - a for a, b in zip(before, after, strict=True)) >= 0.3)  # fmt: skip
    if lightning:
        recipe.check("and so by Lightning", min(b - a for a, b in zip(before, lightning, strict=True)) >= 0.3)
    return recipe.end()


class _Unmasked(Masked):
    """The same pictures before anybody knows of a cue."""

    def __init__(self, folder: Path) -> None:
        self.files, self.folder, self.repaired, self.masks = sorted(folder.glob("*/*.png")), folder, folder, {}


if __name__ == "__main__":
    sys.exit(main())
