"""One run: takes photos, a model and a question, gives files, words on stdout and an exit code; computes nothing
itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from seewhy._version import __version__
from seewhy.cli.bundles import ModelOptions, OutputOptions, PhotoOptions
from seewhy.cli.console import Bars, bars, complain, quiet_warnings
from seewhy.cli.option_words import in_options
from seewhy.cli.show import as_json, cost_dict, image_dict, image_lines
from seewhy.errors import ImageError, UsageError

if TYPE_CHECKING:
    from PIL import Image

    from seewhy.api.asked.request import Request
    from seewhy.api.explaining import PhotoOutcome
    from seewhy.api.given.sources import Source
    from seewhy.explanation import Explanations
    from seewhy.models import Model
    from seewhy.report import Folder

__all__ = ["INTERRUPTED", "Pictures", "run"]

#: what a shell expects of a program that Ctrl-C ended
INTERRUPTED = 130


@dataclass(frozen=True)
class Pictures:
    """What becomes of a photo's explanations: ``save`` writes them into the folder and gives each one's files, as
    ``drawn`` says."""

    save: Callable[[Folder, Explanations], Sequence[Sequence[Path]]]
    drawn: Mapping[str, Any]


def run(
    photos: Sequence[str],
    given: PhotoOptions,
    source: ModelOptions,
    output: OutputOptions,
    request: Request,
    pictures: Pictures,
) -> int:
    """Explain, save and tell; gives the exit code."""
    from seewhy.api.given.sources import sources
    from seewhy.report import Folder

    _check_meant(photos)
    folder = Folder(output.out, force=output.force)
    found = sources(photos, given.frames)
    with quiet_warnings(output.quiet), bars(output.quiet) as bar:
        request = replace(request, settings=replace(request.settings, progress=bar))
        under_way = _Run(source.load(), folder, request, pictures, bar, output)
        try:
            return under_way.all(found, skip=given.skip_existing)
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
        self, model: Model, folder: Folder, request: Request, pictures: Pictures, bar: Bars, output: OutputOptions
    ) -> None:
        from seewhy.explanation import Cost
        from seewhy.report import ContactSheet, Record

        self._model, self._folder, self._request, self._pictures = model, folder, request, pictures
        self._bar, self._output = bar, output
        self._record = Record(folder.path, _question(model, request, pictures.drawn))
        self._sheet = ContactSheet(folder)
        self._images: list[dict[str, Any]] = []
        self._failed: list[dict[str, str]] = []
        self._codes: set[int] = set()
        self._total = Cost()
        self._several = False
        self._in_part = 0
        self._pages_before: list[str] = []

    def all(self, found: Sequence[Source], *, skip: bool) -> int:
        """Explain what was found, but for what is there already where that is to be skipped."""
        from seewhy.api.explaining import explain_photos

        self._several = len(found) > 1 or skip
        self._pages_before = self._record.files(_SHEET) if self._several else []
        self._folder.replacing(self._pages_before)
        kept = {source.name: entry for source in found if skip and (entry := self._whole(source)) is not None}
        outcomes = explain_photos(self._model, [source for source in found if source.name not in kept], self._request)
        stopped = False
        for n, source in enumerate(found, 1):
            if source.name in kept:
                self._keep(source, kept[source.name])
            else:
                stopped = self._explained(source, next(outcomes))
                if stopped:
                    break
            if len(found) > 1:
                self._bar("photos", n, len(found))
        if not stopped:  # fewer pages than there were: those that are left show what is no longer so
            self._sheet.finish()
            for name in self._earlier_pages():
                (self._folder.path / name).unlink(missing_ok=True)
            self._pages_before = []
        self._tell()
        if stopped:
            return INTERRUPTED
        if self._failed:
            if self._images:
                return 1
            return self._codes.pop() if len(self._codes) == 1 else ImageError.exit_code
        return 0

    def _explained(self, source: Source, outcome: PhotoOutcome) -> bool:
        """Save and tell of one photo; gives whether it was interrupted."""
        from seewhy.render import write
        from seewhy.report import strip

        if outcome.explanations is None:
            self._failed.append({"image": outcome.path, "reason": outcome.reason})
            self._codes.add(outcome.code)
            with self._bar.aside():
                complain(in_options(outcome.reason))
            return False
        # the same photo and the same question: no second copy of its files
        self._folder.replacing(self._record.files(source.stamp))
        before = len(self._folder.given)
        try:
            files = self._pictures.save(self._folder, outcome.explanations)
        except KeyboardInterrupt:  # while some of them lie there already: the next run replaces those
            begun = [name for name in self._folder.given[before:] if (self._folder.path / name).is_file()]
            if self._several and begun:
                self._record.keep(source.stamp, {}, begun)
            raise
        self._total += outcome.explanations.cost
        document = image_dict(outcome.path, outcome.explanations, files)
        self._images.append(document)
        if not self._output.json:
            self._say("\n".join(image_lines(outcome.path, outcome.explanations, files)))
        names = sorted({path.name for own in files for path in own})
        if outcome.explanations.interrupted:
            self._in_part += 1
            if self._several:
                self._record.keep(source.stamp, {}, names)  # of a part, which the next run replaces
            return True
        if self._several:
            self._record.keep(source.stamp, document, names)
            if (picture := strip(outcome.explanations)) is not None:
                self._add(picture)
                write(picture, self._record.small(source.stamp), force=True)
        return False

    def _whole(self, source: Source) -> dict[str, Any] | None:
        """What an earlier run of the same question made of a photo, if all of it is there still."""
        drawn = self._record.small(source.stamp).is_file()
        return self._record.whole(source.stamp) if drawn else None

    def _keep(self, source: Source, document: Mapping[str, Any]) -> None:
        """Tell of a photo that was done before."""
        import PIL.Image

        self._images.append({**document, "skipped": True})
        if not self._output.json:
            self._say(f"{source.name}: done before, kept")
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
                as_json({**document, "contact": pages, "cost": cost_dict(self._total)})
            elif not self._output.quiet:
                self._complain(pages)

    def _complain(self, pages: Sequence[str]) -> None:
        kept = sum("skipped" in image for image in self._images)
        done = len(self._images) - kept - self._in_part
        words = [f"{done} photo{'' if done == 1 else 's'} explained"]
        words += [f"{self._in_part} in part"] if self._in_part else []
        words += [f"{kept} kept"] if kept else []
        words += [f"{len(self._failed)} failed"] if self._failed else []
        complain(f"{', '.join(words)}: {self._total}")
        if pages:
            complain(f"contact sheet: {', '.join(pages)}")

    def _say(self, text: str) -> None:
        with self._bar.aside():
            typer.echo(text)


#: what the record knows contact sheets by
_SHEET = ("contact sheet",)


def _question(model: Model, request: Request, drawn: Mapping[str, Any]) -> str:
    """Everything besides the photo that its files depend on."""
    from seewhy.report import question_of

    asked = {name: value for name, value in vars(request).items() if name != "settings"}
    return question_of(
        {
            "asked": asked,
            "drawn": dict(drawn),
            "model": [model.spec, model.name, model.weights, model.fingerprint(), repr(model.preprocess), model.labels],
            "seewhy": __version__,
        }
    )
