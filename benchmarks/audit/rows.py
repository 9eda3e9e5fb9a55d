"""One data set audited: takes a design, gives a line of numbers: what the audit said of each class, whether the cue
that it names is the planted one, and what two ways without tests would have said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

import seewhy
from benchmarks.audit.planted import Design, Made, made
from benchmarks.audit.training import accuracy, drop, preprocess, trained
from seewhy.api.auditing.outcome import Example
from seewhy.api.auditing.result import Audit
from seewhy.api.auditing.running import audit
from seewhy.audits.verdicts import Candidate, Finding

__all__ = ["NAMED", "row_of", "same"]

#: pixels by which a planted cue is made wider before it is compared: its edges are seen, too
_WIDER = 2
#: the share of pictures, of those that show a cue, in which it is where the planted one is
NAMED = 0.5


def row_of(design: Design, data: Path, work: Path, *, masks: bool) -> dict[str, Any]:
    """Everything that the table is made of, as JSON holds it; networks are kept in ``work``."""
    pictures = made(design, data)
    network = trained(pictures, work / f"{design.name}.pt")
    model = seewhy.wrap(network, preprocess=preprocess(pictures))
    split = pictures.audit
    objects = split.objects if masks else None
    if objects is not None:
        folder = _masks(objects, work / f"{design.data}-{design.seed}-masks")
        files = _files(split.images, work / f"{design.name}-pictures")
        found = audit(model, files, split.labels.tolist(), masks=folder)
    else:
        found = audit(model, list(split.images), split.labels.tolist())
    best = {k: next((f for f in found.shortcuts if f.candidate.index == k), None) for k in range(pictures.classes)}
    return {
        "design": design.name, "data": design.data, "cue": design.cue, "share": design.share, "moving": design.moving,
        "seed": design.seed, "masks": objects is not None, "biased": pictures.biased,
        "accuracy": accuracy(network, split), "drop": drop(network, pictures), "passes": found.passes,
        "classes": [
            {
                "class": k, "strength": found.strength(k), "verdict": finding is not None,
                "said": None if finding is None else finding.candidate.tag,
                "named": None if finding is None else named(found, finding, pictures),
                "candidates": [f.told() for f in found.findings if f.candidate.index == k and f.verdict],
                "tried": [_tried(each) for each in found.by_class.get(k, ())],
            }
            for k, finding in best.items()
        ],
        "without tests": _without_tests(network, model, pictures),
    }  # fmt: skip


def _tried(candidate: Candidate) -> dict[str, Any]:
    """What trials of a candidate gave, whatever was said of it: from this a strength is chosen, on tuning designs."""
    return {
        "kind": candidate.cue.kind, "outside": bool(candidate.outside), "strength": candidate.strength,
        "effects": {
            each.what: {
                "flips": each.flipped, "low": each.interval[0], "odds": each.moved, "p": each.p, "pictures": each.count,
                "z": each.surely,
            }
            for each in candidate.effects
        },
    }  # fmt: skip


def named(found: Audit, finding: Finding, pictures: Made) -> bool:
    """Whether the cue is where the planted one is, in pictures that have that."""
    shown = found.examples.get(found.findings.index(finding), ())
    hits = []
    for each in shown:
        number = int(each.name.rpartition("/")[2].split(".")[0].split()[-1])
        if pictures.audit.has_cue[number]:
            hits.append(same(_region(each, finding, pictures, number), pictures.audit.cue[number]))
    return bool(hits) and sum(hits) / len(hits) >= NAMED


def same(region: NDArray[np.bool_], planted: NDArray[np.bool_]) -> bool:
    """Whether two regions [H, W] are of one thing: most of the smaller one is in the other, which is no more than four
    times as large."""
    wide = F.max_pool2d(torch.from_numpy(planted)[None, None].float(), 2 * _WIDER + 1, 1, _WIDER)[0, 0].bool().numpy()
    small, large = sorted((int(region.sum()), int(wide.sum())))
    return bool(small) and int((region & wide).sum()) >= 0.5 * small and large <= 4 * small


def _region(each: Example, finding: Finding, pictures: Made, number: int) -> NDArray[np.bool_]:
    region = np.zeros(each.pixels.shape[:2], dtype=bool)
    kind = finding.candidate.cue.kind
    if each.box is not None:
        left, top, right, bottom = each.box
        region[top:bottom, left:right] = True
        return ~region if kind == "frame" else region
    if kind == "background" and pictures.audit.objects is not None:
        return ~pictures.audit.objects[number]
    return ~region


def _files(images: NDArray[np.uint8], folder: Path) -> list[str]:
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{n}.png" for n in range(len(images))]
    for path, pixels in zip(paths, images, strict=True):
        Image.fromarray(pixels).save(path, compress_level=1)
    return [str(path) for path in paths]


def _masks(objects: NDArray[np.bool_], folder: Path) -> Path:
    _files(np.where(objects, 255, 0).astype(np.uint8), folder)
    return folder


def _without_tests(network: nn.Module, model: seewhy.Model, pictures: Made) -> dict[str, list[Mapping[str, Any]]]:
    """What a mean map, and clusters of maps, say of each class: how strongly, and whether of the planted place."""
    split = pictures.audit
    found: dict[str, list[Mapping[str, Any]]] = {"mean map": [], "clusters": []}
    maps = {}
    for k in range(pictures.classes):
        rows = np.nonzero(split.labels == k)[0][:200]
        some = seewhy.explain_all(model, [split.images[n] for n in rows], "grad-cam", target=k)
        maps[k] = rows, torch.stack([torch.from_numpy(each.values) for each in some]).clamp(min=0)
    every = torch.cat([_shares(values) for _, values in maps.values()])
    for k, (rows, values) in maps.items():
        mean = _shares(values).mean(0)
        beyond = (mean - every.mean(0)) / (every.std(0) / len(rows) ** 0.5).clamp(min=1e-9)
        found["mean map"].append(_said(k, float(beyond.max()), beyond, rows, pictures))
        gap, share = _clustered(_shares(values))
        found["clusters"].append(_said(k, gap, share, rows, pictures))
    return found


def _shares(values: Tensor) -> Tensor:
    return values / values.sum((1, 2), keepdim=True).clamp(min=1e-12)


def _said(k: int, strength: float, cells: Tensor, rows: NDArray[np.int64], pictures: Made) -> dict[str, Any]:
    """The largest cell, as a place; whether that is the planted one."""
    split, side = pictures.audit, pictures.audit.images.shape[1]
    row, column = divmod(int(cells.argmax()), cells.shape[1])
    region = np.zeros((side, side), dtype=bool)
    high, wide = side // cells.shape[0], side // cells.shape[1]
    region[row * high : (row + 1) * high, column * wide : (column + 1) * wide] = True
    hits = [same(region, split.cue[n]) for n in rows if split.has_cue[n]]
    return {"class": k, "strength": strength, "named": bool(hits) and sum(hits) / len(hits) >= NAMED}


def _clustered(maps: Tensor) -> tuple[float, Tensor]:
    """Spectral relevance analysis (Lapuschkin et al. 2019, arXiv:1902.10178): the largest gap between the smallest
    eigenvalues of the Laplacian of nearest maps, and the mean map [h, w] of the cluster that differs most from all."""
    from sklearn.cluster import SpectralClustering
    from sklearn.neighbors import kneighbors_graph

    flat = maps.flatten(1).numpy()
    near = kneighbors_graph(flat, min(8, len(flat) - 1), include_self=False).toarray()
    affinity = np.maximum(near, near.T)
    degree = affinity.sum(1).clip(min=1e-9)
    laplacian = np.eye(len(flat)) - affinity / np.sqrt(degree[:, None] * degree)
    values = np.linalg.eigvalsh(laplacian)[:9]
    gaps = np.diff(values)
    count = max(2, int(gaps[1:].argmax()) + 2)
    labels = SpectralClustering(count, affinity="precomputed", random_state=0, assign_labels="cluster_qr").fit_predict(
        affinity
    )
    means = [maps[torch.from_numpy(labels == n)].mean(0) for n in range(count) if (labels == n).sum() > 2]
    whole = maps.mean(0)
    furthest = max(means or [whole], key=lambda each: float((each - whole).square().sum()))
    return float(gaps[1:].max()), furthest - whole
