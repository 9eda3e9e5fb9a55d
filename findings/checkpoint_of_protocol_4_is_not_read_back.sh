#!/usr/bin/env bash
# torch 2.14.1: `torch.save(state, file, pickle_protocol=4)` (or 5, Python's own default since 3.8 and 3.14) writes a
# checkpoint of nothing but tensors that `torch.load(file)` with its defaults refuses, without a word when it is
# written. Protocols 2 and 3 are read. What is there to find out why, `get_unsafe_globals_in_checkpoint`, lists nothing
# and raises the same: it cannot read such a file either. With `weights_only=False` the tensors are there, equal, so
# people who meet this are led to switch the safe loading off for a file that holds no code at all.
#
# Seen:
#   protocol 2: read back: True, asks for: []
#   protocol 3: read back: True, asks for: []
#   protocol 4: read back: UnpicklingError, asks for: UnpicklingError: Unsupported operand 149
#   protocol 5: read back: UnpicklingError, asks for: UnpicklingError: Unsupported operand 149
# Expected: that what `torch.save` accepts `torch.load` reads, or that saving says it will not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.14.1 numpy==2.4.6
"$folder/venv/bin/python" -W ignore - "$folder" <<'PY'
import sys
from pathlib import Path

import torch
from torch.serialization import get_unsafe_globals_in_checkpoint

assert torch.__version__.startswith("2.14.1"), torch.__version__
state = torch.nn.Linear(2, 3).state_dict()
for protocol in (2, 3, 4, 5):
    file = Path(sys.argv[1]) / f"{protocol}.pt"
    torch.save(state, file, pickle_protocol=protocol)
    whole = torch.load(file, weights_only=False)
    assert all(torch.equal(whole[name], value) for name, value in state.items()), "other tensors"
    try:
        read = str(all(torch.equal(value, state[name]) for name, value in torch.load(file).items()))
    except Exception as error:
        read = type(error).__name__
    try:
        asks = str(get_unsafe_globals_in_checkpoint(file))
    except Exception as error:
        asks = f"{type(error).__name__}: {error}"
    print(f"protocol {protocol}: read back: {read}, asks for: {asks}")
    if protocol < 4:
        assert (read, asks) == ("True", "[]"), "another answer"
    else:
        assert read == "UnpicklingError", "it is read now"
        assert asks == "UnpicklingError: Unsupported operand 149", "it is looked into now"
print("as seen")
PY
