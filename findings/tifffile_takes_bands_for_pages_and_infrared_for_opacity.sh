#!/usr/bin/env bash
# tifffile 2026.3.3: `imwrite(file, array)` of bands [H, W, C], without further words, writes something else for each C.
# Four bands become RGB with the fourth as unassociated alpha: whatever draws the file blends infrared as opacity (Pillow
# opens it as RGBA, and `convert("RGB")` after compositing is another picture). Five and more become H pages of W x C
# grey pixels each: Pillow sees 64 pictures of 13 x 64, of which a loader takes the first. tifffile itself gives the
# array back whole, by a note in the file's description, so that whoever writes and reads with it never learns of it.
#
# Seen, for arrays [64, 64, C] of uint8:
#   4 bands: 1 pages of (64, 64, 4), RGB, extra UNASSALPHA; Pillow: RGBA (64, 64), 1 frames
#   5 bands: 64 pages of (64, 5), MINISBLACK, extra none; Pillow: L (5, 64), 64 frames
#   13 bands: 64 pages of (64, 13), MINISBLACK, extra none; Pillow: L (13, 64), 64 frames
#   13 bands, told: 1 pages of (64, 64, 13), MINISBLACK, extra 12; tifffile reads back all three
# Expected: one page of C samples for every C, or a refusal to guess. photometric="minisblack", planarconfig="contig"
# ("told") writes that.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tifffile==2026.3.3 numpy==2.4.6 pillow==13.0.0
"$folder/venv/bin/python" -W ignore - "$folder" <<'PY'
import sys
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

assert tifffile.__version__ == "2026.3.3", tifffile.__version__
folder = Path(sys.argv[1])


def looked_at(bands, **words):
    array = np.random.default_rng(0).integers(0, 256, (64, 64, bands), dtype=np.uint8)
    file = folder / f"{bands}.tif"
    tifffile.imwrite(file, array, **words)
    assert np.array_equal(tifffile.imread(file), array), "it does not read back what it wrote"
    with tifffile.TiffFile(file) as tiff:
        page, pages = tiff.pages[0], len(tiff.pages)
        extra = len(page.extrasamples) if words else ", ".join(e.name for e in page.extrasamples) or "none"
        return f"{pages} pages of {page.shape}, {page.photometric.name}, extra {extra}"


def opened(bands):
    with Image.open(folder / f"{bands}.tif") as image:
        return f"{image.mode} {image.size}, {getattr(image, 'n_frames', 1)} frames"


seen = {bands: f"{looked_at(bands)}; Pillow: {opened(bands)}" for bands in (4, 5, 13)}
for bands, words in seen.items():
    print(f"{bands} bands: {words}")
told = looked_at(13, photometric="minisblack", planarconfig="contig")
print(f"13 bands, told: {told}")
assert seen == {
    4: "1 pages of (64, 64, 4), RGB, extra UNASSALPHA; Pillow: RGBA (64, 64), 1 frames",
    5: "64 pages of (64, 5), MINISBLACK, extra none; Pillow: L (5, 64), 64 frames",
    13: "64 pages of (64, 13), MINISBLACK, extra none; Pillow: L (13, 64), 64 frames",
}, "another answer"
assert told == "1 pages of (64, 64, 13), MINISBLACK, extra 12", "another answer"
print("as seen")
PY
