"""``python -m tools.captum_tests CHECKOUT``: runs the tests of a checkout of github.com/pytorch/captum with seewhy
answering every call that can be said in its words; says which pass, and checks that those that do not are the ones
that ``docs/moving-over.md`` names."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

#: tests whose answers differ, as docs/moving-over.md says
DIFFERENCES = {
    "test_guided_grad_cam.py::Test::test_simple_input_conv": "Grad-CAM is laid over the picture bilinearly",
    "test_lime.py::*": "Lime is a ridge regression, not a Lasso",
    "test_layer_conductance.py::*": "conductance is integrated in the activation, by trapezoids",
    "test_internal_influence.py::*with_baseline*": "weights of trapezoids sum to 1",
    "test_integrated_gradients_basic.py::Test::test_batched_input_smoothgrad_sq": "weights of trapezoids sum to 1",
    "test_layer_gradient_shap.py::*": "the path of a layer runs in the layer",
    "test_layer_integrated_gradients.py::Test::test_multiple_layers_multiple_input_outputs": "rounding, 2e-6 for 1e-7",
    "test_lrp.py::Test::test_lrp_maxpool1D": "max pooling has a rule",
    "test_lrp.py::Test::test_lrp_multi_inputs": "sums of inputs share relevance",
    "test_lrp.py::Test::test_lrp_simple2_attributions": "a network gives a row for each image",
    "*::test_lrp_repeated_module": "modules may run several times",
    "*::test_reusable_modules": "modules may run several times",
    "test_deeplift_classification.py::*softmax*": "what a softmax does to the rest is in the residual",
    "*::test_error_perturbations_per_eval_limit_batch_scalar": "one answer for a batch is asked for by name, axes=",
}
#: what language models, data parallel and hub downloads need is not here
_LEFT_OUT = "*llm*"


def main() -> int:
    """Run, count, compare."""
    words = argparse.ArgumentParser(prog="python -m tools.captum_tests", description=__doc__)
    words.add_argument("checkout", type=Path, help="a checkout of github.com/pytorch/captum")
    words.add_argument("--only", nargs="*", default=["tests/attr", "tests/metrics"], metavar="PATH")
    asked = words.parse_args()
    if not (asked.checkout / "captum" / "attr").is_dir():
        words.error(f"{asked.checkout} holds no captum/attr; give a checkout of github.com/pytorch/captum")
    with tempfile.TemporaryDirectory() as folder:
        answers = Path(folder) / "answers.jsonl"
        here = Path(__file__).resolve().parents[2]
        command = [sys.executable, "-m", "pytest", *asked.only, f"--ignore-glob={_LEFT_OUT}", "-q", "-W", "ignore"]
        command += ["-p", "tools.captum_tests.plugin", "-p", "no:cacheprovider", "--tb=line", "--no-header"]
        path = os.pathsep.join(map(str, (asked.checkout.resolve(), here, here / "src")))
        env = os.environ | {"SEEWHY_ANSWERS": str(answers), "PYTHONPATH": path}
        subprocess.run(command, cwd=asked.checkout, env=env, check=False)
        if not answers.exists():
            return 1
        return _report([json.loads(line) for line in answers.read_text().splitlines()])


def _report(rows: list[dict[str, Any]]) -> int:
    ours = [row for row in rows if row["ours"]]
    bad = {row["test"] for row in ours if row["failed"]}
    named = {test: why for test in bad for known, why in DIFFERENCES.items() if fnmatch(test, f"*{known}")}
    theirs = Counter(why.partition(": ")[2] for row in rows for why in row["theirs"])
    mixed = sum(bool(row["theirs"]) for row in ours)
    print(f"\n{len(rows)} tests; {len(ours)} of them answered by seewhy ({mixed} in part): {len(ours) - len(bad)} pass")
    for test, why in sorted(named.items()):
        print(f"differs as docs/moving-over.md says: {test} ({why})")
    for test in sorted(bad - named.keys()):
        print(f"FAILED, and no difference that is named: {test}")
    print("answered by Captum itself:")
    for why, count in theirs.most_common():
        print(f"  {count:4d}  {why}")
    return 1 if bad - named.keys() else 0


if __name__ == "__main__":
    raise SystemExit(main())
