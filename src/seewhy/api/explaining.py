"""Explaining: takes a model, images, methods, targets and layers, gives explanations, with trust cards where they are
asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from seewhy.api.asked.noise import Noise, noise_of
from seewhy.api.asked.one_or_all import all_of, one, refuse_several
from seewhy.api.asked.plan import Plan
from seewhy.api.asked.request import Request
from seewhy.api.asked.several_inputs import given_to
from seewhy.api.given.images import Item
from seewhy.api.planned import run_plan
from seewhy.api.waiting import watched
from seewhy.core.forward.settings import Settings, when
from seewhy.core.network.layouts import Reshape
from seewhy.errors import UsageError
from seewhy.explanation import Explanation, Explanations
from seewhy.models import Model
from seewhy.models.loader import taken

__all__ = ["Progress", "explain", "explain_all", "explained"]

Progress = Callable[[str, int, int], None]


def explained(plan: Plan, items: Sequence[Item], *, partial: bool = False) -> Explanations:
    """``items`` explained as planned, each map with its card where that was asked for."""
    if not plan.request.trust:
        return run_plan(plan, items, partial=partial)
    from seewhy.api.trusting.cards import explained_with_trust  # metrics and their controls, which nobody else needs

    return explained_with_trust(plan, items, partial=partial)


@one(Explanation)
def explain(
    model: Model | nn.Module | Callable[[Tensor], Any] | str,
    image: Any,
    method: str | Sequence[str] = "grad-cam",
    target: Any = None,
    layer: str | nn.Module | Sequence[str | nn.Module] | None = None,
    *,
    contrast: int | str | None = None,
    fuse: str | None = None,
    reduce: str | None = None,
    backward_rule: str = "none",
    baseline: Any = None,
    fill: Any = None,
    segments: Any = None,
    references: Any = None,
    bounds: Any = None,
    noise: Noise | str | None = None,
    reshape: Reshape | None = None,
    differentiable: bool = False,
    prepare: bool | str = "auto",
    memory: int | None = None,
    trust: bool = False,
    cache: bool = True,
    progress: Progress | None = None,
    **parameters: Any,
) -> Callable[[bool], Explanations]:
    """Why a model decided what it did: one image, method, target and layer give one `Explanation`. `explain_all` takes
    several of any, and gives all.

    ``model``: a `Model` from `seewhy.load` or `seewhy.wrap`, a module, a callable, or a spec such as ``"builtin"``.
    ``image``: a path, PIL image or uint8 array [H, W, 3] (preprocessed by the model), or a float array or tensor
    [C, H, W] or [B, C, H, W] (already preprocessed, in the model's own layout); a sequence of any, for several. A NIfTI
    file and a folder of DICOM slices are volumes, for networks that take them.
    ``method``: names from `seewhy.methods`. ``target``: an index, a label, a `Target`, any callable from the model's
    output to one scalar per sample, ``"all"``, ``"present"``, ``"top-3"``, or None for each image's top class; for
    several images a list gives each its own. ``layer``: dotted names or submodules (``name#k`` for the k-th call);
    None lets the library choose for CAMs and means the input for gradient methods.

    ``contrast`` (a class, or ``"top-10"``) subtracts the strongest competing evidence at each place: "why this and
    not that". ``fuse`` (``"mean"``, ``"max"``) makes one map of several layers. ``reduce`` (``"max-abs"``, ``"sum"``,
    ``"l2"``, ``"sum-abs"``, ``"none"``) takes the channels of gradient methods together. ``backward_rule``
    (``"none"``, ``"guided"``, ``"relu"``) applies to every rectifier in the backward pass. ``baseline`` is the
    reference of path methods, ``fill`` what perturbation methods put in place of what they hide (``"grey"``,
    ``"mean"``, ``"blur"``, ``"inpaint"``, ``"noise"``, ``"black"``, ``"white"``, a number or a tensor), ``segments``
    the pieces that they hide together (``"slic"``, ``"grid"``, a number of superpixels, an integer array [H, W], or a
    function), ``references`` the other images that expected gradients compare with, ``bounds`` the smallest and the
    largest input there can be, ``(low, high)`` in input units, each a number or one for every channel, for LRP's z-box
    rule, XRAI and expected gradients (left out, what black and white come to). ``noise`` (``"smooth"``,
    ``"squared"``, ``"variance"``, or a `Noise` with numbers) makes each map a statistic of its maps at noisy copies of
    the image, with a standard error. ``reshape`` turns a raw
    activation into [B, C, H, W] for token layouts nobody foresaw. An interruption (Ctrl-C) gives what is there: maps
    that were done, and what sampling methods have so far, with status ``unfinished``. ``differentiable=True`` gives
    ``.tensor`` with a graph. ``prepare`` says whether an exported,
    faster form of the network may stand for it: ``"auto"`` once its passes have taken longer than preparing would,
    ``True`` at once, ``"verify"`` at once and compared in every call, ``False`` never, bit for bit the model itself.
    ``memory`` is the budget for passes in bytes. ``trust=True`` gives each map a card, `Explanation.trust`: how far to
    believe it, measured against controls in some hundred forwards more (``docs/trust.md``); the tests that a method
    passes or fails on a model are done once and kept in a file, unless ``cache=False``. Further ``parameters`` are the
    methods' own (``steps=50``, ``n=64``, ``seed=1``).

    Values are signed, in the target's units per unit of the place, float32 (float64 for float64 models). The model,
    its hooks, flags, gradients and random state are left as they were. Methods, layers and targets share their
    passes.

    Raises `UnknownName` for a name that does not exist, `UsageError` and its kin for what is invalid,
    `ImageError`, `ModelError`, `OutOfMemory`.

    >>> import torch, seewhy
    >>> from torch.nn import Conv2d, Flatten, Linear, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), Flatten(), Linear(144, 2))
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="grad-cam", layer="1", target=1).values.shape
    (6, 6)
    """
    if reshape is not None and not callable(reshape):
        raise UsageError(
            f"reshape={reshape!r} is no function; it takes what the layer gives and returns [B, C, *positions], as "
            "lambda a: a[:, 1:].transpose(1, 2).unflatten(2, (14, 14)) does of tokens"
        )
    request = Request(
        method=method,
        target=target,
        layer=layer,
        contrast=contrast,
        fuse=fuse,
        reduce=reduce,
        backward_rule=backward_rule,
        baseline=baseline,
        fill=fill,
        segments=segments,
        references=references,
        bounds=bounds,
        noise=noise_of(noise),
        trust=trust,
        cache=cache,
        parameters=parameters,
        settings=Settings(reshape, differentiable, memory, when(prepare), watched(progress)),
    )

    def explanations(only: bool) -> Explanations:
        wrapped = taken(model)
        given, items, asked = given_to(wrapped, image, request)
        plan = Plan.make(given, asked, len(items))
        if only:
            refuse_several("explain", "explanation", plan.several(len(items)))
        return explained(plan, items, partial=True)

    return explanations


explain_all = all_of(
    explain,
    Explanations,
    """Everything that is asked, with every pass shared: `Explanations`, image by image, then method, layer and target.

    The arguments are those of `explain`; ``image``, ``method``, ``target`` and ``layer`` may be several.

    >>> import torch, seewhy
    >>> from torch.nn import Conv2d, Flatten, Linear, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), Flatten(), Linear(144, 2))
    >>> maps = seewhy.explain_all(net, torch.rand(3, 3, 8, 8), ["saliency", "grad-cam"], target="all")
    >>> len(maps), len(maps.where(method="saliency", target=1))
    (12, 3)
    """,
)
