"""Takes a network and what is known of it, gives names, inputs, a fingerprint; never runs or changes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from seewhy.core.network.borrowed import Network
from seewhy.core.network.foreign import Foreign
from seewhy.errors import UnfitImage, UsageError, one_line, reason
from seewhy.html import pairs
from seewhy.models import labels as _labels
from seewhy.models._fingerprint import cached_fingerprint, of_inputs
from seewhy.models._pixels import DRAWN_ON_WHITE
from seewhy.models._tiff import drawn_bands
from seewhy.models.input_shape import check_takes_one
from seewhy.models.measured import RAW
from seewhy.models.preprocess import Preprocess

if TYPE_CHECKING:
    from collections.abc import Callable

    from seewhy.core.compile.checksums import Contents
    from seewhy.core.network.inputs import Inputs
    from seewhy.models.images import Photo
    from seewhy.models.volumes import Volume

__all__ = ["NO_WEIGHTS", "Model"]

#: what is said of the weights of a network that somebody's code has built, where no file was given
NO_WEIGHTS = "no weights were given (--weights): those that the network starts with, random unless its code loads some"


@dataclass(frozen=True, eq=False)
class Model:
    """A network and what is known about it: how to name its classes and how to make its input from a photo.

    ``module`` is a `torch.nn.Module`, or any callable from inputs to outputs (forward only). ``spec`` is what
    to type to load it again ('' for one wrapped by hand), ``weights`` says in words where they came from.
    ``preprocess`` is a `Preprocess`, a callable from a PIL image to a tensor [C, H, W], or None. With
    ``synonyms`` each label is a comma-separated list of which the first is shown. ``assumed`` says what had to
    be guessed about the preprocessing; '' for nothing. ``tolerance`` is, for a network that runs outside torch (ONNX),
    how far the torch version that gradients and layers are taken from may be from its scores, as a share of the largest
    one; it is checked on the input of every call. None for networks of torch. ``held`` is what ``module`` needs and
    holds weakly, if anything. ``labelled_by`` says where labels came from that a caller gave; '' for a network's own.
    ``inputs`` say how a network is called that has several of them, or its axes in another order.

    Raises `CapabilityError` for a network that takes several inputs.
    """

    module: Any
    name: str
    spec: str = ""
    preprocess: Preprocess | Callable[[Image.Image], Tensor] | None = None
    labels: tuple[str, ...] | None = None
    weights: str = ""
    synonyms: bool = False
    assumed: str = ""
    tolerance: float | None = None
    held: Any = None
    labelled_by: str = ""
    inputs: Inputs | None = None

    def __post_init__(self) -> None:
        if self.inputs is None:
            check_takes_one(self.module)

    def network(self) -> Network:
        """The network as the engine borrows it, with how it is called."""
        return Network(self.module, inputs=self.inputs)

    @property
    def channels_last(self) -> bool:
        """Whether the network's own inputs have their channels last, as those of Keras mostly do."""
        return isinstance(self.module, Foreign) and self.module.channels_last

    def label(self, index: int) -> str | None:
        """What class ``index`` is called on pictures; None without labels or beyond their end."""
        if self.labels is None or not 0 <= index < len(self.labels):
            return None
        return _labels.shown(self.labels, self.synonyms)[index]

    def check_labels(self, classes: int) -> None:
        """Raise `UsageError` where a caller's own labels are not one for each of so many ``classes``: each would name
        another one's class."""
        if self.labels is not None and self.labelled_by and len(self.labels) != classes:
            raise UsageError(
                f"{self.labelled_by} names {len(self.labels)} classes, and {self.name} gives {classes} scores: "
                "one name for each, in the order of its scores"
            )

    def find_label(self, text: str | int) -> int:
        """The class that a word means: a label, a synonym of one, either without case, or a number.

        Raises `UsageError` for a word that means several classes, `UnknownName` for one that means none.
        """
        listing = f"seewhy labels --model {self.spec}" if self.spec else "model.labels"
        return _labels.find_label(str(text), self.labels, self.synonyms, listing)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said beside every map of a picture: see `view_note`, and weights that nobody gave."""
        return tuple(note for note in (self.view_note, self.weights if self.weights == NO_WEIGHTS else "") if note)

    @property
    def untrained(self) -> bool:
        """Whether its weights are random, or those that somebody's code starts with."""
        return self.weights in ("random", NO_WEIGHTS)

    @property
    def view_note(self) -> str:
        """How the picture that `prepare` gives differs from what the network sees, or what was `assumed`; else ''."""
        if self.preprocess is None or isinstance(self.preprocess, Preprocess):
            return self.assumed
        return "the preprocess is a callable: the picture shown is the whole photo, resized to the input's size"

    def to_input(self, photo: Photo) -> tuple[Tensor, np.ndarray[Any, np.dtype[np.uint8]]]:
        """The input, float32 [C, H, W] on the CPU, and the picture it was made from, uint8 [H, W, 3].

        The picture is exactly the crop the network sees; with a callable preprocess it is the whole photo at
        the input's size (see `view_note`). Raises `UsageError` without a preprocess, or if a callable one
        fails or gives something else than one picture's tensor.
        """
        if self.preprocess is None:
            raise UsageError(
                f"nothing says how a photo becomes an input of {self.name}: --size 224, with --mean and --std, in "
                "Python preprocess=; or give a float tensor"
            )
        if isinstance(self.preprocess, Preprocess):
            if self.preprocess.values is not None:
                return self._of_values(self.preprocess, photo)
            if self.preprocess.channels in (1, 3):
                view = self.preprocess.view(photo.pixels)
                return self.preprocess.of_view(view), np.array(view.convert("RGB"), dtype=np.uint8)
            bands = self._bands(photo)
            view = self.preprocess.view(self.as_bands(photo).pixels)
            return self.preprocess.of_bands(bands), np.array(view.convert("RGB"), dtype=np.uint8)
        input = self._by_function(photo.pixels.copy(), photo.name, "[C, H, W] a picture", 3)
        height, width = input.shape[1:]
        resized = photo.pixels.resize((width, height), Image.Resampling.BILINEAR)
        return input, np.array(resized, dtype=np.uint8)

    def _by_function(self, pixels: Any, name: str, wanted: str, axes: int) -> Tensor:
        """What a preprocess that is a function makes of ``pixels``, of so many ``axes``, float32 on the CPU."""
        function: Any = self.preprocess
        try:
            input: Any = function(pixels)
        except Exception as error:
            raise UnfitImage(f"the preprocess of {self.name} fails on {name!r}: {reason(error)}") from error
        if isinstance(input, np.ndarray):
            input = torch.from_numpy(np.ascontiguousarray(input))
        if isinstance(input, Tensor) and input.ndim == axes + 1 and input.shape[0] == 1:
            input = input[0]
        if not isinstance(input, Tensor) or input.ndim != axes:
            given = list(input.shape) if isinstance(input, Tensor) else type(input).__name__
            raise UsageError(f"the preprocess of {self.name} must give a tensor {wanted}; it gave {given}")
        return input.detach().to("cpu", torch.float32)

    @staticmethod
    def _of_values(ours: Preprocess, photo: Photo) -> tuple[Tensor, np.ndarray[Any, np.dtype[np.uint8]]]:
        """The input of a file's own values, and the picture of those that the network is given."""
        if photo.measured is None:
            raise UnfitImage(
                f"the preprocessing takes values that a DICOM or NIfTI file measures (values={ours.values!r}), and "
                f"{photo.name!r} is a picture: leave --values, in Python values=, out"
            )
        view = ours.view(Image.fromarray(photo.measured.picture(ours.values)))
        return ours.of_values(photo.measured), np.array(view.convert("RGB"), dtype=np.uint8)

    def volume_to_input(self, volume: Volume) -> tuple[Tensor, Volume]:
        """The input of a volume, float32 [C, D, H, W] on the CPU, and what of the volume it is: values from 0 to 1 for
        pictures, and the places of its own voxels.

        A preprocess that is a function is given the values, float32 [D, H, W]. Raises `UsageError` without a
        preprocess, or if a function fails or gives something else than one volume's tensor.
        """
        if self.preprocess is None:
            raise UsageError(
                f"nothing says how a volume becomes an input of {self.name}: --as-is or --size 32x64x64, in Python "
                'preprocess="unit" or a seewhy.Preprocess; or give a float array [C, D, H, W]'
            )
        if isinstance(self.preprocess, Preprocess):
            return self.preprocess.of_volume(volume)
        input = self._by_function(volume.measured.values.copy(), volume.name, "[C, D, H, W] a volume", 4)
        # where the function put its voxels nobody knows, unless there are as many as before
        kept = tuple(input.shape[1:]) == volume.size
        plain = Preprocess(tuple(input.shape[1:]), None, "squash", (0.0,), (1.0,), channels=1)
        _, seen = plain.of_volume(volume)
        seen = seen if kept else replace(seen, affine=None)
        return input, seen

    def as_bands(self, photo: Photo) -> Photo:
        """``photo`` as a network of bands has it: a fourth channel is one of them, and not how opaque the others are,
        and the preprocessing's ``bands`` are shown. For other networks as it is."""
        ours, bands = self.preprocess, photo.bands
        wanted = ours.channels if isinstance(ours, Preprocess) else 0
        if not isinstance(ours, Preprocess) or wanted in (1, 3) or bands is None or bands.shape[2] != wanted:
            return photo
        chosen = ours.bands or ((0, 1, 2) if wanted > 3 else (0, 0, 0))
        shown, notes = drawn_bands(bands, chosen)
        kept = [note for note in photo.notes if note != DRAWN_ON_WHITE and note not in photo.of_colours]
        if wanted > 3:
            red, green, blue = (str(n + 1) for n in chosen)
            notes.append(
                f"bands {red}, {green} and {blue} of {wanted} are shown as red, green and blue; --bands, in Python "
                "Preprocess(bands=), shows others"
            )
            if bands.dtype.kind in "iu" and bands.dtype.itemsize > 1:  # whatever the picture is scaled by
                notes.append(f"the network is given shares of {np.iinfo(bands.dtype).max}, before mean and std")
        return replace(photo, pixels=shown, notes=tuple(dict.fromkeys((*kept, *notes))))

    def _bands(self, photo: Photo) -> np.ndarray[Any, Any]:
        """All channels of a photo, as many as the network takes; raises `UsageError` where there are others."""
        wanted = self.preprocess.channels if isinstance(self.preprocess, Preprocess) else 0
        has = photo.channels if photo.bands is None else photo.bands.shape[2]
        if photo.bands is None or has != wanted:
            raise UnfitImage(
                f"{self.name} takes {wanted} channels, and {photo.name!r} has {has}; give a picture with that many (a "
                f"TIFF of bands, a PNG with four){self._pages(photo)}"
            )
        return photo.bands

    @staticmethod
    def _pages(photo: Photo) -> str:
        """What to do about a file whose bands are pictures of their own."""
        if not any("pictures in one file" in note for note in photo.notes):
            return ""
        return (
            ". It has several pictures, which bands become where nothing else is said: tifffile.imwrite(file, array, "
            'photometric="minisblack", planarconfig="contig") keeps them together'
        )

    def colour_to_input(self, rgb: tuple[float, float, float]) -> Tensor | None:
        """A colour, three numbers in [0, 1], in input units: float32 [C]; None if the preprocess is not ours,
        or leaves a file's values as they are.

        Raises `UsageError` for a colour outside [0, 1].
        """
        if not isinstance(self.preprocess, Preprocess) or self.preprocess.values == RAW:
            return None
        if len(rgb) != 3 or not all(0 <= part <= 1 for part in rgb):
            raise UsageError(f"a colour is three numbers from 0 to 1, got {one_line(rgb, 60)}")
        colour = torch.tensor(rgb, dtype=torch.float32)
        if self.preprocess.channels != 3:  # the luminance that PIL uses, for bands as well
            luminance = (colour * torch.tensor([0.299, 0.587, 0.114])).sum()
            colour = luminance.expand(self.preprocess.channels)
        return self.preprocess.normalise(colour.view(-1, 1, 1)).view(-1)

    def to_image(self, input: Tensor) -> np.ndarray[Any, np.dtype[np.uint8]] | None:
        """The picture an input [C, H, W] stands for: uint8 [H, W, 3], clipped to what can be shown.

        None if the preprocess is not ours, takes another number of channels, or leaves a file's values as they are.
        """
        ours = self.preprocess
        if not isinstance(ours, Preprocess) or input.ndim != 3 or input.shape[0] != ours.channels:
            return None
        if ours.values == RAW:
            return None
        image = ours.denormalise(input.detach().to("cpu", torch.float32)).nan_to_num(0.0, 1.0, 0.0).clamp(0, 1)
        image = image if ours.channels in (1, 3) else image[list(ours.bands or (0, 1, 2)) if ours.channels > 3 else [0]]
        pixels = image.mul(255).round().to(torch.uint8).expand(3, -1, -1).permute(1, 2, 0)
        return np.ascontiguousarray(pixels.numpy())

    def _repr_html_(self) -> str:
        ours = self.preprocess
        made: Any = (
            f"by {getattr(ours, '__name__', type(ours).__name__)}, a function of your own" if ours else "not said"
        )
        if isinstance(ours, Preprocess):
            size = "any size" if ours.size is None else "×".join(map(str, ours.size))
            made = (
                f"{ours.channels}×{size}, {ours.mode} of {ours.resize or 'the photo'}, mean {ours.mean}, std {ours.std}"
            )
        some = "" if self.labels is None else ", ".join(str(self.label(n)) for n in range(min(5, len(self.labels))))
        named = [
            ("model", self.name), ("typed as", self.spec), ("network", type(self.module).__name__),
            ("parameters", _parameters(self.module)), ("weights", self.weights), ("input", made),
            ("assumed", self.assumed),
            ("classes", "" if self.labels is None else f"{len(self.labels):,}: {some}{', …' * (len(self.labels) > 5)}"),
        ]  # fmt: skip
        return pairs(named)

    def __repr__(self) -> str:
        classes = "" if self.labels is None else f", {len(self.labels)} labels"
        return f"Model({(self.spec or self.name)!r}, {type(self.module).__name__}{classes})"

    def fingerprint(self, contents: Contents | None = None) -> str:
        """16 hexadecimal digits of architecture and content; '' for a callable that is no module.

        Any change of a parameter or buffer changes it. Cached by each tensor's address, version and a sample of
        its values: only a write of single elements through ``.data`` after the first call can go unnoticed.
        ``contents`` are those that a prepared program depends on, compared to the bit in this call.
        """
        if not isinstance(self.module, nn.Module):
            return ""
        own = cached_fingerprint(self.module, contents)
        return own if self.inputs is None else of_inputs(own, self.inputs)


def _parameters(module: Any) -> int | None:
    """How many numbers a network has learnt; None for a function."""
    return sum(p.numel() for p in module.parameters()) if isinstance(module, nn.Module) else None
