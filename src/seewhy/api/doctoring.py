"""The doctor: takes a model, gives what is the matter with it, what each method makes of it, and what a map costs
here."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

import seewhy.methods  # noqa: F401 - fills the registry
from seewhy.api.asked.plan import Plan
from seewhy.api.asked.request import Request
from seewhy.api.defects import Patient, findings
from seewhy.api.given.images import Item, own_layout
from seewhy.api.listing import LayerInfo, layers
from seewhy.api.planned import run_plan
from seewhy.api.sample_inputs import probes
from seewhy.api.waiting import Progress, watched
from seewhy.core.forward.examination import Examination, examine
from seewhy.core.forward.settings import Settings
from seewhy.core.layers.candidates import CUTS
from seewhy.core.layers.choice import proofs_of
from seewhy.core.layers.stripes import Stripes
from seewhy.core.layers.verdicts import Proof
from seewhy.core.network.borrowed import Network, mode_matters
from seewhy.core.network.foreign import Foreign
from seewhy.core.network.outputs import Outputs
from seewhy.errors import SeewhyError, reason
from seewhy.explanation import Diagnosis, Explanations, GridProof, MethodCheck
from seewhy.explanation.diagnosis import SEVERITIES
from seewhy.models import Model, Preprocess
from seewhy.models.loader import taken
from seewhy.registry import FAMILIES, Method
from seewhy.registry import methods as registry

__all__ = ["diagnose"]

#: a method whose map takes longer is cut short here, and its cost reckoned from how far it came
_SECONDS = 1.0
#: seconds that a first run may take and still be run again
_AGAIN = 5.0
#: channels that have an order of colours
_COLOURS = 3


def diagnose(
    model: Any,
    image: Any = None,
    *,
    methods: Sequence[str] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Diagnosis:
    """What is the matter with a model, in plain words with the fix, and which methods work on it at what cost.

    ``model`` as for `seewhy.explain`. ``image`` is what it is tried on: a photo that comes along unless given, or noise
    where nothing says how a photo becomes the input. ``methods`` are those to try: all unless given, none for ``[]``;
    one that takes more than a second is cut short and its cost reckoned. The defects that are known are listed in
    ``docs/doctor.md``. The model is left as it was.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Softmax(1))
    >>> seewhy.diagnose(net.eval(), torch.rand(3, 8, 8), methods=[]).codes()
    ['no-preprocess']
    """
    wrapped = taken(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a call would warn of is a finding here
        return _diagnosed(wrapped, image, methods, watched(progress))


def _diagnosed(wrapped: Model, image: Any, methods: Sequence[str] | None, progress: Progress) -> Diagnosis:
    network = wrapped.network()
    items = probes(wrapped, image)
    x, other = (network.like(item.tensor[None]) for item in items)
    training = (
        ()
        if network.root is None or isinstance(network.root, Foreign)  # which is told its mode in every call
        else tuple(name for name, part in network.root.named_modules() if part.training and mode_matters(part))
    )
    seen = examine(network, x, other, _top)
    best, why, proof = _chosen(wrapped, network, seen, x)
    patient = Patient(wrapped, network, seen, x, training, None if best is None else best.name, proof)
    problems = sorted(findings(patient), key=lambda finding: SEVERITIES.index(finding.severity))
    checks: list[MethodCheck] = []
    names = [m.name for m in registry if m.card.call == "explain"] if methods is None else list(methods)
    if not seen.failure:
        order = list(FAMILIES)
        chosen = sorted((registry[name] for name in names), key=lambda m: (order.index(m.card.family), m.name))
        for number, method in enumerate(chosen, 1):
            checks.append(_try(wrapped, items[0], method))
            progress("methods", number, len(chosen))
    facts = _facts(patient, checks)
    if network.root is not None and not seen.failure:
        facts["layer for CAMs"] = why or _layer(best, proof, seen)
    return Diagnosis(wrapped.spec or wrapped.name, facts, tuple(problems), tuple(checks), grid=_drawn(best, proof, x))


def _top(outputs: Outputs) -> Tensor:
    """The top class's score, or all of the output where there are no classes."""
    if outputs.found is not None:
        return sum((detections["scores"].sum() for detections in outputs.found), torch.zeros(()))
    logits = outputs.logits
    return logits.amax(1) if logits.ndim == 2 else logits.flatten(1).sum(1)


