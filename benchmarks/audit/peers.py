"""BNNR (0.8, MIT): takes a planted data set, gives the network that its search over saliency-guided augmentations
trains, if it is installed (``pip install bnnr``, outside CI)."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.audit.planted import Made, Split
from benchmarks.audit.training import inputs, untrained

__all__ = ["bnnr"]

#: epochs of each stage, and stages after the first, each of which tries every augmentation: the way to the network that
#: is kept is as long as the other trainings, and 35 epochs are trained in all
_EPOCHS, _STAGES = 7, 2
_BATCH, _RATE = 64, 1e-3


class _Plain(nn.Module):
    """A network that takes pictures in 0 to 1, as BNNR's augmentations do."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        zero, one = _ends()
        self.register_buffer("mean", zero)
        self.register_buffer("scale", one - zero)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of ``x`` [B, 3, H, W]."""
        return self.network(x * self.scale + self.mean)  # type: ignore[no-any-return]


def bnnr(pictures: Made) -> nn.Module | None:
    """The best network by accuracy on the audit's pictures, with its preset ``icd`` and its own defaults but for the
    length of the training; None where it is not installed."""
    if importlib.util.find_spec("bnnr") is None:
        return None
    from bnnr import BNNRConfig, BNNRTrainer, Reporter, SimpleTorchAdapter
    from bnnr.pipelines import IndexedDataset
    from bnnr.presets import get_preset

    model = _Plain(untrained(pictures))
    last = [part for part in model.modules() if isinstance(part, nn.Conv2d)][-1:]
    with TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()), _quiet():
        place = Path(folder)
        config = BNNRConfig(
            m_epochs=_EPOCHS, max_iterations=_STAGES, device="cpu", seed=pictures.design.seed, save_checkpoints=False,
            checkpoint_dir=place / "checkpoints", report_dir=place / "reports", xai_cache_dir=place / "cache",
            event_log_enabled=False, verbose=False, xai_cache_progress=False,
        )  # fmt: skip
        adapter = SimpleTorchAdapter(
            model, nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters(), lr=_RATE), target_layers=last,
            device="cpu", eval_metrics=["accuracy", "f1_macro"],
        )  # fmt: skip
        augmentations = get_preset("icd", random_state=pictures.design.seed, model=model, target_layers=last)
        trainer = BNNRTrainer(
            model=adapter, train_loader=_loader(IndexedDataset, pictures.train, shuffle=True),
            val_loader=_loader(IndexedDataset, pictures.audit, shuffle=False), augmentations=augmentations,
            config=config, reporter=Reporter(config.report_dir),
        )  # fmt: skip
        trainer.run()
    return model.network.eval()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _loader(indexed: Any, split: Split, *, shuffle: bool) -> Any:
    x = torch.from_numpy(split.images).permute(0, 3, 1, 2).float() / 255
    data = [(image, int(label)) for image, label in zip(x, split.labels, strict=True)]
    return torch.utils.data.DataLoader(indexed(data), batch_size=_BATCH, shuffle=shuffle)


def _ends() -> tuple[Tensor, Tensor]:
    """What `inputs` makes of a black pixel and of a white one."""
    ends = inputs(np.array([0, 255], np.uint8).reshape(2, 1, 1, 1).repeat(3, 3))
    return ends[:1], ends[1:]
