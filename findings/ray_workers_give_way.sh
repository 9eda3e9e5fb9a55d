#!/usr/bin/env bash
# ray 2.60.0: workers run at niceness 15 (the setting `worker_niceness`), whatever the driver's own is. On a machine that
# has anything else to do they get a small part of the processor: a network that took 27 s in a plain process took 163 s in
# a worker beside two ordinary ones. RAY_worker_niceness=0 in the environment, before Ray is started, has them run like others.
#
# Seen: niceness of the driver 0, of a worker 15; with RAY_worker_niceness=0 of a worker 0
# Expected: the driver's own.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q ray==2.60.0
cat > "$folder/nice.py" <<'PY'
import os

import ray

assert ray.__version__ == "2.60.0", ray.__version__


@ray.remote
def worker():
    return os.nice(0)


ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
print(f"driver {os.nice(0)}, worker {ray.get(worker.remote())}")
PY
export RAY_USAGE_STATS_ENABLED=0
first=$("$folder/venv/bin/python" "$folder/nice.py" 2> /dev/null)
second=$(RAY_worker_niceness=0 "$folder/venv/bin/python" "$folder/nice.py" 2> /dev/null)
printf '%s\n' "$first" "with RAY_worker_niceness=0: $second"
[ "$first" = "driver 0, worker 15" ] && [ "$second" = "driver 0, worker 0" ] || { echo "another answer"; exit 1; }
echo "as seen"
