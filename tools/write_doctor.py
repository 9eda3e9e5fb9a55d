"""``python tools/write_doctor.py``: writes docs/doctor.md from the defects that the doctor knows."""

from __future__ import annotations

from pathlib import Path

from seewhy.api.defects import DEFECTS

PAGE = Path(__file__).parent.parent / "docs" / "doctor.md"

INTRO = """# The doctor

```sh
seewhy doctor --model torchvision:resnet18 --weights random
seewhy doctor photo.jpg --model keras:mine.keras --method grad-cam --method occlusion
```

```python
found = seewhy.diagnose(model)  # or with a photo, and methods=[...]
found.healthy, found.findings, found.facts, found.methods
```

It runs the model on a photo that comes along (or yours), looks at a few plain forwards and one backward, and says in
words what it is, what is the matter, and what to do. Then it tries every method: whether it works on this model, why
not, and what a map costs on this machine; one that takes more than a second is cut short and its cost reckoned. The
model is left as it was. Exit code 1 if anything is worse than a note. This page is written by
`python tools/write_doctor.py`.

`found.grid.picture()`, or `--grid proof.png`, shows how the grid of the layer for class activation maps was proved
([layers](layers.md)): which rows and columns of the picture were changed, and which positions answered.

## What it knows

| code | what is wrong |
|---|---|
"""


def page() -> str:
    """The whole page."""
    rows = [f"| `{code}` | {' '.join((check.__doc__ or '').split())} |" for code, check in DEFECTS.items()]
    return INTRO + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
