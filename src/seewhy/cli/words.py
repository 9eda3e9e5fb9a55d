"""Words to values: takes what was typed, gives the arguments of `seewhy.explain` and of its pictures; checks them
early.

A mistake in a word is found here, before a model is loaded or a pass is run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from seewhy.cli.pairs import settings_of, value_of
from seewhy.errors import UnknownName, UsageError, nearest

if TYPE_CHECKING:
    from seewhy.api.asked.noise import Noise
    from seewhy.api.asked.request import Request
    from seewhy.cli.bundles import DrawingOptions, QuestionOptions

__all__ = ["PICTURES", "drawing_of", "request_of"]

PICTURES = ("figure", "overlay", "heatmap", "relief")
_SCALES = ("each", "shared")
#: what may be typed for ``--width`` and ``--dpi``
_WIDTHS, _DPI = (16, 20_000), (10, 4800)
#: options that are arguments of a request, under the same names; of ``_VALUES`` a number may be typed
_VALUES = ("baseline", "fill", "segments")
_ASKED = ("target", "layer", "contrast", "reduce", "backward_rule", *_VALUES)


def request_of(methods: Sequence[str], typed: QuestionOptions, fuse: str | None = None) -> Request:
    """What is asked, of the words typed; what is said twice counts once.

    Raises `UnknownName` for a method, and `UsageError` for a value, or a word that ``prepare`` cannot be.
    """
    import seewhy.methods  # noqa: F401 - fills the registry
    from seewhy.api.asked.request import Request
    from seewhy.core.forward.settings import Settings, when
    from seewhy.registry import methods as registry

    names = list(dict.fromkeys(name.strip() for word in methods for name in word.split(",")))
    defaults = {key: value for name in names for key, value in registry[name].parameters.items()}
    parameters = settings_of(typed.pairs or [], defaults)
    if typed.seed is not None and "seed" in defaults:
        parameters["seed"] = typed.seed
    settings = Settings(prepare=when(typed.prepare))
    asked = {name: _once(getattr(typed, name)) for name in _ASKED}
    values = {name: None if asked[name] is None else value_of(asked[name]) for name in _VALUES}
    return Request(
        method=names, fuse=fuse, parameters=parameters, settings=settings, noise=_noise(typed.noise), **asked | values
    )


def _noise(typed: str | None) -> Noise | None:
    """``squared,n=16,sigma=0.1`` as what is asked of noise."""
    from seewhy.api.asked.noise import Noise

    if typed is None:
        return None
    words = [word.strip() for word in typed.split(",")]
    statistic: dict[str, Any] = {} if "=" in words[0] else {"statistic": words.pop(0)}
    defaults = {setting.name: setting.default for setting in fields(Noise) if setting.name != "statistic"}
    given = settings_of(words, defaults, option="--noise")
    for name in given:
        if name not in defaults:
            raise UnknownName("setting of --noise", name, defaults, f"one of {', '.join(defaults)}")
    return Noise(**statistic, **given)


def _once(typed: Any) -> Any:
    return (list(dict.fromkeys(typed)) if isinstance(typed, list) else typed) or None


def drawing_of(picture: str, formats: Sequence[str] | None, typed: DrawingOptions) -> tuple[list[str], dict[str, Any]]:
    """The formats, and the arguments of `Explanation.save`, checked; what is None or empty was not asked for."""
    from seewhy.render import ENLARGEMENTS, MODES, colormap
    from seewhy.reports import FORMATS

    asked_for = (word.strip() for form in formats or ["png"] for word in form.split(","))
    kinds = list(dict.fromkeys(word.lower().lstrip(".") for word in asked_for))
    for kind, known, asked in (("format", FORMATS, kinds), ("picture", PICTURES, [picture])):
        for word in asked:
            _known(f"--{kind} {word}", word, known)
    given = {name: value for name, value in vars(typed).items() if value is not None and value != []}
    for name, words in (("mode", MODES), ("enlarge", ENLARGEMENTS), ("scale", _SCALES)):
        if name in given:
            _known(f"--{name} {given[name]}", given[name], words)
    for name, (least, most) in (("width", _WIDTHS), ("dpi", _DPI)):
        if not least <= given.get(name, least) <= most:
            raise UsageError(f"--{name} {given[name]:g}: from {least} to {most}")
    if "cmap" in given:
        _check_colormap(given["cmap"], colormap)
    if not 0 <= given.get("opacity", 0) <= 1:
        raise UsageError(f"--opacity {given['opacity']:g}: 0 shows the photo alone, 1 the map alone; nothing is beyond")
    for level in given.get("contour", []):
        if not 0 < level < 1:
            raise UsageError(f"--contour {level:g}: a share of the map's maximum, between 0 and 1, as in --contour 0.5")
    for name in ("opacity", "contour", "mode"):
        if picture in ("heatmap", "relief") and name in given:
            raise UsageError(f"--{name} is about the photo under the map; --picture {picture} has none: use overlay")
    for name in ("cmap", "enlarge", "scale"):
        if picture == "relief" and name in given:
            raise UsageError(f"--{name} is about a map in a colormap's colours; a relief has red, green and blue")
    return kinds, {"picture": picture} | given


def _known(typed: str, asked: str, known: Sequence[str]) -> None:
    if asked not in known:
        close = nearest(asked, known)
        hint = f"nearest: {close[0]!r}; " if close else ""
        raise UsageError(f"{typed}: no such thing; {hint}one of {', '.join(known)}")


def _check_colormap(name: str, find: Any) -> None:
    try:
        find(name)
    except UnknownName as error:
        # the list is Python's to print; say how from a shell
        listing = 'python -c "import matplotlib; print(*matplotlib.colormaps)"'
        own = "ember, fern, gray and blue-red are seewhy's own"
        raise UsageError(f"{str(error).partition('. List them')[0]}. {own}; for others: {listing}") from None
