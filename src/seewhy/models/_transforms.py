"""Takes a torchvision transform, gives the numbers that describe it; never imports torchvision or runs it."""

from __future__ import annotations

from typing import Any

from seewhy.errors import UsageError

__all__ = ["read_transform"]


def read_transform(transform: Any) -> dict[str, Any]:
    """The fields of a `Preprocess` that a classification preset or an evaluation Compose amounts to.

    Raises `UsageError` for a step without a counterpart, or if no input size follows.
    """
    return _from_preset(transform) if hasattr(transform, "crop_size") else _from_steps(transform)


def _pair(value: Any) -> tuple[int, int]:
    """(n, n) from n or [n], (h, w) from two."""
    values = [value] if isinstance(value, int) else list(value)
    return (int(values[0]), int(values[-1]))


def _resize_rule(value: Any) -> tuple[int | tuple[int, int], str]:
    """torchvision's two meanings: one number is the shorter side, two are an exact box."""
    values = [value] if isinstance(value, int) else list(value)
    return (int(values[0]), "crop") if len(values) == 1 else ((int(values[0]), int(values[1])), "squash")


def _interpolation(value: Any) -> str:
    return str(getattr(value, "value", value))


def _from_preset(preset: Any) -> dict[str, Any]:
    resize, mode = _resize_rule(preset.resize_size)
    return {
        "size": _pair(preset.crop_size),
        "resize": resize,
        "mode": mode,
        "mean": tuple(preset.mean),
        "std": tuple(preset.std),
        "interpolation": _interpolation(preset.interpolation),
    }


def _from_steps(compose: Any) -> dict[str, Any]:
    """Read a list of transforms by the names of their classes."""
    steps = getattr(compose, "transforms", None)
    if not isinstance(steps, list | tuple):
        raise UsageError(f"{type(compose).__name__} is no torchvision preset or Compose; pass it as a callable")
    arguments: dict[str, Any] = {
        "resize": None,
        "size": None,
        "mean": None,
        "interpolation": "bilinear",
        "channels": 3,
    }
    for step in steps:
        kind = type(step).__name__
        if kind == "Resize" and getattr(step, "max_size", None) is None and step.size is not None:
            arguments["resize"], arguments["mode"] = _resize_rule(step.size)
            arguments["interpolation"] = _interpolation(step.interpolation)
        elif kind == "CenterCrop":
            arguments["size"] = _pair(step.size)
        elif kind == "Grayscale" and step.num_output_channels == 1:
            arguments["channels"] = 1
        elif kind == "Normalize":
            arguments["mean"], arguments["std"] = tuple(map(float, step.mean)), tuple(map(float, step.std))
        elif kind not in {
            "ToTensor",
            "MaybeToTensor",
            "PILToTensor",
            "ConvertImageDtype",
            "ToImage",
            "ToDtype",
        }:
            raise UsageError(f"the step {kind} has no counterpart here; pass the Compose as a callable")
    if arguments["size"] is None and isinstance(arguments["resize"], tuple):
        arguments["size"] = arguments["resize"]
    if arguments["size"] is None:
        raise UsageError("the Compose fixes no input size (no CenterCrop); pass it as a callable")
    if arguments["mean"] is None:
        arguments["mean"], arguments["std"] = (0.0,) * arguments["channels"], (1.0,) * arguments["channels"]
    return arguments
