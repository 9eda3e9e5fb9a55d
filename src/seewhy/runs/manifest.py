"""The manifest of a run: takes everything that decides its bytes, gives a file that says so, and in words what another
run of the same place would change."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from seewhy.errors import StoreError, UsageError, one_line
from seewhy.explanation.plain import plain
from seewhy.runs.store import Store

__all__ = ["FILE", "Manifest"]

FILE = "manifest.json"

#: what files of this kind look like; another number is another kind
FORMAT = 2

#: how much of two values that differ is said
_SAID = 80


@dataclass(frozen=True)
class Manifest:
    """What decides every byte of a run.

    ``asked`` (model, methods, parameters, preprocessing, listing, versions...) has to be equal for whoever goes on with
    the run; ``taken`` (threads, pieces, the steps that programs were measured to need) is measured once and taken over.
    ``count`` entries are done ``unit`` at a time.
    """

    count: int
    unit: int
    asked: Mapping[str, Any] = field(default_factory=dict)
    taken: Mapping[str, Any] = field(default_factory=dict)

    @property
    def units(self) -> int:
        """How many units there are."""
        return -(-self.count // self.unit)

    def bounds(self, number: int) -> tuple[int, int]:
        """The first entry of a unit, and the one behind its last."""
        return number * self.unit, min((number + 1) * self.unit, self.count)

    def begin(self, store: Store) -> Manifest:
        """Write it where there is none yet; gives the one that counts, this or an earlier run's.

        Raises `UsageError` for an earlier run that was asked something else, with what differs.
        """
        document = {"format": FORMAT, "count": self.count, "unit": self.unit, "asked": self.asked, "taken": self.taken}
        if store.create(FILE, (json.dumps(plain(document), indent=1, sort_keys=True) + "\n").encode()):
            return Manifest.of(store)
        earlier = Manifest.of(store)
        self.check(earlier, store.place)
        return earlier

    def check(self, earlier: Manifest, place: str, first: str = "") -> None:
        """Raise `UsageError` where what is asked now is not what ``earlier`` was asked; ``first`` says which is the
        first picture that is another one."""
        mine = {"count": self.count, "unit": self.unit, **plain(self.asked)}
        theirs = {"count": earlier.count, "unit": earlier.unit, **earlier.asked}
        differing = list(_differing(mine, theirs))
        if differing:
            differing = [f"{one}: {first}" if first and one.startswith("pictures ") else one for one in differing]
            more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
            raise UsageError(
                f"{place} holds another run: {'; '.join(differing[:3])}{more}. Ask the same to go on with it, or name "
                "another folder with --out"
            )

    @classmethod
    def of(cls, store: Store) -> Manifest:
        """That of the run in a store. Raises `StoreError` where there is none, or a damaged one."""
        if store.size(FILE) < 0:
            raise StoreError(f"no run in {store.place}: there is no {FILE}. seewhy run makes one")
        try:
            read = json.loads(store.read(FILE))
            if read["format"] != FORMAT:
                raise StoreError(f"the run in {store.place} has format {read['format']}; this version reads {FORMAT}")
            return cls(int(read["count"]), int(read["unit"]), dict(read["asked"]), dict(read["taken"]))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"the {FILE} in {store.place} is damaged: {one_line(error, _SAID)}") from error


def _differing(mine: Mapping[str, Any], theirs: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """In words what is not the same."""
    for name in dict.fromkeys([*mine, *theirs]):
        new, old = mine.get(name), theirs.get(name)
        said = f"{where}{name}"
        if isinstance(new, Mapping) and isinstance(old, Mapping):
            yield from _differing(new, old, f"{said}.")
        elif new != old:
            yield f"{said} was {one_line(old, _SAID)}, is {one_line(new, _SAID)}"
