"""``python -m benchmarks [--rounds N] [--what grad-cam|memory|all] [--out FILE.md]``: writes Markdown tables."""

from __future__ import annotations

import argparse
import platform
import warnings
from pathlib import Path

import torch

from benchmarks import grad_cam, memory


def _grad_cam_table(rounds: int) -> list[str]:
    rows = grad_cam.run(rounds)
    names = list(rows[0][2].median)
    lines = ["| network | batch | " + " | ".join(f"{n}, ms" for n in names) + " | peer / seewhy | results differ by |"]
    lines.append("|---" * (len(names) + 4) + "|")
    for network, batch, timing in rows:
        ours = timing.median["seewhy"]
        times = " | ".join(f"{1000 * timing.median[n]:.0f}" for n in names)
        ratios = ", ".join(f"{n} {timing.median[n] / ours:.2f}x" for n in names if n != "seewhy")
        lines.append(f"| {network} | {batch} | {times} | {ratios} | {timing.difference:.1e} |")
    return lines


def main() -> None:
    """Run what is asked and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--what", choices=("grad-cam", "memory", "all"), default="all")
    parser.add_argument("--channels", type=int, default=None, help="memory: stop Score-CAM after so many masks")
    parser.add_argument("--out", type=Path, default=None)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    lines = [f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}, float32", ""]
    if asked.what in ("grad-cam", "all"):
        lines += [f"## Grad-CAM, median of {asked.rounds} interleaved rounds", "", *_grad_cam_table(asked.rounds), ""]
    if asked.what in ("memory", "all"):
        over, forwards = memory.run(asked.channels)
        lines += [
            "## Score-CAM on ResNet-50",
            "",
            f"{over / 2**20:.0f} MiB over the model after one forward; {forwards} forwards",
            "",
        ]
    text = "\n".join(lines)
    print(text)
    if asked.out is not None:
        asked.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
