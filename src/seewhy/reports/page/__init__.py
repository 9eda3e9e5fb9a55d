"""Takes what a page is made of, as plain blocks, gives one HTML file that refers to nothing outside itself; knows no
model and loads no torch."""

from __future__ import annotations

from seewhy.reports.page.blocks import (
    Badge,
    Block,
    Cell,
    Code,
    Details,
    Figure,
    Figures,
    Heading,
    Link,
    Number,
    Page,
    Pairs,
    Points,
    Scale,
    Section,
    Table,
    Words,
)
from seewhy.reports.page.pictures import LARGEST, held
from seewhy.reports.page.writing import LEAST, LIMIT, html_of

__all__ = [
    "LARGEST",
    "LEAST",
    "LIMIT",
    "Badge",
    "Block",
    "Cell",
    "Code",
    "Details",
    "Figure",
    "Figures",
    "Heading",
    "Link",
    "Number",
    "Page",
    "Pairs",
    "Points",
    "Scale",
    "Section",
    "Table",
    "Words",
    "held",
    "html_of",
]
