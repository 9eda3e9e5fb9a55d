"""Options that several commands take together: takes a command with bundles for parameters, gives it with their options
instead; parses none of them."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from seewhy.cli import options as o
from seewhy.cli.console import quiet_warnings
from seewhy.cli.photo_input import InputOptions
from seewhy.cli.process import loaded
from seewhy.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from seewhy.models import Model

__all__ = [
    "DataOptions",
    "DrawingOptions",
    "ModelOptions",
    "OutputOptions",
    "PhotoOptions",
    "QuestionOptions",
    "bundled",
]


@dataclass(frozen=True)
class QuestionOptions:
    """What is asked about a photo, beside the methods."""

    target: o.Targets = None
    layer: o.Layers = None
    contrast: o.Contrast = None
    reduce: o.Reduce = None
    backward_rule: o.Backward = "none"
    baseline: o.Baseline = None
    fill: o.Fill = None
    segments: o.Segments = None
    noise: o.Noise = None
    pairs: o.Set = None
    seed: o.Seed = None
    prepare: o.Prepare = "auto"


@dataclass(frozen=True)
class DrawingOptions:
    """How a map is laid over its photo."""

    opacity: o.Opacity = None
    cmap: o.Cmap = None
    contour: o.Contour = None
    mode: o.Mode = None
    width: o.Width = None
    dpi: o.Dpi = None
    enlarge: o.Enlarge = None
    scale: o.Scale = None


@dataclass(frozen=True)
class ModelOptions(InputOptions):
    """The model, and how a photo becomes its input, as typed."""

    model: o.ModelSpec = "builtin"
    weights: o.Weights = "auto"
    weights_part: o.WeightsPart = None
    arg: o.Arguments = None
    labels: o.LabelFile = None
    save_model: o.SaveModel = None
    trust_pickle: o.TrustPickle = False
    device: o.Device = "cpu"

    def load(self) -> Model:
        """The model itself; saved under a name, if that was asked for, once all of it was found to work."""
        from seewhy.cli.pairs import settings_of
        from seewhy.cli.saved_models import check, recalled, remember
        from seewhy.models import load

        if self.save_model is not None:
            check(self.save_model)
        _check_model(self.model)
        typed = recalled(self)
        try:
            model = load(
                typed.model,
                weights=typed.weights,
                weights_part=typed.weights_part or "",
                arguments=settings_of(typed.arg or [], {}, option="--arg"),
                trust_pickle=typed.trust_pickle,
                labels=typed.labels,
                preprocess=typed.preprocess,
                device=typed.device,
            )
        except UnknownName as error:
            if not typed.model.isidentifier():
                raise
            raise UsageError(f"{error}; nor is a model saved as {typed.model!r} here (--save-model)") from error
        model = typed.applied(model)
        if typed.weights not in ("auto", "random") and model.weights != f"file {typed.weights}":
            warnings.warn(f"weights are of {model.weights}", UserWarning, stacklevel=2)
        if typed.save_model is not None:
            remember(typed)
        loaded()
        return model


def _check_model(typed: str) -> None:
    """Tell a method from a model; raises `UsageError`."""
    import seewhy.methods  # noqa: F401 - fills the registry
    from seewhy.registry import methods

    if typed in methods:
        raise UsageError(f"{typed!r} is a method, and -m (--model) a network: write --method {typed}, or -M {typed}")


@dataclass(frozen=True)
class PhotoOptions:
    """Which photos, and which of them anew."""

    frames: o.Frames = None
    skip_existing: o.SkipExisting = False


@dataclass(frozen=True)
class DataOptions:
    """What a source of pictures is told, beside where it is."""

    column: o.Column = None
    table: o.Table = None
    images: o.ImagesFolder = None

    @property
    def told(self) -> dict[str, Any]:
        """The same as functions take it. Raises `UsageError`."""
        pairs = [word.partition("=") for word in self.column or []]
        for what, equals, name in pairs:
            if not (equals and what and name):
                raise UsageError(f"--column {what}: what it holds and its name, as in --column image=file")
        columns = {what: name for what, _, name in pairs} or None
        return {"columns": columns, "table": self.table, "images": self.images}

    def refuse_any(self, option: str) -> None:
        """Raise `UsageError` for what only means something with another ``option``."""
        for name, value in vars(self).items():
            if value is not None:
                raise UsageError(f"--{name} tells of a data set, which {option} takes: write {option} as well")


@dataclass(frozen=True)
class OutputOptions:
    """Where files and words go."""

    out: o.Out = Path("seewhy-out")
    force: o.Force = False
    json: o.Json = False
    quiet: o.Quiet = False


def bundled(command: Callable[..., int]) -> Callable[..., int]:
    """``command`` with every parameter that is one of the classes above replaced by that class's fields.

    typer reads options off a signature: this writes the signature, so that an option is stated once for all commands.
    """
    hints = get_type_hints(command, include_extras=True)
    hints.pop("return")
    bundles = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    parameters = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name not in bundles:
            parameters.append(parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=hints[name]))
            continue
        own = get_type_hints(bundles[name], include_extras=True)
        parameters += [
            inspect.Parameter(
                option.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if option.default is MISSING else option.default,
                annotation=own[option.name],
            )
            for option in fields(bundles[name])
        ]

    @wraps(command)
    def flat(**typed: Any) -> int:
        quiet = typed.get("quiet", False)
        given = {
            name: kind(**{option.name: typed.pop(option.name) for option in fields(kind)})  # type: ignore[operator]
            for name, kind in bundles.items()
        }
        with quiet_warnings(quiet):  # other packages are loaded, and may fail, wherever a method is first looked up
            return command(**typed, **given)

    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return flat
