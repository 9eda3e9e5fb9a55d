"""What a repair writes of a model: takes a mended head or projections, gives files that load into somebody's own
network without this library, and the lines to type."""

from __future__ import annotations

import inspect
import io
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seewhy.api.repairing.heads import Mended
from seewhy.api.repairing.projections import Projected
from seewhy.audits.mending.projection import Projection
from seewhy.core.network.foreign import Foreign
from seewhy.models._keras_network import KerasNetwork
from seewhy.models.last_layer import linear_layers

__all__ = ["files_of_head", "files_of_projection", "page_of_data", "page_of_masks"]


def files_of_head(mended: Mended) -> dict[str, bytes]:
    """``head.pt``, a state dict with the network's own names of the layer's parameters; of Keras, and of other
    frameworks, ``head.npz``."""
    root, name = mended.model.network().root, mended.name
    if isinstance(root, nn.Module) and not isinstance(root, Foreign):
        held = {key: value.detach().cpu().clone() for key, value in root.get_submodule(name).named_parameters(name)}
        return {"head.pt": _saved(held), "README.md": page(f"The last layer, `{name}`, fitted again", _TORCH)}
    arrays: dict[str, Any]
    layer = next(each for each in linear_layers(mended.model) if each.name == name)
    if isinstance(root, KerasNetwork):
        arrays = {"kernel": layer.weight.T.numpy()}
        dense = next(each for each in root.model.layers if each.name == name)
        weights = 'head["kernel"]'
        if dense.bias is not None:
            arrays["bias"], weights = layer.bias.numpy(), 'head["kernel"], head["bias"]'
        lines = _KERAS.format(name=name, weights=weights)
    else:
        arrays, lines = {"weight": layer.weight.numpy(), "bias": layer.bias.numpy()}, _OTHERS.format(name=name)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return {"head.npz": buffer.getvalue(), "README.md": page(f"The last layer, `{name}`, fitted again", lines)}


def files_of_projection(made: Projected) -> dict[str, bytes]:
    """``project.pt``, a state dict of the projections in their order, and ``projection.py``, which puts them into a
    network and needs torch alone."""
    held = nn.Sequential(*made.modules).state_dict()
    code = _SNIPPET.format(
        layer=made.layer,
        axis=made.modules[0].axis,
        count=len(made.modules),
        code=inspect.getsource(Projection).rstrip(),
    )
    told = page(f"The cue projected out of what `{made.layer}` gives", _PROJECT)
    return {"project.pt": _saved(held), "projection.py": code.encode(), "README.md": told}


def _saved(state: dict[str, Tensor]) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def page_of_data(*, held: bool) -> bytes:
    """What is in a counterfactual training folder, and what to do with it; ``held`` says if some were held out."""
    return page("Counterfactual training pictures", _DATA, _HELD if held else "", _AFTER)


def page_of_masks() -> bytes:
    """What masks are for."""
    return page("Where the cue is, for a training of your own", _LOSS, _AFTER)


def page(title: str, *paragraphs: str) -> bytes:
    """A page of Markdown."""
    text = "\n\n".join(each.strip() for each in (f"# {title}", *paragraphs, _SAID) if each)
    return f"{text}\n".encode()


_SAID = "`repair.md` says what was found and done."

_TORCH = """
In your own code, after the network's weights are loaded:

```py
import torch
model.load_state_dict(torch.load("head.pt", weights_only=True), strict=False)
```

Everything before that layer stays as it was.
"""

_KERAS = """
In your own code, after the network's weights are loaded:

```py
head = numpy.load("head.npz")
model.get_layer("{name}").set_weights([{weights}])
```

Everything before that layer stays as it was.
"""

_OTHERS = """
The network is of a framework into which nothing can be written from here: `head.npz` holds `weight` [classes, features]
and `bias` [classes] of its last linear layer, `{name}`. Put them where the network was made, and export it again.
"""

_PROJECT = """
In your own code, after the network's weights are loaded (its parameters have other names afterwards):

```py
from projection import inserted  # projection.py and project.pt lie side by side
model = inserted(model)
```

It needs torch alone.
"""

_DATA = """
`data/CLASS/` has every training picture as it is, and beside them those with the cue once more without it, and as large
a share of each other class once more with it, so that the cue says next to nothing of the class. `pictures.csv` says
what each is. Train on the folder as you did before, in any framework, with the same resize and crop:

```py
from torchvision.datasets import ImageFolder
data = ImageFolder("data", transform)  # classes are in the order of their folders' names
```

`collect.md` says what real pictures would do more.
"""

_HELD = "`held-out/CLASS/` has a quarter of the training pictures, which are not in `data/`: do not train on them."

_LOSS = """
`masks/` has a mask for each training picture that has its class's cue, at the size of the network's input: 255 where
the cue is. `masks.csv` says of which picture each is; pictures that are not listed have no cue. Pictures that
`held-out.csv` lists, if it is there, are not to be trained on. In your own training loop:

```py
inputs.requires_grad_()
scores = model(inputs)
loss = cross_entropy(scores, labels) + weight * seewhy.evidence_penalty(scores, inputs, masks)  # masks [B, H, W]
```

Begin with a small weight (0.1) and double it as long as pictures of the class without the cue gain; with too much of it
the network gives the class up.
"""

_AFTER = """
Then have the trained model audited beside the one before, on pictures that it was not trained on; `audit-again.md` says
what the one before does on them:

```sh
seewhy audit HELD-OUT --model BEFORE --against AFTER
```
"""

_SNIPPET = '''"""A cue projected out of what a layer gives; written by `seewhy repair`, needs torch alone."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

LAYER, AXIS, COUNT = "{layer}", {axis}, {count}


{code}


def inserted(model: nn.Module) -> nn.Module:
    """``model`` with the projections behind its layer, in place."""
    state = torch.load(Path(__file__).with_name("project.pt"), weights_only=True)
    made = [Projection(state[f"{{n}}.along"], state[f"{{n}}.level"], AXIS) for n in range(COUNT)]
    parent, _, own = LAYER.rpartition(".")
    holder = model.get_submodule(parent)
    setattr(holder, own, nn.Sequential(getattr(holder, own), *made))
    return model
'''
