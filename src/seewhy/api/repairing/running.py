"""Repairing: takes a model, what an audit proved and training pictures, gives the model mended, or what a training of
somebody's own takes to mend it, and the audit of held-out pictures once more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from seewhy.api.auditing.result import Audit
from seewhy.api.auditing.running import audit as audit_of
from seewhy.api.given.masks import open_masks
from seewhy.api.given.truths import known_truths
from seewhy.api.repairing import folders
from seewhy.api.repairing.heads import mended_head
from seewhy.api.repairing.planning import FITTED, Asked, Plan, planned
from seewhy.api.repairing.projections import projected, projected_somewhere
from seewhy.api.repairing.proved import proved, where
from seewhy.api.repairing.regions import written_masks
from seewhy.api.repairing.result import DATA, HELD, MASKS, WAYS, Mending, Repair, check_place
from seewhy.api.repairing.standing import groups_of
from seewhy.api.repairing.training import Training
from seewhy.api.repairing.writing import files_of_head, files_of_projection, page_of_data, page_of_masks
from seewhy.api.waiting import watched
from seewhy.core.forward.settings import Settings, when
from seewhy.core.network.borrowed import warning_once
from seewhy.errors import UnknownName, UsageError
from seewhy.models import Model
from seewhy.models.loader import taken

__all__ = ["repair"]

#: what was made: a mended model, files by their names, and what is told of it
_Made = tuple[Model | None, dict[str, bytes], Mapping[str, Any]]


@warning_once()
def repair(
    model: Any,
    audit: Audit | str | Path,
    train: Any,
    truths: Sequence[int | str] | None = None,
    *,
    how: str = "head",
    layer: str | None = None,
    out: str | Path | None = None,
    held: Any = None,
    masks: str | Path | None = None,
    pictures: int | None = None,
    columns: Mapping[str, str] | None = None,
    table: str | Path | None = None,
    images: str | Path | None = None,
    seed: int = 0,
    force: bool = False,
    prepare: bool | str = "auto",
    memory: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Repair:
    """What an audit proved, mended; and the audit of held-out pictures once more.

    ``model`` is the one that was audited, ``audit`` a `seewhy.Audit` or the folder that it was saved to; ``train`` are
    training pictures with their classes, which with ``truths``, ``columns``, ``table`` and ``images`` are given as to
    `seewhy.evaluate_model`. ``how`` is

    - ``"head"``: the last linear layer fitted again, on pictures as they are and with each cue put in and taken out;
    - ``"project"``: each cue's direction taken out of what ``layer`` gives: unless said, the one that maps are made at
      or the one that the last layer reads, whichever helps more;
    - ``"data"``: a counterfactual training folder in ``out``, for any framework;
    - ``"loss"``: masks of where cues are in ``out``, for `seewhy.evidence_penalty` in a training of your own.

    It is proved on ``held``, another source: the audit's own pictures unless those are the training ones, else a
    quarter of the training pictures, which no fit sees. ``masks`` as for `seewhy.audit`: pictures whose object a cue
    covers are left out. Of each class up to ``pictures`` are taken: unless said, fits take 500, in all about 20 000,
    and folders and masks are of all. Everything is drawn from ``seed``. With ``out`` all is written there, see
    `Repair.save`; ``force`` replaces files, and never folders of pictures.

    Raises `UsageError` and its kin for what is invalid: an audit that is none, or found nothing, or is of another
    model; too few pictures; cues that cannot be taken away without the object. `CapabilityError` where the model has
    no layer that can be fitted again, or its inputs cannot be turned back into pictures. `StoreError` where ``out``
    cannot be written.
    """
    if how not in WAYS:
        raise UnknownName("way to repair", how, WAYS, f"one of {', '.join(WAYS)}")
    if pictures is not None and (isinstance(pictures, bool) or not isinstance(pictures, int) or pictures < 1):
        raise UsageError(f"pictures={pictures!r}: how many of each class, e.g. 500")
    if layer is not None and how != "project":
        raise UsageError(f"layer={layer!r} is for how='project', and this is how={how!r}")
    target = None if out is None else Path(out)
    if target is None and how not in FITTED:
        raise UsageError(f"how={how!r} writes pictures: say where, out='FOLDER'")
    if target is not None:
        check_place(target, how, force=force)
    found, wrapped = proved(audit), taken(model)
    asked = Asked(
        how, pictures, None if masks is None else open_masks(masks), Settings(memory=memory, prepare=when(prepare)),
        seed, watched(progress),
    )  # fmt: skip
    told = {"columns": columns, "table": table, "images": images}
    known = known_truths(wrapped, train, truths, told, "repair", asked.progress)
    plan = planned(wrapped, found, known, train, held, {"columns": columns}, asked)
    training = plan.training()
    mended, files, details = _made(plan, training, layer, target)
    proof = plan.proof()
    groups = () if proof is None else groups_of([wrapped] if mended is None else [wrapped, mended], proof)
    again = None
    try:
        if plan.classes:
            again = audit_of(
                wrapped, plan.held, masks=masks, against=mended, classes=plan.classes, seed=seed, prepare=prepare,
                memory=memory, progress=progress,
            )  # fmt: skip
    except UsageError as error:  # what was mended is not lost for that
        plan.notes.append(f"the audit of held-out pictures could not be made: {error}")
    lost = plan.source.again.lost | plan.kept.again.lost
    result = Repair(
        how, wrapped.spec or wrapped.name, mended, again, (*_mendings(training), *plan.left), groups,
        dict(enumerate(wrapped.labels or ())), details, files, None if how in FITTED else target,
        tuple(f"{name}: {why}" for name, why in lost.items()), tuple(dict.fromkeys(plan.notes)),
    )  # fmt: skip
    if target is not None:
        result.save(target, force=force)
    return result


def _mendings(training: Training) -> list[Mending]:
    """What was found of each cue; one that is on the object wherever it is, is untestable."""
    found = []
    for (index, cue), tally in zip(training.cues, training.tally, strict=True):
        hidden = tally.have and not tally.removed
        why = f"the object is there in all {tally.have} pictures that have it, and would go with it" if hidden else ""
        found.append(Mending(index, cue.kind, where(cue), tally, why))
    return found


def _made(plan: Plan, training: Training, layer: str | None, out: Path | None) -> _Made:
    model, progress = plan.model, plan.asked.progress
    if plan.asked.how == "head":
        head = mended_head(model, training, progress)
        named = replace(head.model, name=f"{model.name}, {head.name or 'its layer'} fitted again")
        return named, files_of_head(head), head.told()
    if plan.asked.how == "project":
        made = (
            projected_somewhere(model, training, progress)
            if layer is None
            else projected(model, training, layer, progress)
        )
        named = replace(made.model, name=f"{model.name}, the cue projected out of {made.layer}")
        return named, files_of_projection(made), made.told()
    assert out is not None
    return _data(plan, training, out) if plan.asked.how == "data" else _masks(plan, training, out)


def _data(plan: Plan, training: Training, out: Path) -> _Made:
    folders.check_drawable(plan.model, training.some)
    with folders.unfinished(out / DATA) as folder:
        table = folders.written(plan.model, training, plan.source, folder, plan.asked.progress)
        training.check()
    if plan.kept.rows:
        with folders.unfinished(out / HELD) as folder:
            folders.copied(plan.model, plan.kept, folder)
    files = {
        "pictures.csv": table,
        "collect.md": folders.collected(training, training.tally, plan.label),
        "README.md": page_of_data(held=bool(plan.kept.rows)),
    }
    return None, files, {"pictures": table.count(b"\n") - 1, "held out": len(plan.kept.rows)}


def _masks(plan: Plan, training: Training, out: Path) -> _Made:
    with folders.unfinished(out / MASKS) as folder:
        table = written_masks(training, plan.source, folder, plan.label, plan.asked.progress)
        training.check()
    files = {"masks.csv": table, "README.md": page_of_masks()}
    kept = plan.kept
    if kept.rows:
        names = [
            (kept.again.entries[row].name, plan.label(truth))
            for row, truth in zip(kept.rows, kept.truth.tolist(), strict=True)
        ]
        files["held-out.csv"] = folders.as_csv(("file", "class"), names)
    return None, files, {"masks": table.count(b"\n") - 1, "held out": len(kept.rows)}
