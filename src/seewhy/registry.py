"""Cards and the table that holds them: takes declarations, gives look-up by name; never computes anything."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from seewhy.errors import UsageError
from seewhy.html import Rows, pairs
from seewhy.tables import Registry

__all__ = [
    "ARGUMENTS",
    "FAMILIES",
    "FORWARD_ONLY",
    "KINDS",
    "PROPERTIES",
    "REDUCTIONS",
    "Card",
    "Method",
    "Need",
    "Registry",
    "cards",
    "method",
    "methods",
    "registered_by",
]

#: the kinds of method, and what each looks at
FAMILIES = {
    "gradient": "how the score changes with every value of the input or of a layer",
    "cam": "which places of a layer speak for a class",
    "perturbation": "how the score changes when parts of the image are hidden; any function will do",
    "propagation": "how the score is shared out backwards, layer by layer",
    "attention": "what the tokens of a vision transformer look at",
    "adversarial": "the small change of the pixels that changes the answer most",
    "inside": "what layers, channels and filters show, whatever is explained",
}
#: how an input gradient's channels become one number a pixel
REDUCTIONS = ("max-abs", "sum", "l2", "sum-abs", "none")
#: what the values of a map can count
KINDS = {
    "attribution": "shares of the score, signed: amounts can be compared and added up",
    "sensitivity": "how much the score changes with each place, whichever way",
    "localisation": "where the evidence for the target is: more is more, and amounts are nobody's",
}
#: what a sound map does, by name: `seewhy.conformance` has networks that check it, and a card may except it, with a
#: reason
PROPERTIES = {
    "proportion": "parts that add up in the score have evidence in that proportion, and nothing else has any",
    "interaction": "parts that only work together all have evidence",
    "redundancy": "parts of which one would do all have evidence",
    "saturation": "what made the score has evidence where more of it would change nothing",
    "hidden-gradient": "what made the score has evidence though the gradient is 0 on the way",
    "shattering": "kinks of the function that cancel out do not change the evidence",
    "sign": "what speaks against the target has evidence of the other sign, or none",
    "cancellation": "what speaks for and against has evidence though it adds up to nothing",
    "contrast": "a cue counts the same bright on dark and dark on bright",
    "class": "the map of a class has what speaks for that class, not for another one",
    "blindness": "what the network does not look at has no evidence",
    "pointing": "the one part that decides has the most evidence",
    "translation": "a shifted picture has a shifted map",
    "input-shift": "a constant added to the pictures, and taken off in the network, changes no map",
    "implementation": "the same function in another graph has the same map",
}


class Need(StrEnum):
    """What a method asks of a model; a model that lacks one is refused before any computing."""

    INPUT = "input"
    ACTIVATION = "activation"
    GRADIENT = "gradient"
    INPUT_GRADIENT = "input gradient"
    LOGITS = "logits"
    SCORE = "score"
    BASELINE = "baseline"
    FILL = "fill"
    SEGMENTS = "segments"
    BOUNDS = "input bounds"
    REFERENCES = "reference images"
    WEIGHTS = "layer weights"
    RULE = "backward rule"
    HEAD = "pool-then-linear head"
    BIASES = "bias terms"
    STREAM = "many passes"
    CURVATURE = "second derivatives"
    RELEVANCE = "relevance rules"
    ATTENTION = "attention weights"


class Argument(NamedTuple):
    """What a formula may take by name: the ``need`` that it stands for, and ``what`` it is.

    What is ``supplied`` is made by the caller for the batch (`seewhy.api.asked.supplies`), the rest is read off the
    forward; where ``call`` is a card's, only formulas of that command are handed it.
    """

    need: Need
    what: str
    supplied: bool = False
    call: str = ""


#: everything that a formula may be handed, by the name of its argument
ARGUMENTS = {
    "input": Argument(Need.INPUT, "the preprocessed input, [B, C, *size]"),
    "spread": Argument(
        Need.INPUT,
        "the largest minus the smallest value of each input, [B, 1...]; of several, [B, 1, N]",
        supplied=True,
    ),
    "activation": Argument(Need.ACTIVATION, "what the layer gives, [B, C, *positions]"),
    "gradient": Argument(Need.GRADIENT, "d score / d activation or input, as large as that"),
    "logits": Argument(Need.LOGITS, "the scores before a final softmax, [B, K]"),
    "score": Argument(Need.SCORE, "the target's value, [B]"),
    "baseline": Argument(Need.BASELINE, "the reference input of path methods, [B, C, *size]", supplied=True),
    "fill": Argument(Need.FILL, "what takes the place of what is hidden: a `Fill`", supplied=True),
    "segments": Argument(Need.SEGMENTS, "pieces hidden together, numbers from 0, [B, *size]", supplied=True),
    "regions": Argument(Need.SEGMENTS, "the same, on several scales, [B, n, *size]", supplied=True),
    "bounds": Argument(Need.BOUNDS, "the smallest and the largest input, two of [B, C, 1...]", supplied=True),
    "references": Argument(Need.REFERENCES, "other inputs, [N, C, *size], or None", supplied=True),
    "weights": Argument(Need.WEIGHTS, "a convolution's kernels, [O, I, kh, kw]", call="filters"),
}

#: what any function from a batch to scores can serve
FORWARD_ONLY = frozenset({Need.STREAM, *(argument.need for argument in ARGUMENTS.values() if not argument.call)}) - {
    Need.ACTIVATION,
    Need.GRADIENT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a method declares about itself; the CLI table, the docs and the tests' parameters come from it.

    ``name`` is the registry key, the command line's word and (with underscores) the file. ``family`` is
    one of `FAMILIES`. ``at`` says where it explains: ``"input"`` only, at a ``"layer"``, or ``"any"`` place,
    the input unless a layer is given; it follows from the family where left out (``any`` for gradients, ``layer`` for
    CAMs). ``needs`` is completed from the formula's own arguments. ``reduce`` is the default channel reduction of
    values that have channels; None for maps that have none. ``discriminative`` maps differ between classes and can be
    asked for in contrast. ``positive`` maps are drawn with their negative part cut off unless asked otherwise.
    ``fill`` is what a perturbation method hides things behind unless told otherwise. ``by_layer`` methods explain not a
    class but the mean of each layer, one map a layer. ``sums`` says what the values add up to, ``cuts`` what the
    formula leaves out on the way, so that a map can be 0 everywhere though the score does change: a map's status is
    computed from what is promised here. ``excepts`` says which of `PROPERTIES` the formula breaks, each with the
    reason. ``unit`` is what the values are counted in, in which ``{score}`` stands for the score's unit and
    ``{place}`` for input or layer; nothing for numbers without one. ``call`` is the command that runs it,
    ``function`` what Python calls that where it is not called as the formula. ``differentiable`` maps can carry a
    graph.
    """

    name: str
    family: str
    paper: str
    formula: str
    cost: str
    needs: frozenset[Need] = frozenset()
    at: str = ""
    reduce: str | None = None
    rule: str = "none"
    discriminative: bool = True
    positive: bool = False
    several_layers: bool = False
    by_layer: bool = False
    sums: str = ""
    cuts: str = ""
    excepts: Mapping[str, str] = field(default_factory=dict, hash=False)
    unit: str = ""
    fill: str = "grey"
    call: str = "explain"
    function: str = ""
    differentiable: bool = True
    use: str = ""
    caveats: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        named = [(part.name, getattr(self, part.name)) for part in fields(self)]
        words = {"caveats": "; ".join(self.caveats), "excepts": "; ".join(map(": ".join, self.excepts.items()))}
        return pairs((name, words.get(name, value)) for name, value in named)

    @property
    def kind(self) -> str:
        """Which of `KINDS` the values are, by their unit: sensitivities are counted in score per unit of the place,
        attributions in the score itself, and what is counted in anything else says where."""
        if "per unit" in self.unit:
            return "sensitivity"
        return "attribution" if self.unit == "{score}" else "localisation"


