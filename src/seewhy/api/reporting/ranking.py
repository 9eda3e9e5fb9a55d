"""A report of a ranking of methods: takes how they did, gives a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seewhy.api.judging.counting import Standing
from seewhy.api.judging.ranking import Ranking
from seewhy.api.judging.recommending import Recommendation
from seewhy.api.reporting.wording import (
    REPORT,
    Asked,
    chart,
    listed,
    provenance_of,
    settings_in_words,
    share,
    spec_or_name,
    table_of,
)
from seewhy.metrics import Metric
from seewhy.models import Model
from seewhy.reports.page import Badge, Block, Cell, Details, Heading, Number, Page, Points, Section, Words

__all__ = ["page_of"]

#: rows of the table of pairs, and of images
_PAIRS, _IMAGES = 200, 300


def page_of(result: Ranking | Recommendation, asked: Asked, title: str | None = None) -> Page:
    """Who is first by each metric, how sure that is, and what every number was held against."""
    ranking = result if isinstance(result, Ranking) else result.ranking
    verdicts = [f"{name}: {verdict}" for name, verdict in ranking.verdicts.items()]
    count = f"{len(ranking.methods)} methods by {len(ranking.metrics)} metrics on {len(ranking.images)} {ranking.kind}"
    count += f", {ranking.model}."
    lead: list[Block] = [Words(count), Points(verdicts)]
    sections = []
    if isinstance(result, Recommendation):
        lead = [
            Words(f"{result.method}{f' at {result.layer}' if result.layer else ''}: {result.why}."),
            Words(count, note=True),
        ]
        sections.append(Section("Recommendation", _recommended(result)))
    alt = f"Means of {', '.join(ranking.methods)} with their intervals, over the band of random maps"
    blocks: list[Block] = chart(ranking, alt, "Each method's mean and 95 % interval over the band of its random maps")
    for metric in ranking.metrics:
        blocks += _of_metric(ranking, metric)
    sections.append(Section("Methods by metric", blocks))
    if ranking.notes:
        sections.append(Section("What has to be known", listed(ranking.notes)))
    rows = [_image(image, asked.model) for image in ranking.images]
    left: list[Block] = [Heading("Could not be read"), *listed(ranking.failed)] if ranking.failed else []
    sections.append(Section("Images", [*table_of("What the model said of each", rows, _IMAGES), *left]))
    settings = {name: value for name, value in ranking.settings.items() if name not in ("metrics", "parameters")}
    own = (ranking.settings.get("metrics") or {}).items()
    of_metrics = [f"{name}: {settings_in_words(each) or 'none'}" for name, each in own]
    named: list[tuple[str, Cell]] = [
        ("model", ranking.model), ("settings", settings_in_words(settings)),
        ("metrics' settings", "; ".join(of_metrics)),
        ("methods' settings", settings_in_words(ranking.settings.get("parameters") or {})),
    ]  # fmt: skip
    call = "recommend" if isinstance(result, Recommendation) else "evaluate"
    seed = ranking.settings.get("seed", 0)
    python = f"found = seewhy.{call}({spec_or_name(ranking.model)}, photos, {list(ranking.methods)}, seed={seed})"
    made = provenance_of(asked, named, f"{python}\n{REPORT}")
    return Page(title or f"Methods compared: {ranking.model}", lead, sections, made)


def _of_metric(ranking: Ranking, metric: Metric) -> list[Block]:
    card, name = metric.card, metric.name
    badge = Badge(f"{card.better} is better" if card.better else "neither way is better")
    found: list[Block] = [
        Heading(name, [badge]),
        Words(f"{_capital(ranking.verdicts[name])}."),
        Words(f"{card.formula}. {card.paper}. {card.use}".strip(), note=True),
    ]
    found += table_of(
        f"{name}, mean over {ranking.kind} with a 95 % interval (BCa bootstrap); methods that share a letter cannot be "
        "told apart",
        [_standing(row) for row in ranking.standings(name)],
    )
    pairs: list[dict[str, Cell]] = [
        {
            "method": each.one, "other": each.other, "difference": Number(each.mean), "from": Number(each.low),
            "to": Number(each.high), "p": Number(each.p), "corrected p (Holm)": Number(each.corrected),
            "apart": Badge("apart", "good") if each.apart else Badge("not told apart"), "images": Number(each.count),
        }
        for each in ranking.differences(name)
    ]  # fmt: skip
    if pairs:
        found.append(
            Details(
                f"Every pair of methods by {name}",
                table_of(f"Paired differences by {name}, 95 % interval", pairs, _PAIRS),
            )
        )
    return found


def _standing(row: Standing) -> dict[str, Cell]:
    return {
        "method": row.method, "layer": row.layer, "letters": row.group, "mean": Number(row.mean),
        "from": Number(row.low),
        "to": Number(row.high), "random maps": Number(row.random), "their 90 % from": Number(row.band[0]),
        "their 90 % to": Number(row.band[1]), "edge map": Number(row.edge), "centre bump": Number(row.bump),
        "untrained": Number(row.untrained), "mean rank": Number(row.rank), "rank ≤ .05": share(row.beats),
        "p against random (Holm)": Number(row.p), "where sure": Number(row.sure), "in doubt": Number(row.doubtful),
        "images": Number(row.count), "passes a map": Number(row.passes),
    }  # fmt: skip


def _recommended(found: Recommendation) -> list[Block]:
    rows: list[dict[str, Cell]] = [
        {
            "method": row.method, "layer": row.layer, "passes a map": Number(row.passes), "mean": Number(row.mean),
            "from": Number(row.low), "to": Number(row.high), "random maps": Number(row.random),
            "as good as the best": Badge("as good", "good") if row.method in found.near else None,
        }
        for row in found.rows
    ]  # fmt: skip
    blocks = table_of(f"By {found.metric}, the cheapest first", rows)
    same = [f"{name} draws the maps of {other} here" for name, other in found.same.items()]
    blocks += [Points(same)] if same else []
    left: list[dict[str, Cell]] = [{"method": name, "why not": why} for name, why in found.not_tried.items()]
    return [*blocks, Details("Not tried", table_of("Methods that were not tried", left))] if left else blocks


def _image(image: Mapping[str, Any], model: Any) -> dict[str, Cell]:
    sure = image.get("sure")
    said = image.get("said")
    return {
        "image": str(image.get("name", "")), "called": None if said is None else _called(said, model),
        "sure": share(sure, 1), "in doubt": str(image.get("doubt") or ""),
        "without a number": str(image.get("why") or ""),
        "tiles": ", ".join(image.get("tiles") or ()),
    }  # fmt: skip


def _called(index: int, model: Any) -> str:
    """A class by its label, where the model is at hand."""
    return (model.label(index) if isinstance(model, Model) else None) or f"class {index}"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
