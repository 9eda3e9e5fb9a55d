"""``python -m benchmarks.data_sets PHOTOS``: JPEGs on disk to Grad-CAM maps on disk, by a plain pytorch-grad-cam loop,
by a good loop written by hand, by ``seewhy.run``, and, as a ceiling, decoding and the bare prepared forward alone; in
turn, each time in a process of its own. Prints pictures a second as Markdown, and peak memory over what the model
takes.

What is timed begins when libraries are imported and the network is there."""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import seewhy
from benchmarks.networks import subject
from seewhy.runs.walking import Stop

_BATCH = 16

#: what a run takes before its first unit: listing, choosing the layer, preparing, measuring
_START: dict[str, float] = {}
_OURS = seewhy.Preprocess(size=(224, 224), resize=256)


def _plain(network: str, files: Sequence[Path], out: Path) -> Callable[[], None]:
    """pytorch-grad-cam as its README has it, with its own preprocessing, in batches."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.image import preprocess_image

    known = subject(network)
    layers = [known.model.module.get_submodule(known.layer)]

    def run() -> None:
        with GradCAM(model=known.model.module, target_layers=layers) as cam:
            for start in range(0, len(files), _BATCH):
                inputs = []
                for path in files[start : start + _BATCH]:
                    picture = Image.open(path).convert("RGB").resize((224, 224))
                    inputs.append(preprocess_image(np.float32(picture) / 255, list(_OURS.mean), list(_OURS.std)))
                np.save(out / f"{start}.npy", cam(input_tensor=torch.cat(inputs), targets=None))

    return run


class _Photos(torch.utils.data.Dataset[Tensor]):
    """Photos as torchvision's weights want them."""

    def __init__(self, files: Sequence[Path]) -> None:
        from torchvision import transforms

        self._files = files
        self._transform = transforms.Compose(
            [
                transforms.Resize(256),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
                transforms.Normalize(_OURS.mean, _OURS.std),
            ]
        )

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, number: int) -> Tensor:
        tensor: Tensor = self._transform(Image.open(self._files[number]).convert("RGB"))
        return tensor


def _by_hand(network: str, files: Sequence[Path], out: Path) -> Callable[[], None]:
    """A DataLoader with workers, the network channels last, Captum's Grad-CAM of the top class."""
    from captum.attr import LayerGradCam

    known = subject(network)
    module = known.model.module.to(memory_format=torch.channels_last)
    loader = torch.utils.data.DataLoader(_Photos(files), batch_size=_BATCH, num_workers=2)

    def run() -> None:
        cam = LayerGradCam(module, module.get_submodule(known.layer))
        for number, batch in enumerate(loader):
            x = batch.contiguous(memory_format=torch.channels_last)
            with torch.no_grad():
                classes = module(x).argmax(1)
            np.save(out / f"{number}.npy", cam.attribute(x, classes).detach().numpy())

    return run


def _ours(network: str, files: Sequence[Path], out: Path) -> Callable[[], None]:
    known = subject(network)
    model = replace(known.model, preprocess=_OURS)

    started = time.perf_counter()
    seewhy.run(model, files[0].parent, out, "grad-cam", layer=known.layer, prepare=True, stop=Stop("it has begun"))
    _START["seconds"] = time.perf_counter() - started

    def run() -> None:
        seewhy.run(model, files[0].parent, out, "grad-cam", layer=known.layer, prepare=True)

    return run


def _ceiling(network: str, files: Sequence[Path], out: Path) -> Callable[[], None]:
    """Decoding in threads, beside the forward of the prepared network in its best pieces; nothing is explained."""
    known = subject(network)
    model = replace(known.model, preprocess=_OURS)
    module = seewhy.prepare(model, torch.rand(2, 3, 224, 224), gradients=False).module
    assert isinstance(module, nn.Module)

    def read(path: Path) -> Tensor:
        return _OURS(Image.open(path).convert("RGB"))

    def inputs(pool: ThreadPoolExecutor) -> Iterator[Tensor]:
        waiting: deque[Future[Tensor]] = deque()
        for path in files:
            waiting.append(pool.submit(read, path))
            if len(waiting) > 2 * _BATCH:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def run() -> None:
        some: list[Tensor] = []
        with ThreadPoolExecutor(2) as pool, torch.inference_mode():
            for tensor in inputs(pool):
                some.append(tensor)
                if len(some) == _BATCH:
                    module(torch.stack(some))
                    some.clear()
            if some:
                module(torch.stack(some))

    return run


