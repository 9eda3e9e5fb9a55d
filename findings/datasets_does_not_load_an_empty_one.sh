#!/usr/bin/env bash
# datasets 5.2.0: a data set without rows is saved and cannot be loaded. `save_to_disk` of `select([])`, or of columns
# that are empty, writes dataset_info.json and state.json and no file of rows; `load_from_disk` then fails with
# IndexError. The same data set emptied by `filter` is written with a file, and is loaded.
#
# Seen:
#   select([]): files dataset_info.json state.json; IndexError: list index out of range
#   filter: files data-00000-of-00001.arrow dataset_info.json state.json; 0 rows
# Expected: 0 rows both times.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q datasets==5.2.0
HF_DATASETS_OFFLINE=1 "$folder/venv/bin/python" -W ignore - "$folder" <<'PY'
import os
import sys

import datasets

assert datasets.__version__ == "5.2.0", datasets.__version__
datasets.disable_progress_bars()
whole = datasets.Dataset.from_dict({"a": [1, 2, 3]})


def back(name, data):
    place = f"{sys.argv[1]}/{name}"
    data.save_to_disk(place)
    files = " ".join(sorted(os.listdir(place)))
    try:
        return f"files {files}; {len(datasets.load_from_disk(place))} rows"
    except IndexError as error:
        return f"files {files}; IndexError: {error}"


seen = {"select([])": back("selected", whole.select([])), "filter": back("filtered", whole.filter(lambda row: row["a"] > 5))}
for name, words in seen.items():
    print(f"{name}: {words}")
assert seen == {
    "select([])": "files dataset_info.json state.json; IndexError: list index out of range",
    "filter": "files data-00000-of-00001.arrow dataset_info.json state.json; 0 rows",
}, "another answer"
print("as seen")
PY