def _try(model: Model, item: Item, method: Method) -> MethodCheck:
    """Run a method at its defaults. What is done within seconds is timed in a second run: the first one proves grids
    and makes programs, once; a longer one that says how far it is, is cut short a second after it first did."""
    name, family = method.name, method.card.family
    began, words, cut = time.perf_counter(), list[tuple[float, float]](), False

    def watch(what: str, done: int, total: int) -> None:
        nonlocal cut
        now, share = time.perf_counter() - began, done / max(total, 1)
        if words and share < words[-1][1]:  # another stream began
            words.clear()
        words.append((now, share))
        if now - words[0][0] > _SECONDS and words[0][1] < share < 1:
            cut = True
            raise KeyboardInterrupt

    plan = Request(method=name, settings=Settings(progress=watch))
    try:
        explanations = run_plan(Plan.make(model, plan), [item])
        spent = time.perf_counter() - began
        if not cut and spent < _AGAIN:
            began = time.perf_counter()
            explanations = run_plan(Plan.make(model, plan), [item])
            spent = time.perf_counter() - began
    except SeewhyError as error:
        return MethodCheck(name, family, False, str(error))
    except KeyboardInterrupt:
        if not cut:
            raise
        explanations = Explanations([])
    except Exception as error:  # a network may raise anything; which method makes it do so is what is asked
        return MethodCheck(name, family, False, reason(error))
    bad = [answer.status for answer in explanations if answer.status.code in ("zero-gradient", "non-finite")]
    if bad:
        return MethodCheck(name, family, False, str(bad[0]), spent)
    if cut:
        return MethodCheck(name, family, True, "", _reckoned(words), whole=False)
    return MethodCheck(name, family, True, "", spent, explanations.cost.forwards, explanations.cost.backwards)


def _reckoned(words: Sequence[tuple[float, float]]) -> float:
    """Seconds that a whole map takes, of the ``words`` on how far it was, (seconds, share) each: at the pace of the
    second half of them, since chunks grow at first.

    >>> _reckoned([(3.0, 0.01), (3.5, 0.02), (3.6, 0.04), (3.7, 0.06), (3.8, 0.08)])
    5.0
    """
    later = [word for word in words if word[1] >= words[-1][1] / 2]
    (first, low), (last, high) = (later if len(later) > 1 else words)[0], words[-1]
    return round((last - first) / max(high - low, 1e-9), 6)


def _facts(patient: Patient, checks: Sequence[MethodCheck]) -> dict[str, str]:
    """What a newcomer wants to know, in words."""
    model, network, seen = patient.model, patient.network, patient.seen
    works: dict[str, bool] = {check.name: check.works for check in checks}
    facts = {"model": f"{model.name} ({model.spec or 'in hand'})", "weights": model.weights or "unknown"}
    if network.root is not None:
        count = sum(p.numel() for p in network.root.parameters())
        holders = _holders(network.root)
        facts["parameters"] = f"{count:,} in {holders} layer{'s' if holders != 1 else ''}"
    facts["input"] = f"{tuple(patient.x.shape)}, {str(patient.x.dtype).removeprefix('torch.')} on {patient.x.device}"
    facts["preprocessing"] = _preprocessing(model)
    facts["output"] = _output(seen, works)
    facts["activations"] = ", ".join(f"{name} x {n}" for name, n in seen.activations.most_common()) or "none seen"
    if network.root is not None and not seen.failure:
        facts["speed"] = f"{1000 * seen.seconds_forward:.0f} ms forward, {1000 * seen.seconds_backward:.0f} ms backward"
    return facts


def _holders(root: nn.Module) -> int:
    """How many layers hold parameters of their own. Other libraries keep a layer's in parts that are no layers."""
    named = {id(part) for _, part in root.named_modules()}
    known = {id(parameter) for parameter in root.parameters()}

    def holds(part: nn.Module) -> bool:
        # by torch's own functions: those of a network of another library know of its layers alone
        if any(id(parameter) in known for _, parameter in nn.Module.named_parameters(part, recurse=False)):
            return True
        return any(id(inner) not in named and holds(inner) for inner in nn.Module.children(part))

    return sum(holds(part) for _, part in root.named_modules())


