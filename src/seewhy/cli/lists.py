"""``seewhy layers``, ``labels`` and ``methods``: takes a model or nothing, gives tables of what
there is to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from seewhy.cli import options as o
from seewhy.cli.bundles import ModelOptions, bundled
from seewhy.cli.console import complain, quiet_warnings
from seewhy.cli.show import as_json
from seewhy.cli.tables import console, table

if TYPE_CHECKING:
    from seewhy.registry import Method

__all__ = ["labels", "layers", "methods"]


@bundled
def layers(
    *,
    source: ModelOptions,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> int:
    """List a model's layers: name, kind, output shape, grid; * marks the one chosen for CAMs.

    [dim]seewhy layers --model torchvision:resnet50 --weights random[/dim]
    """
    from seewhy.api.listing import layers as list_layers

    with quiet_warnings(quiet):
        listed = list_layers(source.load())
    if json:
        as_json({"model": source.model, "layers": [asdict(layer) for layer in listed]})
        return 0
    shown = table("", "name", "kind", "output", "grid", "parameters")
    shown.columns[1].overflow = "fold"  # a name that is cut cannot be typed
    shown.columns[-1].justify = "right"
    for layer in listed:
        shape = "did not run" if layer.shape is None else "×".join(map(str, layer.shape[1:]))
        grid = "" if not layer.grid else "×".join(map(str, layer.grid))
        mark = "*" if layer.chosen else ""
        shown.add_row(mark, escape(layer.name), escape(layer.kind), shape, grid, f"{layer.parameters:,}")
    console().print(shown)
    if not quiet:
        complain("* is chosen for class activation maps; choose another: seewhy explain PHOTO --layer NAME")
    return 0


@bundled
def labels(
    search: Annotated[
        str, typer.Argument(metavar="TEXT", help="Show only labels that contain this.", show_default=False)
    ] = "",
    *,
    source: ModelOptions,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> int:
    """List a model's class labels with their numbers.

    [dim]seewhy labels cat[/dim]
    """
    from seewhy.errors import UsageError

    with quiet_warnings(quiet):
        loaded = source.load()
    if loaded.labels is None:
        raise UsageError(f"{source.model} has no class labels; give targets as numbers, e.g. --target 3")
    matching = [(n, text) for n, text in enumerate(loaded.labels) if search.lower() in text.lower()]
    if json:
        as_json({"model": source.model, "labels": [{"index": n, "label": text} for n, text in matching]})
        return 0
    for n, text in matching:
        typer.echo(f"{n:5d}  {text}")
    if not matching and not quiet:
        complain(
            f"none of the {len(loaded.labels)} labels contains {search!r}; "
            f"all of them: seewhy labels --model {source.model}"
        )
    return 0


def methods(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Show one method's card in full.", show_default=False)
    ] = "",
    family: Annotated[
        str | None,
        typer.Option(metavar="FAMILY", help="gradient, cam, perturbation, propagation, attention or inside."),
    ] = None,
    long: Annotated[bool, typer.Option("--long", help="What each costs, needs and fails at, and its paper.")] = False,
    json: o.Json = False,
) -> int:
    """List the methods, a line each, and which to use when; with --long what each costs and needs and where it fails.
    With a NAME, its card.

    [dim]seewhy methods grad-cam[/dim]
    """
    import seewhy.methods  # noqa: F401 - fills the registry
    from seewhy.errors import UnknownName
    from seewhy.registry import FAMILIES
    from seewhy.registry import methods as registry

    if family is not None and family not in FAMILIES:
        raise UnknownName("family", family, FAMILIES, "seewhy methods", f" (there are {', '.join(FAMILIES)})")
    with quiet_warnings(False):  # other packages are loaded here, and may fail
        chosen = [registry[name]] if name else [m for m in registry if family in (None, m.card.family)]
    if json:
        as_json({"methods": [_entry(m, registry.package(m.name)) for m in chosen], "guide": _guide_entries()})
    elif name:
        _card(chosen[0], registry.package(name))
    else:
        _families(chosen, long=long)
        if family is None:
            _guide()
        if not long:
            complain("costs, needs, where it fails, its paper: seewhy methods NAME, or --long for all of them")
    return 0


def _entry(method: Method, package: str) -> dict[str, Any]:
    return {**method.told(), "package": package}


#: columns that what a method is for has at least
_LEAST = 20

#: narrower than this, a table of six columns is no table
_WIDE = 160


def _families(chosen: Sequence[Method], *, long: bool) -> None:
    """A line for each method, by family; in the ``long`` form a table on a wide terminal, elsewhere a paragraph."""
    from seewhy.registry import FAMILIES

    out = console()
    wide = out.is_terminal and out.width >= _WIDE
    name = max(len(method.name) for method in chosen)
    for family, words in FAMILIES.items():
        members = [method for method in chosen if method.card.family == family]
        if not members:
            continue
        out.print(Text.assemble((family, "bold"), f"  {words}"))
        if long:
            out.print(_rows(members) if wide else _paragraphs(members))
        for method in () if long else members:
            use = shorten(method.card.use, max(out.width - name - 4, _LEAST), placeholder=" …")
            out.print(Text.assemble(f"  {method.name:{name}}  ", (use, "dim")), no_wrap=True)
        out.print()


def _rows(chosen: Sequence[Method]) -> Table:
    shown = table("name", "use it for", "cost", "needs", "beware", "paper")
    shown.columns[0].no_wrap = True
    for column in shown.columns[1:]:
        column.overflow = "fold"  # a word that is too long is broken, never cut
    for method in chosen:
        card = method.card
        cells = card.use, card.cost, ", ".join(sorted(card.needs)), "; ".join(card.caveats), card.paper
        shown.add_row(method.name, *(escape(text) for text in cells))
    return shown


def _paragraphs(chosen: Sequence[Method]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    for method in chosen:
        card = method.card
        lines = [card.use, f"costs {card.cost}; needs {', '.join(sorted(card.needs))}"]
        lines += [f"beware: {'; '.join(card.caveats)}"] * bool(card.caveats) + [card.paper]
        grid.add_row(Text(method.name, style="bold"), Text("\n".join(lines)))
    return grid


def _guide() -> None:
    out = console()
    out.print(Text("Which one?", style="bold"))
    grid = Table.grid(padding=(0, 2))
    for question, names, why in _guide_entries(plain=False):
        grid.add_row(Text(question), Text(", ".join(names), style="bold"), Text(why))
    out.print(grid)


def _guide_entries(plain: bool = True) -> list[Any]:
    from seewhy.methods._guide import GUIDE

    return [advice._asdict() for advice in GUIDE] if plain else list(GUIDE)


def _card(method: Method, package: str) -> None:
    card = method.card
    rows = {
        "does": method.summary,
        "formula": card.formula,
        "paper": card.paper,
        "family": card.family,
        "package": package,
        "needs": ", ".join(sorted(card.needs)),
        "cost": card.cost,
        "made by": "" if card.call == "explain" else f"seewhy {card.call}",
        "parameters": ", ".join(f"{key}={value!r}" for key, value in method.parameters.items()) or "none of its own",
        "use it for": card.use,
        "adds up to": card.sums,
        "leaves out": card.cuts,
        "beware": "; ".join(card.caveats),
    }
    grid = Table.grid(padding=(0, 2))
    for title, text in rows.items():
        if text:
            grid.add_row(Text(title, style="bold"), Text(text))
    out = console()
    out.print(Text(method.name, style="bold"), grid, sep="\n")
