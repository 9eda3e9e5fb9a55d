"""What another package needs to add methods and model loaders: names of the rooms below, and nothing of its own.

A method is a formula under a `Card`. Its positional arguments are what it takes, by name (`ARGUMENTS` says which names
there are, with their shapes); its keyword-only arguments are the user's parameters, with defaults. It gives values
[B, *positions], or [B, C, *positions] where its card has a ``reduce``, as large as the place that it explains::

    @method(Card(name="square-gradient", family="gradient", paper="...", formula="g^2", cost="1 forward, 1 backward"))
    def square_gradient(gradient: Tensor) -> Tensor:
        return gradient.square().sum(1)

>>> from seewhy.extend import ARGUMENTS
>>> ARGUMENTS["logits"].what
'the scores before a final softmax, [B, K]'

A package announces the module whose import registers its methods, and the `Scheme` of its models, as entry points::

    [project.entry-points."seewhy.methods"]
    square-gradient = "my_package.square_gradient"

    [project.entry-points."seewhy.models"]
    mine = "my_package.loading:SCHEME"

They are loaded when a method or a model is first looked up. What fails, or takes a name that is taken, is left out
with a warning. ``SEEWHY_EXTENSIONS``, where the environment has it, names the packages that are let in (commas
between).

**What a formula declares.** ``Card``, ``Need``; ``FAMILIES``, ``REDUCTIONS``, ``PROPERTIES`` and ``ARGUMENTS`` (each
an ``Argument``) are the words that cards and formulas may use. ``method`` registers. ``seewhy conformance`` runs what a
package adds as well.

**What a generator may ask.** It yields one ask, or a tuple of them, and receives the answer, or a tuple of answers. B
is the number of images, C of channels. ``Ask`` is any of them. A card names those that its formula's arguments do not
show in ``needs``.

=====================  ==============================================================================
``Input()``            the preprocessed input, [B, C, *size]
``Supplied(name)``     what the caller prepared: ``baseline`` [B, C, *size], ``fill`` a ``Fill``...
``Targets()``          what is explained: a tuple of B ``Target``
``Activation(place)``  what a layer gives, [B, C, *positions]; without a place, where it explains
``Gradient(place)``    d score / d activation, [B, C, *positions], under a backward rule
``HessianProduct()``   the Hessian of the score times the activation, [B, C, *positions]
``Score()``            the target's value, [B]
``Logits()``           the scores before a final softmax, [B, K]
``HeadWeights()``      the weights behind a pooled head, [B, C]; None or `CapabilityError` for others
``Attention()``        every block's attention: ``AttentionMaps``, of [B, heads, N, N] each
``AttentionAt(layer)`` one layer's attention: a ``LayerAttention``, of [B, heads, N, N]
``Relevance(rules)``   relevance under a ``Composite``: a ``Flow``, with values [B, C, *positions]
``Multipliers()``      DeepLIFT's, against the baseline or one of many: a ``Lift``, of [B, C, *positions]
``Here()``             the name of the method's own place
``BiasMaps()``         gradient times bias of every layer that has one: a list of [B, *positions] or [B]
``Stream(...)``        many variants of each image, reduced: what its fold's ``result()`` gives
``Progress(...)``      tells how far a long run is; None
=====================  ==============================================================================

``INPUT`` is the place of the input. ``Interrupted`` is thrown into a generator that waits when the user interrupts. A
formula that knows more than values (errors, notes, what they are to sum to) returns an ``Attribution``.

**What a stream is made of.** A ``Source`` makes the variants, inputs [m, C, *size] or edited activations, chunk by
chunk: ``ChangedInput`` and ``EditedLayer`` by a function, ``MaskedInput`` by masks [m, 1, *size], ``StraightPath``
and ``PlacesOnPath`` on the way from a baseline, ``GaussianNoise``. A ``Fold`` reduces the answers: ``Collect`` keeps
scores [B, count], ``Gather`` everything [B, count, ...], ``WeightedSum`` the sum [B, ...]. Folds that know when they
have seen enough are an ``Estimator`` and give an ``Estimate``: ``Means`` and ``Variances`` [B, ...], ``Pairs`` of
antithetic samples; ``sampled`` runs one until it has (``rounds`` are where it looks), ``student`` widens the errors
of few samples.

**What helps.** ``noise``: draws that depend on the image and a seed alone. ``upsample`` and ``upsample_sum`` bring
maps [B, C, *positions] to the size of the input, ``per_image`` shapes [B] to combine with [B, ...]. ``missed`` is the
share of a sum that is missing, ``percent`` says a share in words. ``find_composite``, ``excitation`` and
``LinearCall`` make rules of relevance. ``targets`` are what can be explained.

**What a loader is.** A ``Scheme``: a function from a ``ModelRequest`` to a ``Model``, with a ``Preprocess`` where
pictures are to become inputs. ``untrained`` builds with the same random weights every time, ``load_weights`` fills a
module from a file without running its code.

**What to raise.** ``UsageError`` for invalid values, ``UnknownName`` for names, ``CapabilityError`` for
models that cannot do what is asked, ``ModelError`` for those that cannot be loaded; one line each: what was asked,
what was found, the nearest valid thing, what to type.
"""

