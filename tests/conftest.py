"""For every test: where several run side by side, each takes one core."""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # tiny networks gain nothing from threads, and threads of several processes fight for the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    torch.set_num_threads(1)