@dataclass(frozen=True, slots=True)
class Method:
    """A registered method: its card, its formula, and the parameters that the formula takes."""

    card: Card
    formula: Callable[..., Any]
    parameters: Mapping[str, Any]
    requires: tuple[str, ...]
    summary: str

    @property
    def name(self) -> str:
        """The registry key."""
        return self.card.name

    def told(self) -> dict[str, Any]:
        """Card, parameters with their defaults, and the first line of what it does, as JSON has it."""
        card = asdict(self.card)
        return {
            **card, "needs": sorted(self.card.needs), "parameters": dict(self.parameters), "summary": self.summary,
        }  # fmt: skip


#: every method, filled when ``seewhy.methods`` is imported, and by other packages when it is first read
methods: Registry[Method] = Registry("method", "seewhy methods")

#: of a table of cards
_COLUMNS = {
    "method": "name", "family": "family", "explains": "at", "use it for": "use", "cost": "cost", "formula": "formula",
    "source": "paper",
}  # fmt: skip


def cards(family: str | None = None) -> list[Card]:
    """The cards of all methods, or of one family, by name; a notebook shows them as a table."""
    return Rows((method.card for method in methods if family in (None, method.card.family)), _COLUMNS)


F = TypeVar("F", bound=Callable[..., Any])


