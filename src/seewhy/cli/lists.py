"""``seewhy layers``, ``labels`` and ``methods``: takes a model or nothing, gives tables of what there is to choose from."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seewhy.cli import options as o
from seewhy.cli.console import quiet_warnings
from seewhy.cli.show import as_json

__all__ = ["labels", "layers", "methods"]


def _print(table: Table) -> None:
    console = Console()
    # off a terminal nothing is cut to a width that nobody asked for
    console.print(table, width=None if console.is_terminal else 200)


def layers(
    model: o.ModelSpec = "builtin",
    weights: o.Weights = "auto",
    trust_pickle: o.TrustPickle = False,
    json: o.Json = False,
) -> int:
    """List a model's layers: name, kind, output shape, grid; the one chosen for CAMs is marked."""
    from seewhy.api.listing import layers as list_layers
    from seewhy.models import load

    with quiet_warnings(json):
        found = list_layers(load(model, weights=weights, trust_pickle=trust_pickle))
    if json:
        as_json({"model": model, "layers": [asdict(layer) for layer in found]})
        return 0
    table = Table(title=f"layers of {escape(model)}", caption="* chosen for class activation maps")
    for column in ("", "name", "kind", "output", "grid", "parameters"):
        table.add_column(column)
    for layer in found:
        shape = "did not run" if layer.shape is None else "×".join(map(str, layer.shape[1:]))
        grid = "" if not layer.grid else "×".join(map(str, layer.grid))
        mark = "*" if layer.chosen else ""
        table.add_row(mark, escape(layer.name), layer.kind, shape, grid, f"{layer.parameters:,}")
    _print(table)
    return 0


def labels(
    model: o.ModelSpec = "builtin",
    search: Annotated[str, typer.Argument(help="Show only labels that contain this.")] = "",
    weights: o.Weights = "auto",
    trust_pickle: o.TrustPickle = False,
    json: o.Json = False,
) -> int:
    """List a model's class labels."""
    from seewhy.errors import UsageError
    from seewhy.models import load

    loaded = load(model, weights=weights, trust_pickle=trust_pickle)
    if loaded.labels is None:
        raise UsageError(f"{model} has no class labels; give targets as numbers, e.g. --target 3")
    found = [(n, text) for n, text in enumerate(loaded.labels) if search.lower() in text.lower()]
    if json:
        as_json({"model": model, "labels": [{"index": n, "label": text} for n, text in found]})
        return 0
    for n, text in found:
        typer.echo(f"{n:5d}  {text}")
    return 0


def methods(
    name: Annotated[str, typer.Argument(help="Show one method's card in full.")] = "",
    family: Annotated[str | None, typer.Option(help="gradient or cam.")] = None,
    json: o.Json = False,
) -> int:
    """List the methods with what each is for and costs; with a NAME, its whole card."""
    import seewhy.methods  # noqa: F401 - fills the registry
    from seewhy.errors import UnknownName
    from seewhy.registry import methods as registry

    families = sorted({method.card.family for method in registry})
    if family is not None and family not in families:
        raise UnknownName("family", family, families, "seewhy methods")
    chosen = [registry[name]] if name else [m for m in registry if family in (None, m.card.family)]
    if json:
        cards = [{**asdict(m.card), "needs": sorted(m.card.needs), "parameters": dict(m.parameters)} for m in chosen]
        as_json({"methods": cards})
        return 0
    if name:
        card, parameters = chosen[0].card, chosen[0].parameters
        rows = {
            "": chosen[0].summary,
            "formula": card.formula,
            "paper": card.paper,
            "family": card.family,
            "needs": ", ".join(sorted(card.needs)),
            "cost": card.cost,
            "parameters": ", ".join(f"{key}={value!r}" for key, value in parameters.items()) or "none of its own",
            "use it for": card.use,
            "beware": "; ".join(card.caveats),
        }
        typer.echo(name)
        for title, text in rows.items():
            if text:
                typer.echo(f"  {title + ': ' if title else ''}{text}")
        return 0
    table = Table(title="methods", caption="seewhy methods NAME shows formula, paper, parameters and what to beware of")
    for column in ("name", "family", "cost", "use it for"):
        table.add_column(column, no_wrap=column == "name")
    for method in chosen:
        table.add_row(method.name, method.card.family, method.card.cost, method.card.use)
    _print(table)
    return 0