def _preprocessing(model: Model) -> str:
    ours = model.preprocess
    if not isinstance(ours, Preprocess):
        return "none" if ours is None else "a function of its own"
    size = "the photo's own size" if ours.size is None else "x".join(map(str, ours.size))
    order = f", {ours.order}" if ours.channels == _COLOURS else ""
    mean, std = (tuple(round(value, 4) for value in channels) for channels in (ours.mean, ours.std))
    return f"{size}, resize {ours.resize} ({ours.mode}, {ours.interpolation}), mean {mean}, std {std}{order}"


def _output(seen: Examination, works: dict[str, bool]) -> str:
    if seen.output is None:
        return "detections" if seen.raw is not None and not seen.failure else "unknown"
    shape = f"{tuple(seen.output.shape)}"
    if seen.output.ndim != 2:
        return shape
    # logits, or shares that add up to one: what the last function was is read off the numbers
    total, low = seen.output.sum(1), float(seen.output.min())
    kind = "probabilities (softmax inside)" if low >= 0 and torch.allclose(total, torch.ones_like(total)) else "scores"
    if kind == "scores" and low >= 0 and float(seen.output.max()) <= 1:
        kind = "values in [0, 1] (sigmoid inside?)"
    head = "" if "cam" not in works else f", head: {'' if works['cam'] else 'not '}pool then linear"
    return f"{shape} {kind}{head}"


def _chosen(model: Model, network: Network, seen: Examination, x: Tensor) -> tuple[LayerInfo | None, str, Proof | None]:
    """The layer that is chosen, or why there is none, and what pictures said of its grid."""
    if network.root is None or seen.failure:
        return None, "", None
    try:
        chosen = next((info for info in layers(model, own_layout(model, x)) if info.chosen), None)
    except SeewhyError as error:
        return None, f"none: {error}", None
    if chosen is None and _cut(seen):
        return None, f"none: torch records no path from the input to the scores ({CUTS}); name one with --layer", None
    if chosen is None:
        return None, "none: no layer with positions is crossed by every path", None
    return chosen, "", proofs_of(network, tuple(x.shape[2:])).get(chosen.name)


def _cut(seen: Examination) -> bool:
    """Whether there are scores, and no recorded way from them to the input."""
    return seen.scored and seen.gradient is None


def _layer(chosen: LayerInfo | None, proof: Proof | None, seen: Examination) -> str:
    """Which layer is chosen, and why."""
    assert chosen is not None
    grid, tokens = "x".join(map(str, chosen.grid or ())), ""
    if proof is not None and proof.layout.tokens and chosen.shape and chosen.channels:
        aside = math.prod(chosen.shape[1:]) // chosen.channels - math.prod(proof.layout.grid)
        tokens = ", tokens" + (f" beside {aside} of no place (class, registers)" if aside else "")
    proved = "" if proof is None else f", its grid {proof.words} (correlation {proof.correlation:.2f})"
    if proof is not None and proof.behind:
        proved += f"; those behind it could not be laid over the picture: {', '.join(proof.behind)}"
    return (
        f"{chosen.name} ({chosen.kind}), {chosen.channels} channels on {grid}{tokens}: the last with several positions"
        f"{'' if _cut(seen) else ' that every path crosses'}{proved}"
    )


def _drawn(chosen: LayerInfo | None, proof: Proof | None, x: Tensor) -> GridProof | None:
    """The proof as a record that can be drawn."""
    if chosen is None or proof is None:
        return None
    stripes, size = Stripes(tuple(x.shape[2:])), tuple(x.shape[2:])
    axes = []
    for axis, answered in zip(proof.digits, proof.pictures, strict=True):
        side = 2.0 * stripes.side(axis, 1) - 1
        changed = side.reshape(-1, *(1 for _ in size[axis + 1 :])).expand(size)
        axes.append((changed.numpy(), answered.numpy()))
    return GridProof(chosen.name, proof.words, proof.correlation, tuple(axes))