def method(card: Card) -> Callable[[F], F]:
    """Register a formula under ``card``; gives the formula back unchanged.

    Positional arguments are what the engine hands over (`ARGUMENTS`); keyword-only arguments are the user's parameters
    and need defaults. A formula that needs more than one look at the model is a generator: it yields what it asks (see
    `seewhy.core.asks`) and receives the answers. Raises `UsageError` for an argument that nobody can fill, a parameter
    without a default, a family or a reduction that does not exist, and a name that is taken.
    """

    known = [name for name, argument in ARGUMENTS.items() if argument.call in ("", card.call)]

    def register(formula: F) -> F:
        requires, parameters = [], {}
        for name, parameter in inspect.signature(formula).parameters.items():
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                if parameter.default is inspect.Parameter.empty:
                    raise UsageError(f"method {card.name!r}: parameter {name!r} needs a default")
                parameters[name] = parameter.default
            elif name in known:
                requires.append(name)
            else:
                raise UsageError(f"method {card.name!r}: nothing fills argument {name!r}; known: {', '.join(known)}")
        if card.family not in FAMILIES:
            raise UsageError(f"method {card.name!r}: no family {card.family!r}; known: {', '.join(FAMILIES)}")
        if card.reduce is not None and card.reduce not in REDUCTIONS:
            raise UsageError(f"method {card.name!r}: no reduction {card.reduce!r}; known: {', '.join(REDUCTIONS)}")
        needs = card.needs | {ARGUMENTS[name].need for name in requires}
        if card.rule != "none":
            needs |= {Need.RULE}
        for name in card.excepts:
            if name not in PROPERTIES:
                raise UsageError(f"method {card.name!r}: no property {name!r}; known: {', '.join(PROPERTIES)}")
        at = card.at or ("layer" if card.family == "cam" else "any")
        summary = (inspect.getdoc(formula) or "").split("\n", 1)[0]
        methods.add(Method(replace(card, needs=needs, at=at), formula, parameters, tuple(requires), summary))
        return formula

    return register


def registered_by(module: Any) -> list[Method]:
    """The methods that a package has registered when ``module``, which its entry point names, was imported.

    Raises `UsageError` for what is no module, and for one whose package registers none.
    """
    if not isinstance(module, ModuleType):
        raise UsageError(f"it names a {type(module).__name__}, where a module is needed whose import registers methods")
    top = module.__name__.partition(".")[0]
    registered = [
        candidate for candidate in methods.entered() if str(candidate.formula.__module__).partition(".")[0] == top
    ]
    if not registered:
        raise UsageError(f"{module.__name__} registers no method: decorate a formula with seewhy.extend.method")
    return registered
