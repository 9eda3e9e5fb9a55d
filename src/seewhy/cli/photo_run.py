"""One run: takes photos, a model and what is asked of each, gives files, words on stdout and an exit code; computes
nothing itself. The same command goes on where one that was ended stopped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import typer

from seewhy.cli.bundles import ModelOptions, OutputOptions, PhotoOptions
from seewhy.cli.console import KEPT, Bars, bars, complain, quiet_warnings
from seewhy.cli.option_words import in_options
from seewhy.cli.reporting import PhotoReport
from seewhy.cli.show import as_json, cost_dict
from seewhy.errors import ImageError, UsageError

if TYPE_CHECKING:
    from PIL import Image

    from seewhy.api.given.images import Item
    from seewhy.api.given.photos import Answered
    from seewhy.api.given.sources import Source
    from seewhy.explanation import Cost
    from seewhy.models import Model
    from seewhy.reports import Folder

__all__ = ["INTERRUPTED", "Answer", "Asking", "run"]

#: what a shell expects of a program that Ctrl-C ended
INTERRUPTED = 130


class Answer(Protocol):
    """What was found of one photo."""

    @property
    def cost(self) -> Cost:
        """What it took."""

    @property
    def interrupted(self) -> bool:
        """Whether it is a part of what was asked."""

    def save(self, folder: Folder) -> Sequence[Path]:
        """Write its files."""

    def document(self, name: str) -> dict[str, Any]:
        """What JSON says of it, with the files that were saved."""

    def lines(self, name: str) -> list[str]:
        """The same for people."""

    def strip(self) -> Image.Image | None:
        """A small picture, for a contact sheet."""


@dataclass(frozen=True)
class Asking:
    """What is asked of every photo: ``ask`` takes the model and whom to tell how far it is, raises what is wrong with
    the question, and gives what finds the answer for a photo's inputs; ``told`` is everything besides the model and the
    photo that files depend on; ``done`` is how a photo that has its answer is spoken of."""

    ask: Callable[[Model, Bars], Callable[[list[Item]], Answer]]
    told: Mapping[str, Any]
    done: str


def run(
    photos: Sequence[str],
    given: PhotoOptions,
    source: ModelOptions,
    output: OutputOptions,
    asking: Asking,
    report: Path | None = None,
) -> int:
    """Ask, save and tell; gives the exit code. A ``report`` is of answers that are explanations."""
    from seewhy.api.given.sources import sources
    from seewhy.reports import Folder

    _check_meant(photos)
    folder = Folder(output.out, force=output.force)
    found = sources(photos, given.frames, folder.path)
    with quiet_warnings(output.quiet), bars(output.quiet) as bar:
        page = None if report is None else PhotoReport(report)
        under_way = _Run(source.load(), folder, asking, bar, output, page)
        try:
            return under_way.all(found, lot=repr([*photos]), skip=given.skip_existing)
        except BaseException:
            under_way.end()
            raise


def _check_meant(photos: Sequence[str]) -> None:
    """Refuse words among the photos that belong to an option before them, of which each takes one word; raises
    `UsageError`."""
    import seewhy.methods  # noqa: F401 - fills the registry
    from seewhy.registry import methods

    for word in photos:
        if Path(word).exists():
            continue
        if word in methods:
            raise UsageError(f"{word!r} stands among the photos, and is a method: write --method before each of them")
        if _NUMBER.fullmatch(word):
            raise UsageError(
                f"{word!r} stands among the photos, and is a number: several numbers have commas between them and no "
                "spaces, as in --mean .49,.48,.45"
            )


#: a number by itself
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?")


class _Run:
    """One run: what was made and lost so far."""

    def __init__(
        self, model: Model, folder: Folder, asking: Asking, bar: Bars, output: OutputOptions, report: PhotoReport | None
    ) -> None:
        from seewhy.api.given.photos import asked_of
        from seewhy.explanation import Cost
        from seewhy.reports import ContactSheet
        from seewhy.runs.record import Record

        self._model, self._folder, self._asking = model, folder, asking
        self._bar, self._output, self._report = bar, output, report
        self._reported = ""
        self._record = Record(folder.path, asked_of(model, asking.done, **asking.told))
        self._sheet = ContactSheet(folder)
        self._images: list[dict[str, Any]] = []
        self._failed: list[dict[str, str]] = []
        self._codes: set[int] = set()
        self._total = Cost()
        self._several = False
        self._in_part = 0
        self._pages_before: list[str] = []

    def all(self, found: Sequence[Source], *, lot: str, skip: bool) -> int:
        """Ask of what was found by the words ``lot``, but for what is there already where that is to be skipped, or
        was made by a run of the same words that did not come to its end."""
        from seewhy.api.given.photos import each_photo

        goes_on = self._record.unfinished(lot) and not self._output.force
        since = "" if skip else lot  # who skips what exists takes all of it
        skip = skip or goes_on
        self._several = len(found) > 1 or skip
        self._pages_before = self._record.files(_SHEET) if self._several else []
        self._folder.replacing(self._pages_before)
        kept = {source.name: entry for source in found if skip and (entry := self._whole(source, since)) is not None}
        if goes_on and kept and not self._output.quiet:
            complain(f"{len(kept)} of {len(found)} photos were done when an earlier run ended; --force has all anew")
        ask = self._asking.ask(self._model, self._bar)
        if self._several:
            self._record.begin(lot)
        waiting = [source for source in found if source.name not in kept]
        with closing(each_photo(self._model, waiting, ask)) as answers:
            stopped = self._each(found, kept, answers)
        if not stopped:  # fewer pages than there were: those that are left show what is no longer so
            self._sheet.finish()
            for name in self._earlier_pages():
                (self._folder.path / name).unlink(missing_ok=True)
            self._pages_before = []
            if self._several:
                self._record.end(lot)
            if self._report is not None and self._images:
                self._reported = str(self._report.write(self._model))
        self._tell()
        if stopped:
            how = "the same command goes on" + ", and writes the report" * (self._report is not None)
            complain(f"{KEPT}: {how}" if self._several else KEPT)
            return INTERRUPTED
        if self._failed:
            if self._images:
                return 1
            return self._codes.pop() if len(self._codes) == 1 else ImageError.exit_code
        return 0

    def _each(
        self, found: Sequence[Source], kept: Mapping[str, dict[str, Any]], answers: Iterator[Answered[Answer]]
    ) -> bool:
        """Keep or save and tell of one photo after the other; gives whether that was interrupted."""
        for n, source in enumerate(found, 1):
            if source.name in kept:
                self._keep(source, kept[source.name])
            elif self._answered(source, next(answers)):
                return True
            if len(found) > 1:
                self._bar("photos", n, len(found))
        return False

    def _answered(self, source: Source, answered: Answered[Answer]) -> bool:
        """Save and tell of one photo; gives whether it was interrupted."""
        from seewhy.render import write

        answer = answered.answer
        if answer is None:
            self._failed.append({"image": source.name, "reason": answered.reason})
            self._codes.add(answered.code)
            if self._report is not None:
                self._report.fail(in_options(answered.reason))
            with self._bar.aside():
                complain(in_options(answered.reason))
            return False
        # the same photo and the same question: no second copy of its files
        self._folder.replacing(self._record.files(source.stamp))
        before = len(self._folder.given)
        try:
            files = answer.save(self._folder)
        except KeyboardInterrupt:  # while some of them lie there already: the next run replaces those
            begun = [name for name in self._folder.given[before:] if (self._folder.path / name).is_file()]
            if self._several and begun:
                self._record.keep(source.stamp, {}, begun)
            raise
        self._total += answer.cost
        if self._report is not None and not answer.interrupted:
            self._report.add(answer.explanations)  # type: ignore[attr-defined]
        document = answer.document(source.name)
        self._images.append(document)
        if not self._output.json:
            self._say("\n".join(answer.lines(source.name)))
        names = sorted({path.name for path in files})
        if answer.interrupted:
            self._in_part += 1
            if self._several:
                self._record.keep(source.stamp, {}, names)  # of a part, which the next run replaces
            return True
        if self._several:
            if (picture := answer.strip()) is not None:
                self._add(picture)
                write(picture, self._record.small(source.stamp), force=True)
            self._record.keep(source.stamp, document | {_DRAWN: picture is not None}, names)
        return False

    def _whole(self, source: Source, lot: str) -> dict[str, Any] | None:
        """What an earlier run of the same question made of a photo, if all of it is there still; of a ``lot`` under way
        if it was made since that was begun."""
        whole = self._record.whole(source.stamp, lot)
        lost = whole is not None and whole.get(_DRAWN) and not self._record.small(source.stamp).is_file()
        return None if lost else whole

    def _keep(self, source: Source, document: Mapping[str, Any]) -> None:
        """Tell of a photo that was done before."""
        import PIL.Image

        told = {name: value for name, value in document.items() if name != _DRAWN}
        self._images.append({**told, "skipped": True})
        if self._report is not None:
            self._report.keep(source.name, told, self._record.small(source.stamp))
        if not self._output.json:
            self._say(f"{source.name}: done before, kept")
        if document.get(_DRAWN):
            with PIL.Image.open(self._record.small(source.stamp)) as small:
                self._add(small.convert("RGB"))

    def _add(self, strip: Image.Image) -> None:
        """Put a photo's strip on the contact sheet; pages are known to the record as soon as they are written."""
        written = len(self._sheet.files)
        self._sheet.add(strip)
        if len(self._sheet.files) > written:
            self._keep_pages()

    def _keep_pages(self) -> None:
        """Note the pages, with those of an earlier run that this one has not come to."""
        if self._sheet.files:
            self._record.keep(_SHEET, {}, list({path.name: None for path in self._sheet.files} | self._earlier_pages()))

    def _earlier_pages(self) -> dict[str, None]:
        mine = {path.name for path in self._sheet.files}
        return {name: None for name in self._pages_before if name not in mine}

    def end(self) -> None:
        """Tell the whole, of what was done, of a run that something has ended."""
        if self._images or self._failed:
            self._tell()

    def _tell(self) -> None:
        """Write the contact sheet and tell the whole."""
        self._sheet.finish()
        self._keep_pages()
        pages = [str(path) for path in self._sheet.files]
        with self._bar.aside():
            if self._output.json:
                name = self._model.spec or self._model.name
                document = {"model": name, "images": self._images, "failed": self._failed}
                report = {"report": self._reported} if self._reported else {}
                as_json({**document, "contact": pages, **report, "cost": cost_dict(self._total)})
            elif not self._output.quiet:
                self._complain(pages)

    def _complain(self, pages: Sequence[str]) -> None:
        kept = sum("skipped" in image for image in self._images)
        done = len(self._images) - kept - self._in_part
        words = [f"{done} photo{'' if done == 1 else 's'} {self._asking.done}"]
        words += [f"{self._in_part} in part"] if self._in_part else []
        words += [f"{kept} kept"] if kept else []
        words += [f"{len(self._failed)} failed"] if self._failed else []
        complain(f"{', '.join(words)}: {self._total}")
        if pages:
            complain(f"contact sheet: {', '.join(pages)}")
        if self._reported:
            complain(f"report: {self._reported}")

    def _say(self, text: str) -> None:
        with self._bar.aside():
            typer.echo(text)


#: what the record knows contact sheets by, and what it notes of a photo of which there is a small picture
_SHEET, _DRAWN = ("contact sheet",), "drawn"
