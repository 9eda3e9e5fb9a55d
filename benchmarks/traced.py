"""``python -m benchmarks.traced``: what transformers' models, which always have hooks of their own, get in their place:
for each class the program's steps or why there is none, and how long saliency takes with and without, in turn."""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from typing import Any

import torch

import seewhy
from benchmarks.zoo.shrinking import hf_model

#: classes, as they come but for their depth, and how many rounds
CLASSES = (
    "ViTForImageClassification", "DeiTForImageClassification", "Dinov2ForImageClassification",
    "SwinForImageClassification", "BeitForImageClassification", "ConvNextForImageClassification",
    "ResNetForImageClassification", "MobileViTForImageClassification", "PoolFormerForImageClassification",
    "SegformerForSemanticSegmentation", "BeitForSemanticSegmentation", "UperNetForSemanticSegmentation",
    "DetrForObjectDetection", "YolosForObjectDetection", "DPTForDepthEstimation", "DepthAnythingForDepthEstimation",
)  # fmt: skip


def main() -> None:
    """Print a row of Markdown for each class."""
    words = argparse.ArgumentParser(prog="python -m benchmarks.traced", description=__doc__)
    words.add_argument("--rounds", type=int, default=9)
    words.add_argument("--level", type=int, default=1, choices=(0, 1, 2), help="0 as configured, 1 shallow, 2 small")
    words.add_argument("classes", nargs="*", default=list(CLASSES))
    asked = words.parse_args()
    warnings.simplefilter("ignore")
    print("| class | input | program | model, ms | program, ms | ratio |\n|---|---|---|---|---|---|")
    for name in asked.classes:
        torch.manual_seed(0)
        net, size, _ = hf_model(name, False, asked.level)
        print(_row(name, net, size, asked.rounds), flush=True)


def _row(name: str, net: torch.nn.Module, size: tuple[int, int], rounds: int) -> str:
    x = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(1))
    before = net._forward_hooks.copy()

    def score(out: Any) -> torch.Tensor:
        first = next(value for value in out.values() if isinstance(value, torch.Tensor))
        return first.flatten(1)[:, 3]

    def seconds(prepare: bool) -> float:
        began = time.perf_counter()
        seewhy.explain(net, x, "saliency", score, prepare=prepare)
        return time.perf_counter() - began

    for _ in range(3):
        found = seewhy.explain(net, x, "saliency", score, prepare=True)
        seconds(False)
    said: dict[str, Any] = dict(found.provenance["prepared"])
    pairs = [(seconds(False), seconds(True)) for _ in range(rounds)]
    assert net._forward_hooks == before
    model, program = (1000 * statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    steps = said.get("gradients, one image") or said.get("gradients") or {}
    what = f"yes, {steps.get('kept', '')}" if said["used"] else f"none: {said.get('why', 'no step is faster')}"
    return f"| {name} | {size[0]}x{size[1]} | {what[:90]} | {model:.0f} | {program:.0f} | {ratio:.2f} |"


if __name__ == "__main__":
    main()
