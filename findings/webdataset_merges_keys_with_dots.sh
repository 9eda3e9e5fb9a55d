#!/usr/bin/env bash
# webdataset 1.0.2: `TarWriter` takes keys with dots, and `WebDataset` does not read them back. Three samples `scan.0`,
# `scan.1` and `scan.2` become one, `scan`, with `0.png`, `0.cls`, `1.png`... in it, without a word: a key ends at the
# first dot of a name's last part. With a decoder and `to_tuple("png", "cls")` nothing is found; with one that takes
# whatever ends in .png, two of three pictures are lost.
#
# Seen: 3 samples written, 1 read: key 'scan', extensions 0.cls 0.png 1.cls 1.png 2.cls 2.png
# Expected: three samples, or a refusal of such keys by TarWriter.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q webdataset==1.0.2
"$folder/venv/bin/python" -W ignore - "$folder" <<'PY'
import sys

import webdataset as wds

assert wds.__version__ == "1.0.2", wds.__version__
file = sys.argv[1] + "/a.tar"
with wds.TarWriter(file) as writer:
    for n in range(3):
        writer.write({"__key__": f"scan.{n}", "png": bytes([n]), "cls": n})
read = list(wds.WebDataset(file, shardshuffle=False, empty_check=False))
extensions = sorted(key for key in read[0] if not key.startswith("__"))
seen = f"3 samples written, {len(read)} read: key {read[0]['__key__']!r}, extensions {' '.join(extensions)}"
print(seen)
assert seen == "3 samples written, 1 read: key 'scan', extensions 0.cls 0.png 1.cls 1.png 2.cls 2.png", "another answer"
print("as seen")
PY
