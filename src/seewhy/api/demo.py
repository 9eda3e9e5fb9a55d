"""The demonstration: takes a folder, gives pictures of the built-in network's reasons on photos that come with the
package."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from PIL import Image

from seewhy.api.explaining import Progress, explain_all
from seewhy.explanation import Explanations
from seewhy.models import load
from seewhy.render import write

__all__ = ["Demo", "mosaic", "run_demo"]

_PHOTOS = ("chelsea.png", "coffee.png")
_FINE = ("saliency", "guided-backprop", "guided-grad-cam")
_COARSE = "grad-cam"
#: a layer of the built-in network with a grid of 14x14: finer than the last one's 7x7
_MIDDLE = "blocks.4"


@dataclass
class Demo:
    """What was made: predictions in words by photo, pictures with what they show, and the photos themselves."""

    predictions: dict[str, str] = field(default_factory=dict)
    pictures: list[tuple[Path, str]] = field(default_factory=list)
    photos: list[Path] = field(default_factory=list)


def run_demo(folder: Path, progress: Progress) -> Demo:
    """Explain the cat, the cup and a picture of both; pictures go into ``folder``, replacing an earlier demo's."""
    folder.mkdir(parents=True, exist_ok=True)
    model, done = load("builtin"), Demo()
    for name in _PHOTOS:
        photo = folder / name
        with resources.as_file(resources.files("seewhy.photos") / name) as shipped:
            shutil.copyfile(shipped, photo)
        done.photos.append(photo)
        explanations = Explanations(
            [
                *explain_all(model, photo, progress=progress, method=[*_FINE, _COARSE]),
                *explain_all(model, photo, progress=progress, method=["hires-cam"], layer=_MIDDLE),
            ]
        )
        done.predictions[name] = str(explanations[0].prediction)
        path = write(explanations.grid(cell=260, columns=4), folder / f"why-{photo.stem}.png", force=True)
        done.pictures.append((path, f"five answers to: why {explanations[0].target!r}?"))
    both = folder / "both.png"
    write(mosaic(done.photos), both, force=True)
    cat, cup = (done.predictions[name].rsplit(" ", 1)[0] for name in _PHOTOS)
    plain = explain_all(model, both, progress=progress, method=[_COARSE], target=[cat, cup])
    apart = [
        *explain_all(model, both, progress=progress, method=[_COARSE], target=[cat], contrast=cup),
        *explain_all(model, both, progress=progress, method=[_COARSE], target=[cup], contrast=cat),
    ]
    explanations = Explanations([plain[0], apart[0], plain[1], apart[1]])
    path = write(explanations.grid(cell=260, scale="each"), folder / "which-is-where.png", force=True)
    done.pictures.append((path, f"{cat!r} and {cup!r} in one picture: each for itself, and each against the other"))
    return done


def mosaic(photos: list[Path], side: int = 320) -> Image.Image:
    """Two photos side by side in one square picture, each filling its half."""
    canvas = Image.new("RGB", (2 * (side // 2), side))
    for n, path in enumerate(photos[:2]):
        photo = Image.open(path).convert("RGB")
        wide, high = side // 2, side
        scale = max(wide / photo.width, high / photo.height)
        photo = photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.LANCZOS)
        left, top = (photo.width - wide) // 2, (photo.height - high) // 2
        canvas.paste(photo.crop((left, top, left + wide, top + high)), (n * wide, 0))
    return canvas
