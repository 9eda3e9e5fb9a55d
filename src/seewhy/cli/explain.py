"""``seewhy explain`` and ``seewhy compare``: takes photos and a question, gives pictures of the answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seewhy.cli import options as o
from seewhy.cli.console import Bars, bars, quiet_warnings
from seewhy.cli.show import as_json, cost_dict, image_dict, image_lines
from seewhy.errors import ImageError

if TYPE_CHECKING:
    from seewhy.explanation import Explanations

__all__ = ["COMPARED", "compare", "explain"]

#: what ``compare`` shows unless told otherwise: cheap methods that share one forward
COMPARED = (
    "saliency", "guided-backprop", "full-grad", "grad-cam", "grad-cam-pp", "hires-cam", "layer-cam", "guided-grad-cam",
)  # fmt: skip

Methods = Annotated[
    list[str] | None, typer.Option("--method", "-M", help="Method (seewhy methods); repeatable.", show_default=False)
]
Contrast = Annotated[
    str | None, typer.Option(help="Evidence against a class, or top-10: why this and not that (CAMs only).")
]
Fuse = Annotated[str | None, typer.Option(help="One map of several layers: mean or max.")]
Reduce = Annotated[str | None, typer.Option(help="Channels of gradient methods: max-abs, sum, l2, sum-abs, none.")]
Rule = Annotated[str, typer.Option("--backward-rule", help="none, guided or relu at every activation function.")]
Baseline = Annotated[str | None, typer.Option(help="Of path methods: black, white, grey, mean, blur, noise, a number.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="A method's own parameter, NAME=VALUE; repeatable.")]
Format = Annotated[list[str] | None, typer.Option("--format", help="png (default), jpg, svg, npz; repeatable.")]
Picture = Annotated[str, typer.Option(help="figure (photo and overlay, titled), overlay or heatmap.")]
Opacity = Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Of the overlay, 0 to 1.")]
Cmap = Annotated[str | None, typer.Option(help="ember, fern, gray, blue-red, or any of matplotlib's.")]
Contour = Annotated[list[float] | None, typer.Option(help="Draw a line where the map reaches this share; repeatable.")]
Mode = Annotated[str | None, typer.Option(help="alpha (opacity grows with evidence), blend or mask.")]


def explain(
    photos: o.Photos,
    model: o.ModelSpec = "builtin",
    method: Methods = None,
    target: o.Targets = None,
    layer: o.Layers = None,
    contrast: Contrast = None,
    fuse: Fuse = None,
    reduce: Reduce = None,
    backward_rule: Rule = "none",
    baseline: Baseline = None,
    set_: Set = None,
    out: o.Out = Path("seewhy-out"),
    format_: Format = None,
    picture: Picture = "figure",
    opacity: Opacity = None,
    cmap: Cmap = None,
    contour: Contour = None,
    mode: Mode = None,
    weights: o.Weights = "auto",
    trust_pickle: o.TrustPickle = False,
    seed: o.Seed = None,
    device: o.Device = "cpu",
    force: o.Force = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> int:
    """Explain photos: one picture for each photo, method, target and layer.

    [dim]seewhy explain chelsea.png -M grad-cam -M saliency -t "tiger cat"[/dim]
    """
    asked = _asked(method or ["grad-cam"], target, layer, contrast, fuse, reduce, backward_rule, baseline, set_, seed)
    drawing = {"opacity": opacity, "cmap": cmap, "contour": contour or None, "mode": mode, "picture": picture}
    drawing = {name: value for name, value in drawing.items() if value is not None}
    with quiet_warnings(quiet), bars(quiet) as bar:
        run = _Run(photos, model, weights, trust_pickle, device, out, force)
        return run.all(asked, bar, json, lambda found: run.folder.save(found, format_ or ["png"], **drawing))


def compare(
    photos: o.Photos,
    model: o.ModelSpec = "builtin",
    method: Methods = None,
    target: o.Targets = None,
    layer: o.Layers = None,
    contrast: Contrast = None,
    reduce: Reduce = None,
    backward_rule: Rule = "none",
    baseline: Baseline = None,
    set_: Set = None,
    out: o.Out = Path("seewhy-out"),
    weights: o.Weights = "auto",
    trust_pickle: o.TrustPickle = False,
    seed: o.Seed = None,
    device: o.Device = "cpu",
    force: o.Force = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> int:
    """Compare methods on photos: one grid for each photo, every pass shared.

    [dim]seewhy compare chelsea.png -M grad-cam -M layer-cam -M saliency[/dim]
    """
    asked = _asked(
        method or list(COMPARED), target, layer, contrast, None, reduce, backward_rule, baseline, set_, seed
    )

    def one_grid(found: Explanations) -> list[list[Path]]:
        path = run.folder.picture(found.grid(columns=4 if len(found) > 4 else None), f"{found[0].name}_compare")
        return [[path]] * len(found)

    with quiet_warnings(quiet), bars(quiet) as bar:
        run = _Run(photos, model, weights, trust_pickle, device, out, force)
        return run.all(asked, bar, json, one_grid)


def _asked(
    methods: list[str],
    target: list[str] | None,
    layer: list[str] | None,
    contrast: str | None,
    fuse: str | None,
    reduce: str | None,
    rule: str,
    baseline: str | None,
    pairs: list[str] | None,
    seed: int | None,
) -> dict[str, Any]:
    """The question, in the words of `seewhy.explain`."""
    import seewhy.methods  # noqa: F401 - fills the registry
    from seewhy.registry import methods as registry

    parameters = o.settings_of(pairs)
    if seed is not None and any("seed" in registry[name].parameters for name in methods):
        parameters["seed"] = seed
    number = None if baseline is None else o.settings_of([f"baseline={baseline}"])["baseline"]
    return {
        "method": methods,
        "target": target or None,
        "layer": layer or None,
        "contrast": contrast,
        "fuse": fuse,
        "reduce": reduce,
        "backward_rule": rule,
        "baseline": number,
        "parameters": parameters,
    }


class _Run:
    """Photos through a model into a folder."""

    def __init__(
        self, photos: list[str], model: str, weights: str, trust: bool, device: str, out: Path, force: bool
    ) -> None:
        from seewhy.models import load
        from seewhy.report import Folder

        self.photos, self.folder = photos, Folder(out, force=force)
        self.model = load(model, weights=weights, trust_pickle=trust, device=device)

    def all(self, asked: dict[str, Any], bar: Bars, json: bool, save: Any) -> int:
        """Explain, save and tell; gives the exit code."""
        from seewhy.api.photos import explain_photos
        from seewhy.core.engine import Settings
        from seewhy.explanation import Cost

        images: list[dict[str, Any]] = []
        failed: list[dict[str, str]] = []
        total = Cost()
        settings = Settings(progress=bar)
        for n, outcome in enumerate(explain_photos(self.model, self.photos, settings=settings, **asked), 1):
            if outcome.explanations is None:
                failed.append({"image": outcome.path, "reason": outcome.reason})
                typer.echo(f"seewhy: {outcome.reason}", err=True)
            else:
                files = save(outcome.explanations)
                total += outcome.explanations.cost
                images.append(image_dict(outcome.path, outcome.explanations, files))
                if not json:
                    typer.echo("\n".join(image_lines(outcome.path, outcome.explanations, files)))
            if len(self.photos) > 1:
                bar("photos", n, len(self.photos))
        if json:
            spec = self.model.spec or self.model.name
            as_json({"model": spec, "images": images, "failed": failed, "cost": cost_dict(total)})
        if failed:
            return 1 if images else ImageError.exit_code
        return 0
