"""``seewhy metrics``: takes nothing or a name, gives the metrics of maps that there are, with their cards."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from seewhy.cli import options as o
from seewhy.cli.show import as_json
from seewhy.cli.tables import console

if TYPE_CHECKING:
    from seewhy.metrics import Metric

__all__ = ["metrics"]


def metrics(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Show one metric's card in full.", show_default=False)
    ] = "",
    json: o.Json = False,
) -> int:
    """List the metrics of maps, a line each: which way is better, and what it tells. With a NAME, its card.

    [dim]seewhy metrics srg[/dim]
    """
    from seewhy.metrics import metrics as registry

    chosen = [registry[name]] if name else list(registry)
    if json:
        as_json({"metrics": [{**asdict(each.card), "parameters": dict(each.parameters)} for each in chosen]})
        return 0
    out, grid = console(), Table.grid(padding=(0, 2))
    if name:
        out.print(Text(name, style="bold"))
        for title, text in _rows(chosen[0]).items():
            grid.add_row(Text(title, style="bold"), Text(text))
    else:
        for each in chosen:
            better = f"{each.card.better} is better" if each.card.better else "neither way"
            grid.add_row(Text(each.name, style="bold"), Text(better), Text(each.card.use, style="dim"))
    out.print(grid)
    return 0


def _rows(metric: Metric) -> dict[str, Any]:
    card = metric.card
    rows = {
        "does": metric.summary,
        "formula": card.formula,
        "paper": card.paper,
        "better": card.better or "neither way alone",
        "range": card.range,
        "cost": card.cost,
        "called": f"seewhy.metrics.{metric.name.replace('-', '_')}({', '.join(metric.takes)})",
        "parameters": ", ".join(f"{key}={value!r}" for key, value in metric.parameters.items()) or "none of its own",
        "use it for": card.use,
        "fooled by": "; ".join(card.fooled),
    }
    return {title: text for title, text in rows.items() if text}
