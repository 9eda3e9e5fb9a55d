"""``python -m benchmarks.audit.animals PHOTOS``: the built-in network audited by the 200 photos; first as they are, a
class for each photo, then with its thousand answers added up to two, animal and thing, which they are enough for.
Prints both."""

from __future__ import annotations

import argparse
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

import seewhy

__all__ = ["Animals", "main"]

#: classes of ImageNet, in its order, that are animals; and the WordNet number of the first that is none
_ANIMALS, _FIRST_THING = 398, "n02514042"


class Animals(nn.Module):
    """The odds of any animal, and of anything else, of a classifier of ImageNet's classes."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        """Two logits a picture: the logarithm of the summed exponentials of either kind's."""
        said = self.classifier(x)
        return torch.stack((said[:, :_ANIMALS].logsumexp(1), said[:, _ANIMALS:].logsumexp(1)), 1)


def main(argv: Sequence[str] | None = None) -> None:
    """Audit twice."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit.animals")
    parser.add_argument("photos", type=Path, help="photos whose names begin with a WordNet number")
    parser.add_argument("--work", type=Path, default=Path("animals"), metavar="DIR", help="for pictures and results")
    asked = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    model = seewhy.load("builtin")
    print("\n".join(seewhy.audit(model, str(asked.photos)).sentences()), flush=True)
    for photo in sorted(asked.photos.iterdir()):
        place = asked.work / "photos" / ("animal" if photo.name < _FIRST_THING else "thing")
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, place)
    network = Animals(model.module).eval()
    two = seewhy.wrap(network, labels=["animal", "thing"], preprocess=model.preprocess)
    found = seewhy.audit(two, str(asked.work / "photos"))
    print("\n".join(found.sentences()))
    print(found.save(asked.work / "audit"))


if __name__ == "__main__":
    main()
