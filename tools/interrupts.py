"""``python -m tools.interrupts --processes 20 --each 5``: Ctrl-C at random moments of a first call; checks that each
ends in `KeyboardInterrupt` or in a result, that the model is as it was, and that the next call is right."""

from __future__ import annotations

import argparse
import copy
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from typing import Any

#: seconds that a first call may take, imports of torch's export and measuring included
_LONGEST = 6.0


def main() -> int:
    """Run the children and count how they end."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--processes", type=int, default=20)
    words.add_argument("--each", type=int, default=5)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    asked = words.parse_args()
    if asked.child:
        return _child(asked.seed, asked.each)
    bad, ends = 0, {"interrupted": 0, "finished": 0}
    for process in range(asked.processes):
        seed = str(asked.seed + process)
        command = [sys.executable, "-m", "tools.interrupts", "--child", "--seed", seed, "--each", str(asked.each)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        for word in ends:
            ends[word] += done.stdout.count(word)
        if done.returncode:
            bad += 1
            print(f"process {seed} ended with {done.returncode}\n{done.stdout[-800:]}{done.stderr[-1500:]}")
    print(f"{asked.processes * asked.each} interrupts: {ends}; {bad} processes with faults")
    return int(bad > 0)


def _child(seed: int, each: int) -> int:
    draw = random.Random(seed)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    import torch
    from torch import nn

    import seewhy

    for turn in range(each):
        torch.manual_seed(seed * 100 + turn)
        net = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5), nn.Softmax(1),
        )  # fmt: skip
        net.eval()
        net[2].train()
        x, twin = torch.randn(draw.choice((1, 3)), 3, 32, 32), copy.deepcopy(net)
        method = draw.choice(("saliency", "occlusion", "rise", "grad-cam", "integrated-gradients"))
        given: dict[str, Any] = {"method": method, "target": 1} | ({"n": 200} if method == "rise" else {})
        before = _state(net)
        # half of the first ones in the seconds in which torch imports what it needs
        after = draw.random() * (_LONGEST if turn == 0 and seed % 2 else _LONGEST / 4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ended = _interrupted(lambda: seewhy.explain_all(net, x, **given, prepare=True), after)  # noqa: B023
            assert _state(net) == before, f"{method}, after {after:.2f} s: the model is not as it was"
            found = seewhy.explain_all(net, x, **given, prepare=True)
            right = seewhy.explain_all(twin, x, **given, prepare=False)
        for a, b in zip(found, right, strict=True):
            gap = abs(a.values - b.values).max()
            assert gap <= 2e-3 * abs(b.values).max(), f"{method}, after {after:.2f} s: the next call is {gap} off"
        print(f"{method} {ended} after {after:.2f} s", flush=True)
    return 0


def _interrupted(call: Any, after: float) -> str:
    """How ``call`` ends that is interrupted so many seconds after it began."""
    timer = threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        call()
        timer.cancel()
        timer.join()
        time.sleep(0.01)
    except KeyboardInterrupt:
        timer.join()
        return "interrupted"
    return "finished"


def _state(net: Any) -> Any:
    import torch

    tensors = [
        (name, id(value), value.detach().numpy().tobytes()) for name, value in net.state_dict(keep_vars=True).items()
    ]
    parts = [
        (
            type(part),
            part.training,
            sorted(vars(part)),
            [len(getattr(part, name)) for name in ("_forward_hooks", "_forward_pre_hooks")],
        )
        for part in net.modules()
    ]
    return (
        tensors,
        parts,
        torch.get_rng_state().numpy().tobytes(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
    )


if __name__ == "__main__":
    sys.exit(main())
