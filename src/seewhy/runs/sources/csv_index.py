"""Tables of text: takes a CSV or TSV file, gives a row for each line, one after the other; never the whole table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn

from seewhy.errors import UnknownName, UsageError, reason
from seewhy.runs.sources.listed_files import ListedFiles, Row
from seewhy.runs.sources.names import FILES, GROUPS, LABELS, column_of, is_picture, suffix_of
from seewhy.runs.sources.place import Place

__all__ = ["ROLES", "CsvIndex", "find_columns"]

#: what columns may be named for, and what such columns are called where nobody names them
ROLES = {"image": FILES, "label": LABELS, "group": GROUPS}


#: letters of the first line that are looked at for what stands between cells
_LINE = 1 << 16


class CsvIndex(ListedFiles):
    """Pictures that a CSV or TSV file names: a header with the names of columns, or lines of ``file`` or
    ``file,label``."""

    kind = "csv"

    def __init__(
        self, spec: str, file: Place, root: Place, columns: Mapping[str, str], *, tells_unlisted: bool = False
    ) -> None:
        super().__init__(spec, file, root)
        self._columns, self.tells_unlisted = dict(columns), tells_unlisted

    def rows(self) -> Iterator[Row]:
        """All rows, read anew. Raises `UsageError` for a table that is none."""
        try:
            with self._file.open() as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
                yield from self._read(text)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UsageError(f"cannot read the table {self.spec!r}: {reason(error)}") from error

    def _read(self, text: io.TextIOWrapper) -> Iterator[Row]:
        start = text.readline(_LINE)
        text.seek(0)
        lines = csv.reader(text, delimiter=_delimiter(self._file.name, start))
        first = next(lines, None)
        if first is None:
            return
        at, headed = self._places(first)
        image, label, group = (at.get(role) for role in ROLES)
        assert image is not None
        needed = max(n for n in (image, label, group) if n is not None)
        if not headed:
            yield self._row(first, 1, image, label, group)
        for cells in lines:
            if len(cells) <= needed:
                if not cells:
                    continue
                self._too_short(cells, lines.line_num, needed)
            yield self._row(cells, lines.line_num, image, label, group)

    def _row(self, cells: Sequence[str], number: int, image: int, label: int | None, group: int | None) -> Row:
        name = "" if label is None else cells[label].strip()
        return Row(number, cells[image].strip(), (name,) if name else (), "" if group is None else cells[group].strip())

    def _places(self, first: Sequence[str]) -> tuple[dict[str, int], bool]:
        """The columns by what they are for, and whether the first line is a header."""
        if not self._columns and column_of(first, FILES) is None and is_picture(first[0].strip() if first else ""):
            return {"image": 0, "label": 1} if len(first) > 1 else {"image": 0}, False
        return find_columns(self.spec, [cell.strip() for cell in first], self._columns), True

    def _too_short(self, cells: Sequence[str], number: int, needed: int) -> NoReturn:
        raise UsageError(
            f"{self.spec!r}, line {number}: {','.join(cells)!r:.100} has {len(cells)} cells, and "
            f"column {needed + 1} is needed"
        )


def find_columns(spec: str, header: Sequence[str], asked: Mapping[str, str]) -> dict[str, int]:
    """Where the columns of a header are, by what they are for: ``image``, and ``label`` and ``group`` where there are.

    Raises `UnknownName` for one that was asked for, `UsageError` where none is a column of pictures.
    """
    found: dict[str, int] = {}
    for role, known in ROLES.items():
        if role in asked:
            if asked[role] not in header:
                raise UnknownName("column", asked[role], header, ", ".join(header)[:200], f" in {spec!r}")
            found[role] = list(header).index(asked[role])
        elif (at := column_of(header, known)) is not None and at not in found.values():
            found[role] = at
    if "image" not in found:
        raise UsageError(
            f"{spec!r} has no column of pictures: it has {', '.join(map(repr, header))[:200]}; name one, "
            f"image={header[0] if header else 'COLUMN'!s:.50}"
        )
    return found


def _delimiter(name: str, line: str) -> str:
    """What stands between cells: a tab in TSV files; else what the first line has, since spreadsheets of many countries
    write semicolons."""
    if suffix_of(name) == ".tsv":
        return "\t"
    return "," if "," in line else next((sign for sign in (";", "\t") if sign in line), ",")