ARMS: dict[str, Callable[[str, Sequence[Path], Path], Callable[[], None]]] = {
    "pytorch-grad-cam, plain": _plain, "by hand, Captum": _by_hand, "seewhy run": _ours, "decode + forward": _ceiling,
}  # fmt: skip


def _one(arm: str, network: str, folder: Path) -> None:
    """Time one arm once, and print what it took as JSON."""
    files = sorted(folder.iterdir())
    with tempfile.TemporaryDirectory() as out:
        run = ARMS[arm](network, files, Path(out))
        before = _memory("VmRSS")
        began = time.perf_counter()
        run()
        seconds = time.perf_counter() - began
    start = _START.get("seconds", 0.0)
    print(json.dumps({"seconds": seconds, "start": start, "over": (_memory("VmHWM") - before) / 1024}))


def _memory(word: str) -> int:
    """What the system says of this process, in KiB: its peak by `resource` begins with that of whoever started it."""
    found = re.search(rf"{word}:\s*(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


def _chart(rates: dict[str, dict[str, float]], path: Path) -> None:
    """Draw photos a second, by network and arm."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.9 + 0.3 * sum(map(len, rates.values()))), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    for n, (network, each) in enumerate(rates.items(), 1):
        axes = figure.add_subplot(len(rates), 1, n)
        colours = ["#a33" if arm == "seewhy run" else "#888" for arm in each]
        bars = axes.barh(list(each), list(each.values()), color=colours, height=0.7)
        axes.bar_label(bars, fmt="%.3g", padding=3)
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(network, loc="left", fontsize=10)
        axes.margins(x=0.1)
    figure.axes[-1].set_xlabel("JPEGs on disk to maps on disk, photos a second")
    figure.savefig(path)


def _medians(each: Sequence[dict[str, Any]]) -> tuple[float, float, float]:
    seconds, start, over = (statistics.median(one[name] for one in each) for name in ("seconds", "start", "over"))
    return seconds, start, over


def main() -> None:
    """Time all arms in turn."""
    words = argparse.ArgumentParser(prog="python -m benchmarks.data_sets", description=__doc__)
    words.add_argument("photos", type=Path, help="a folder of JPEGs")
    words.add_argument("--times", type=int, default=5, help="how often each photo is taken")
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--networks", nargs="*", default=["mobilenet_v2", "resnet50"])
    words.add_argument("--arms", nargs="*", default=list(ARMS))
    words.add_argument("--chart", type=Path, metavar="FILE.png", help="draw the rates")
    words.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    asked = words.parse_args()
    if asked.one:
        arm, network = asked.one
        _one(arm, network, asked.photos)
        return
    photos = sorted(path for path in asked.photos.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
    with tempfile.TemporaryDirectory() as folder:
        for n in range(asked.times):
            for path in photos:
                (Path(folder) / f"{n}-{path.name}").write_bytes(path.read_bytes())
        count, rates = asked.times * len(photos), dict[str, dict[str, float]]()
        for network in asked.networks:
            taken: dict[str, list[dict[str, Any]]] = {arm: [] for arm in asked.arms}
            for _ in range(asked.rounds):
                for arm in asked.arms:
                    line = [sys.executable, "-m", "benchmarks.data_sets", folder, "--one", arm, network]
                    done = subprocess.run(line, check=True, capture_output=True, text=True)
                    taken[arm].append(json.loads(done.stdout.splitlines()[-1]))
                    print(network, arm, taken[arm][-1], file=sys.stderr, flush=True)
            print(f"\n{network}, {count} photos | a second | seewhy takes | with its start | MiB over the model")
            print("---|---|---|---|---")
            nobody = [{"seconds": float("nan"), "start": float("nan"), "over": float("nan")}]
            ours, start, _ = _medians(taken.get("seewhy run", nobody))
            rates[network] = {arm: count / _medians(each)[0] for arm, each in taken.items()}
            for arm, each in taken.items():
                seconds, _, over = _medians(each)
                ratios = f"1 / {seconds / ours:.2f} | 1 / {seconds / (ours + start):.2f}"
                print(f"{arm} | {count / seconds:.1f} | {ratios} | {over:.0f}")
            print(f"\nseewhy run takes {start:.1f} s before its first unit")
    if asked.chart is not None:
        _chart(rates, asked.chart)


if __name__ == "__main__":
    main()
