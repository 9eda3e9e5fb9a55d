"""Takes what was computed about one image, gives one frozen record with pictures; never computes a map."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.errors import UsageError
from seewhy.explanation import archive, conventions, figure, nifti, page, picture, several_inputs, video
from seewhy.explanation import cuts as cutting
from seewhy.explanation.parts import Cost, Prediction, Status
from seewhy.explanation.plain import describe
from seewhy.render import SUFFIXES, check, resize, stretch, write, write_bytes

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

    from seewhy.explanation.scan import Scan
    from seewhy.explanation.trust import Trust

__all__ = ["Explanation"]

#: axes of positions of a volume
_VOLUME = 3


@dataclass(frozen=True, eq=False, kw_only=True)
class Explanation:
    """One map with everything needed to read it: method, target, status, cost, origin.

    ``values`` are the attribution in the target's own units, signed, at the resolution at which they were
    computed: ``[h, w]``, or ``[C, h, w]`` with ``channels``, or whatever shape a layer without two spatial
    axes has. ``size`` is the input's spatial size. ``unit`` is what the score is counted in, ``map_unit`` the values
    (empty where they have no unit). ``error`` is a standard error per value, or one residual, where the method has one.
    ``image`` is what the model saw, uint8 ``[H, W, 3]``; ``window`` which part of the photo that is: left, top, right
    and bottom in fractions of its width and height, beyond 0 and 1 where it was padded; ``photo`` the whole photo,
    where ``image`` shows less of it: what pictures are drawn on. It is not saved.
    ``inputs`` are the shapes [C, *size] of several inputs, by name, whose numbers make one row of ``values``; `part`
    gives each input's own, drawn on what ``views`` has of it. ``axes`` are the names of the positions,
    where somebody gave them: ``"THW"`` of a video, whose ``frames`` are what the model saw, uint8 ``[T, H, W, 3]``.
    ``scan`` is what the model saw of a volume, and where its voxels are: what `cuts` are drawn on; ``whole`` are the
    values of the volume that a map is a cut of, which decide about its colours. It is not saved.
    ``colours`` are the signed values ``[3, h, w]`` of red, green and blue of a guided map, for `relief`. ``positive``
    maps are drawn without their negative part, which ``values`` keep. ``trust`` says how far to believe the map, where
    that was asked for. ``tensor`` carries a graph where one
    was asked for; it is not saved. Two explanations are equal only if they are the same object. Raises
    `UsageError` for values that are not real numbers and for an image that is not uint8 ``[H, W, 3]``.
    """

    values: NDArray[Any]
    size: tuple[int, ...]
    method: str
    target: str
    target_index: int | None = None
    score: float
    prediction: Prediction | None = None
    layer: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    status: Status = field(default_factory=Status)
    error: NDArray[Any] | float | None = None
    cost: Cost = field(default_factory=Cost)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    input: NDArray[Any] | None = None
    image: NDArray[np.uint8] | None = None
    name: str = ""
    positive: bool = False
    channels: bool = False
    contrast: str | None = None
    notes: tuple[str, ...] = ()
    tensor: Any = field(default=None, repr=False)
    unit: str = "logit"
    map_unit: str = ""
    photo: NDArray[np.uint8] | None = field(default=None, repr=False)
    window: tuple[float, float, float, float] | None = None
    colours: NDArray[Any] | None = field(default=None, repr=False)
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    views: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    axes: str = ""
    frames: NDArray[np.uint8] | None = field(default=None, repr=False)
    scan: Scan | None = None
    whole: NDArray[Any] | None = field(default=None, repr=False)
    trust: Trust | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        values = np.asarray(self.values)
        if values.dtype.kind not in "fiub":
            raise UsageError(f"an explanation's values are real numbers; got {values.dtype}")
        if values.dtype.kind != "f":
            values = values.astype(np.float32)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "size", tuple(int(side) for side in self.size))
        if self.window is not None:
            object.__setattr__(self, "window", _window(self.window))
        for image in (self.image, self.photo):
            if image is not None and (image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3):
                raise UsageError(f"an explanation's image is uint8 (H, W, 3); got {image.dtype} {image.shape}")
        if self.scan is not None and self.scan.voxels.shape != self.size:
            raise UsageError(f"an explanation's scan has its size {self.size}; this one has {self.scan.voxels.shape}")

    @property
    def volume(self) -> NDArray[np.float32]:
        """The signed map of a volume at the input's size, float32 ``[D, H, W]``: channels summed, then one trilinear
        resize.

        Raises `UsageError` if the input or the values have no three spatial axes.
        """
        if len(self.size) != _VOLUME:
            raise UsageError(
                f"{self.method} of {self.target!r} has no volume: its input has {len(self.size)} spatial axes; .map is "
                "of pictures"
            )
        return _finite32(stretch(self._places(), self.size))

    def cuts(self, at: Sequence[int] | None = None) -> tuple[Explanation, ...]:
        """Three slices of a map of a volume, as maps of pictures: across depth, height and width, through the voxel
        ``at`` (d, h, w), or the one with the strongest evidence.

        Each is drawn over its slice of the scan in grey, voxels as long and wide as they are, and, where the file says
        how it lies, with head or front above or at the left and the patient's right at the left. Raises `UsageError`
        where there is no `volume`, and for a voxel that is not in it.
        """
        return cutting.cuts(self, at)

    @property
    def map(self) -> NDArray[np.float32]:
        """The signed map at the input's size, float32 ``[H, W]``: channels summed, then one bilinear resize.

        Raises `UsageError` if the values have no two spatial axes.
        """
        return _finite32(self._sized(self._plane_size()))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("an explanation's map is made when asked for; np.asarray(explanation) copies")
        made = self.volume if len(self.size) == _VOLUME else self.map
        return made.astype(dtype or np.float32, copy=False)

    def _plane_size(self) -> tuple[int, int]:
        if self.inputs:
            names = ", ".join(map(repr, self.inputs))
            raise UsageError(
                f"{self.method} of {self.target!r} is of several inputs: .part(name) is of one, of {names}"
            )
        if len(self.size) != 2:
            instead = ".volume and .cuts()" if len(self.size) == _VOLUME else ".values"
            instead = ".frame(n), which is of one frame, or .volume" if video.is_video(self) else instead
            raise UsageError(
                f"{self.method} of {self.target!r} has no picture: its input has {len(self.size)} "
                f"spatial axes, a picture has 2; use {instead}"
            )
        return self.size[0], self.size[1]

    def _sized(
        self, size: tuple[int, int], how: str = "bilinear", part: tuple[slice, slice] | None = None
    ) -> NDArray[Any]:
        """The map at ``size``, or a ``part`` of it, in the precision of the values, enlarged as ``how`` says."""
        return resize(self._plane(), size, how, part)

    def _plane(self) -> NDArray[Any]:
        """The values as a map, channels summed; raises `UsageError` where they are none."""
        return self._places(2)

    def _places(self, axes: int = 3) -> NDArray[Any]:
        """The values at their places, channels summed; raises `UsageError` where they have not so many axes."""
        summed = self.values.sum(axis=0) if self.channels and self.values.ndim else self.values
        if summed.ndim != axes:
            where = f" at layer {self.layer!r}" if self.layer else ""
            raise UsageError(
                f"{self.method}{where} has values of shape {self.values.shape}, without the {axes} spatial "
                "axes that a map needs; use .values, or choose a convolutional layer"
            )
        return summed

    def _scaled_by(self) -> NDArray[Any]:
        """The values that decide where the colours of the map end."""
        return self._plane() if self.whole is None else self.whole

    def frame(self, index: int) -> Explanation:
        """The explanation of one frame of a video: its values [h, w] (of coarser steps of time, between the two nearest
        of them), its picture, and all else of the whole. Raises `UsageError` for no video, and for no such frame."""
        return video.frame(self, index)

    def montage(self, **options: Any) -> Image.Image:
        """Frames of a video with the map over them, in one scale of colours: ``frames`` of them, evenly spaced, in
        ``columns``, each ``cell`` pixels wide; ``cmap``, ``opacity``, ``mode`` as in `overlay`. Raises `UsageError` for
        no video."""
        video.check(self)
        return figure.figure(self, **options)

    def part(self, name: str) -> Explanation:
        """The explanation of one of several `inputs` that were explained at once: its values [*size], or [C, *size]
        where channels are kept, its picture, and the target, score and status of the whole.

        Raises `UnknownName` for no name of an input, and `UsageError` where there was one input, or values of a layer.
        """
        return several_inputs.part(self, name)

    def convention(self, library: str, **options: Any) -> NDArray[Any]:
        """What another library would have returned: ``"captum"``, ``"pytorch-grad-cam"``, ``"torchcam"`` or
        ``"keras-vis"``, with its cut at zero, its stretch to [0, 1] and its resizing; formulas and ``options`` stand in
        `seewhy.explanation.conventions`. For moving over: the values themselves stay signed and in the target's units.

        Raises `UnknownName` for another library, and `UsageError` where the values no longer hold what its formula
        needs (most often channels: ``reduce="none"`` keeps them).
        """
        return conventions.convention(self, library, **options)

    def overlay(self, **options: Any) -> Image.Image:
        """The map laid on the photo, in the photo's own pixels; what the model did not see of it is grey. Without a
        photo, the bare heatmap.

        ``options``: ``mode`` ``"alpha"``, ``"blend"`` or ``"mask"``, ``opacity``, ``cmap``, ``contour``,
        ``limits``, ``percentile`` (see `seewhy.render.overlay`), ``caption`` (default True), ``width`` in pixels,
        ``enlarge`` ``"bicubic"`` (the default), ``"bilinear"`` or ``"gaussian"``: how the few cells of a map become the
        many pixels of a picture (see `seewhy.render.resize`); values stay as they are. Of a volume its three `cuts`,
        each ``width`` pixels wide, through the voxel ``at``. A map that is no answer (no gradient, not finite,
        zero) is a greyed photo whose caption says so; where there is no positive evidence the negative is drawn, and
        the caption says so. Raises `UsageError` if there is no map of a picture or a volume.
        """
        return picture.overlay(self, **options)

    def heatmap(self, **options: Any) -> Image.Image:
        """The map in colours, alone; ``cmap``, ``limits``, ``percentile``, ``caption``, ``width``, ``enlarge`` as in
        `overlay`."""
        return picture.heatmap(self, **options)

    def relief(self, *, width: int | None = None) -> Image.Image:
        """A guided map as the papers draw it: signed red, green and blue about grey, ``width`` pixels wide.

        Raises `UsageError` for a map that has no `colours`: those of guided backpropagation, guided Grad-CAM, deconvnet
        and gradients with ``backward_rule=`` have, at an input of three channels.
        """
        return picture.relief(self, width=width)

    def figure(self, **options: Any) -> Image.Image:
        """Photo and overlay, and the relief of a guided map, titled, with a colorbar; options: `overlay`'s, and
        ``cell`` and ``header``. ``width`` is that of each picture, the same as ``cell``. Of a volume its three `cuts`,
        in grey and under the map; of a video its `montage`."""
        return figure.figure(self, **options)

    def figure_svg(self, **options: Any) -> str:
        """The figure of `figure` as an SVG document; ``dpi`` is how many of its pixels make an inch."""
        return figure.figure_svg(self, **options)

    def figure_pdf(self, **options: Any) -> bytes:
        """The figure of `figure` as a PDF file of one page; ``dpi`` is how many of its pixels make an inch (96)."""
        return figure.figure_pdf(self, **options)

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """The overlay on matplotlib axes, ``ax`` or the current ones, which are returned (extra ``plot``)."""
        return picture.plot(self, ax, **options)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        force: bool = False,
        picture: str = "figure",
        dpi: float | None = None,
        **options: Any,
    ) -> Path:
        """The file written: ``.png``, ``.jpg``, ``.svg``, ``.pdf`` hold a picture, ``.npz`` all but ``tensor`` and
        ``photo``; ``.gif`` is a video's frames with the map over them, ``duration`` milliseconds each; ``.nii`` and
        ``.nii.gz`` are the `volume` where the input lies (extra ``medical``).

        ``picture`` is ``"figure"``, ``"overlay"``, ``"heatmap"`` or ``"relief"`` (an SVG is always the figure);
        ``options`` are that picture's, ``dpi`` how many of its pixels are printed an inch. Raises `UsageError` for
        another suffix, another picture, and for a file that exists unless ``force``.
        """
        volume = str(path).lower().endswith(nifti.SUFFIXES)
        path = check(path, None if volume else (*SUFFIXES, ".npz", ".gif"), force=force)
        suffix = path.suffix.lower()
        if suffix == ".gif":
            return write_bytes(video.film(self, **options), path, force=force)
        makers = {"figure": self.figure, "overlay": self.overlay, "heatmap": self.heatmap, "relief": self.relief}
        if picture not in makers:
            raise UsageError(f"no picture {picture!r} of an explanation; use one of {', '.join(makers)}")
        if volume or suffix == ".npz":
            options |= {} if dpi is None else {"dpi": dpi}
            if options:
                raise UsageError(f"{path} holds numbers: it takes no {', '.join(options)}; name it .png for a picture")
            return nifti.save(self, path, force=force) if volume else archive.save(self, path, force=force)
        if suffix == ".svg":
            if picture != "figure":
                raise UsageError(f"an SVG holds the figure; for the {picture} alone name it {path.stem}.png")
            return write(self.figure_svg(dpi=dpi, **options), path, force=force)
        if suffix == ".pdf" and picture == "figure":
            return write(self.figure_pdf(dpi=dpi, **options), path, force=force)
        return write(makers[picture](**options), path, force=force, dpi=dpi)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Explanation:
        """The explanation in an ``.npz`` file that `save` wrote.

        Nothing in the file is run. Raises `UsageError` if there is no such file or it holds anything else.
        """
        return archive.load(cls, path)

    def to_dict(self) -> dict[str, Any]:
        """The metadata as plain, strictly valid JSON: no arrays, null for numbers that are not finite."""
        return describe(self)

    def _repr_html_(self) -> str:
        return page.one(self)

    def __repr__(self) -> str:
        layer = f", layer={self.layer!r}" if self.layer else ""
        contrast = f", contrast={self.contrast!r}" if self.contrast else ""
        shape = "x".join(map(str, self.values.shape))
        return (
            f"Explanation({self.method!r}, target={self.target!r}, score={self.score:.4g}{layer}{contrast}, "
            f"values={shape} {self.values.dtype}, status={str(self.status)!r})"
        )


def _finite32(full: NDArray[Any]) -> NDArray[np.float32]:
    """In float32, in which what is beyond it stays the largest there is: infinity would mean that it was never
    computed."""
    most = float(np.finfo(np.float32).max)
    return np.where(np.isfinite(full), np.clip(full, -most, most), full).astype(np.float32)


def _window(given: Any) -> tuple[float, float, float, float]:
    """Four fractions, checked: a part of the photo, and at least some of it."""
    left, top, right, bottom = (float(edge) for edge in given)
    inside = all(math.isfinite(edge) for edge in (left, top, right, bottom)) and max(left, top) < 1
    if not (inside and right > max(left, 0.0) and bottom > max(top, 0.0)):
        raise UsageError(f"an explanation's window is left, top, right and bottom of a part of the photo; got {given}")
    return left, top, right, bottom