from __future__ import annotations

import seewhy.methods  # noqa: F401 - seewhy's own come first: a name of theirs cannot be taken
from seewhy.core import targets
from seewhy.core.asks import (
    Activation,
    Ask,
    Attention,
    AttentionAt,
    Attribution,
    BiasMaps,
    Fold,
    Gradient,
    HeadWeights,
    Here,
    HessianProduct,
    Input,
    Interrupted,
    Logits,
    Multipliers,
    Progress,
    Relevance,
    Score,
    Source,
    Stream,
    Supplied,
    Targets,
)
from seewhy.core.forward.attention import AttentionMaps, LayerAttention
from seewhy.core.forward.propagation import Flow, Lift
from seewhy.core.network.places import INPUT
from seewhy.core.percentages import missed, percent
from seewhy.core.perturb import noise
from seewhy.core.perturb.estimators import Estimate, Estimator, Means, Pairs, Variances, rounds, student
from seewhy.core.perturb.fills import Fill
from seewhy.core.perturb.folds import Collect, Gather, WeightedSum, per_image
from seewhy.core.perturb.resampling import upsample, upsample_sum
from seewhy.core.perturb.sources import (
    ChangedInput,
    EditedLayer,
    GaussianNoise,
    MaskedInput,
    PlacesOnPath,
    StraightPath,
)
from seewhy.core.relevance.composites import Composite, LinearCall, excitation, find_composite
from seewhy.core.targets import Target
from seewhy.errors import CapabilityError, ModelError, UnknownName, UsageError
from seewhy.methods._sampling import sampled
from seewhy.models import Model, Preprocess
from seewhy.models._scheme import ModelRequest, Scheme, untrained
from seewhy.models.weights import load_weights
from seewhy.registry import ARGUMENTS, FAMILIES, PROPERTIES, REDUCTIONS, Argument, Card, Need, method

__all__ = [
    "ARGUMENTS",
    "FAMILIES",
    "INPUT",
    "PROPERTIES",
    "REDUCTIONS",
    "Activation",
    "Argument",
    "Ask",
    "Attention",
    "AttentionAt",
    "AttentionMaps",
    "Attribution",
    "BiasMaps",
    "CapabilityError",
    "Card",
    "ChangedInput",
    "Collect",
    "Composite",
    "EditedLayer",
    "Estimate",
    "Estimator",
    "Fill",
    "Flow",
    "Fold",
    "Gather",
    "GaussianNoise",
    "Gradient",
    "HeadWeights",
    "Here",
    "HessianProduct",
    "Input",
    "Interrupted",
    "LayerAttention",
    "Lift",
    "LinearCall",
    "Logits",
    "MaskedInput",
    "Means",
    "Model",
    "ModelError",
    "ModelRequest",
    "Multipliers",
    "Need",
    "Pairs",
    "PlacesOnPath",
    "Preprocess",
    "Progress",
    "Relevance",
    "Scheme",
    "Score",
    "Source",
    "StraightPath",
    "Stream",
    "Supplied",
    "Target",
    "Targets",
    "UnknownName",
    "UsageError",
    "Variances",
    "WeightedSum",
    "excitation",
    "find_composite",
    "load_weights",
    "method",
    "missed",
    "noise",
    "per_image",
    "percent",
    "rounds",
    "sampled",
    "student",
    "targets",
    "untrained",
    "upsample",
    "upsample_sum",
]
