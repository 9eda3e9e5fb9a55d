#!/usr/bin/env bash
# Pillow 13.0.0: where a file can take no more (a full disk, a quota; here a limit on the size of files, whose signal is
# ignored as Python does with a full pipe), Image.save of JPEG, TIFF and BMP returns without an error and leaves a
# truncated file, while PNG, GIF and WebP raise OSError. The former are encoded straight into the file's descriptor, by
# code that does not look at how much of the last piece was taken. A run that saves hundreds of maps ends with "done" and
# with pictures that nobody can open. Encoded into memory first and written by Python, the same bytes raise.
#
# Seen (64 x 64 noise, at most 1000 bytes a file):
#   JPEG saved 1000 bytes of 3064
#   TIFF saved 1000 bytes of 12428
#   BMP saved 1000 bytes of 12342
#   PNG raised, GIF raised, WEBP raised
#   JPEG by way of memory raised
# Expected: OSError from all of them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pillow==13.0.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import io
import pathlib
import random
import resource
import signal
import sys

import PIL
from PIL import Image

assert PIL.__version__ == "13.0.0", PIL.__version__
folder = pathlib.Path(sys.argv[1])
image = Image.frombytes("RGB", (64, 64), random.Random(0).randbytes(64 * 64 * 3))
kinds = ("JPEG", "TIFF", "BMP", "PNG", "GIF", "WEBP")
whole = {}
for kind in kinds:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    whole[kind] = buffer.getvalue()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def ends(write, path):
    try:
        write(path)
    except OSError:
        return "raised"
    return f"saved {path.stat().st_size} bytes of"


found = {kind: ends(lambda path: image.save(path, kind), folder / f"a.{kind.lower()}") for kind in kinds}
for kind, how in found.items():
    print(kind, how, len(whole[kind]) if how != "raised" else "")
memory = ends(lambda path: path.write_bytes(whole["JPEG"]), folder / "b.jpeg")
print("JPEG by way of memory", memory)
silent = {kind for kind, how in found.items() if how == "saved 1000 bytes of"}
assert silent == {"JPEG", "TIFF", "BMP"}, found
assert {how for kind, how in found.items() if kind not in silent} == {"raised"} and memory == "raised", found
PY
