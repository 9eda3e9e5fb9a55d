"""The options that commands share: takes nothing, gives annotated types; parses none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = [
    "Arguments", "AsIs", "Backward", "Bands", "Baseline", "Bgr", "Channels", "Cmap", "Contour", "Contrast", "Device",
    "Dpi", "Enlarge", "Fill", "Force", "Format", "Frames", "Fuse", "Interpolation", "Json", "LabelFile", "Layers",
    "Mean", "Methods", "Mode", "ModelSpec", "NoCache", "Noise", "Opacity", "Out", "PhotoFiles", "Photos", "Picture",
    "Preset", "Quiet", "Range", "Reduce", "Report", "Resize", "SaveModel", "Scale", "Seed", "Segments", "Set", "Size",
    "SkipExisting", "Std", "Targets", "Trust", "TrustPickle", "Values", "Weights", "WeightsPart", "Whole", "Width",
]  # fmt: skip

_QUESTION, _PICTURES, _RUN = "The question", "The pictures", "The run"
_MODEL, _INPUT = "The model", "How a photo becomes the model's input"


def _option(*names: str, show: str, help: str, panel: str = _RUN, **more: Any) -> Any:
    # `show` is the word for the value in the help: shorter than the type's name, and it leaves the text some room
    return typer.Option(*names, metavar=show, help=help, rich_help_panel=panel, **more)


Photos = Annotated[
    list[str],
    typer.Argument(metavar="PHOTO", help="Image files, folders, patterns such as '*.jpg', films.", show_default=False),
]
PhotoFiles = Annotated[list[str], typer.Argument(metavar="PHOTO", help="Image files.", show_default=False)]
Frames = Annotated[
    int | None, _option("--frames", show="N", panel=_QUESTION, help="Of each film and animation, evenly spaced.")
]
Data = Annotated[
    str, typer.Argument(metavar="SOURCE", help="A folder, a CSV or Parquet table, shards, a COCO file...; or a URL.")
]
Column = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="WHAT=NAME", help="A column of a table: image=file, label=class, group=site."),
]
Table = Annotated[
    str | None, typer.Option("--table", metavar="FILE", help="A list of a folder's pictures and classes.")
]
ImagesFolder = Annotated[
    str | None, typer.Option("--images", metavar="FOLDER", help="Where a COCO file's pictures are.")
]
SkipExisting = Annotated[
    bool,
    _option(
        "--skip-existing", show="", help="Keep what an earlier run of the same question wrote; explain the rest."
    ),
]  # fmt: skip

Methods = Annotated[
    list[str] | None,
    _option(
        "--method", "-M", show="NAME", panel=_QUESTION, show_default=False,
        help="One of seewhy methods; repeatable.",
    ),
]  # fmt: skip
Targets = Annotated[
    list[str] | None,
    _option(
        "--target", "-t", show="CLASS", panel=_QUESTION,
        help="Class index or label (seewhy labels), CAT vs DOG, P(CAT), top-3, all, present, output 0, "
        "similar:PHOTO, CAT at 10,20,90,80 (a box), best CAT, region CAT, depth at 40,7; repeatable. Left out: the top "
        "class, or the surest object.",
    ),
]  # fmt: skip
Layers = Annotated[
    list[str] | None,
    _option(
        "--layer", "-l", show="NAME", panel=_QUESTION,
        help="One of seewhy layers, name#2 for its 2nd call; repeatable. Left out: chosen for CAMs, the input else.",
    ),
]  # fmt: skip
Contrast = Annotated[
    str | None,
    _option("--contrast", show="CLASS", panel=_QUESTION, help="Why this and not that: a class, or top-10 (CAMs only)."),
]
Fuse = Annotated[
    str | None, _option("--fuse", show="HOW", panel=_QUESTION, help="One map of several layers: mean or max.")
]
Trust = Annotated[
    bool,
    _option("--trust", show="", panel=_QUESTION, help="Measure how far to believe each map: a card beside it."),
]
NoCache = Annotated[
    bool,
    _option("--no-cache", show="", panel=_QUESTION, help="Test methods on this model anew, and keep no result."),
]
Reduce = Annotated[
    str | None,
    _option(
        "--reduce", show="HOW", panel=_QUESTION,
        help="Channels of gradient methods: max-abs, sum, l2, sum-abs, none.",
    ),
]  # fmt: skip
Backward = Annotated[
    str,
    _option(
        "--backward-rule", show="RULE", panel=_QUESTION, help="none, guided or relu, at every activation function."
    ),
]
Baseline = Annotated[
    str | None,
    _option(
        "--baseline", show="KIND", panel=_QUESTION,
        help="Of path methods: black, white, grey, mean, blur, noise, or a number.",
    ),
]  # fmt: skip
Fill = Annotated[
    str | None,
    _option(
        "--fill", show="KIND", panel=_QUESTION,
        help="Of perturbation methods: grey, mean, blur, inpaint, noise, black, white, or a number.",
    ),
]  # fmt: skip
Segments = Annotated[
    str | None,
    _option(
        "--segments", show="KIND", panel=_QUESTION,
        help="What is hidden together: slic, grid, or a number of superpixels.",
    ),
]  # fmt: skip
Set = Annotated[
    list[str] | None,
    _option(
        "--set", show="NAME=VALUE", panel=_QUESTION,
        help="A method's own parameter (seewhy methods NAME); repeatable.",
    ),
]  # fmt: skip
Noise = Annotated[
    str | None,
    _option(
        "--noise", show="STATISTIC", panel=_QUESTION,
        help="Maps of noisy copies of the photo taken together: smooth, squared or variance, with settings as in "
        "smooth,n=16,sigma=0.1.",
    ),
]  # fmt: skip
Seed = Annotated[int | None, _option("--seed", show="N", panel=_QUESTION, help="For methods that draw random numbers.")]

Prepare = Annotated[
    str,
    _option(
        "--prepare", show="WHEN", panel=_QUESTION,
        help="A faster form of the network: auto (once it is worth it), on, verify (compared with it in every "
        "call) or off.",
    ),
]  # fmt: skip

Format = Annotated[
    list[str] | None,
    _option(
        "--format", show="KIND", panel=_PICTURES,
        help="png (the default), jpg, svg, pdf, npz for the numbers, nii.gz for a volume's; repeatable.",
    ),
]  # fmt: skip
Picture = Annotated[
    str,
    _option(
        "--picture", show="KIND", panel=_PICTURES,
        help="figure (photo and overlay, titled), overlay, heatmap, or relief (guided maps, signed, about grey); an "
        "SVG is always the figure.",
    ),
]  # fmt: skip
Opacity = Annotated[float | None, _option("--opacity", show="SHARE", panel=_PICTURES, help="Of the overlay, 0 to 1.")]
Cmap = Annotated[
    str | None,
    _option("--cmap", show="NAME", panel=_PICTURES, help="ember, fern, gray, blue-red, or any of matplotlib's."),
]
Contour = Annotated[
    list[float] | None,
    _option(
        "--contour", show="SHARE", panel=_PICTURES,
        help="A line where the map reaches this share of its maximum; repeatable.",
    ),
]  # fmt: skip
Mode = Annotated[
    str | None,
    _option("--mode", show="HOW", panel=_PICTURES, help="alpha (opacity grows with evidence), blend or mask."),
]

Width = Annotated[
    int | None,
    _option(
        "--width", show="PIXELS", panel=_PICTURES,
        help="Of each picture. Left out: what the model sees of the photo, in the photo's own pixels.",
    ),
]  # fmt: skip
Dpi = Annotated[
    float | None, _option("--dpi", show="N", panel=_PICTURES, help="Pixels an inch in print; 96 in a PDF if left out.")
]
Enlarge = Annotated[
    str | None,
    _option(
        "--enlarge", show="HOW", panel=_PICTURES,
        help="How few values become many pixels: bicubic (the default), bilinear, gaussian. Values stay as they are.",
    ),
]  # fmt: skip
Scale = Annotated[
    str | None,
    _option(
        "--scale", show="HOW", panel=_PICTURES,
        help="Colours: each map's own, or shared by a photo's maps of one method, layer and unit.",
    ),
]  # fmt: skip

ModelSpec = Annotated[
    str,
    _option(
        "--model", "-m", show="SPEC", panel=_MODEL,
        help="builtin, torchvision:NAME, timm:NAME, keras:FILE, keras:NAME, onnx:FILE, hf:DIR, pt2:FILE or "
        "python:package.module:callable.",
    ),
]  # fmt: skip
Weights = Annotated[
    str,
    _option(
        "--weights", show="FILE", panel=_MODEL,
        help="auto (what is on this machine), random, or a file: safetensors, or .pth without code in it.",
    ),
]  # fmt: skip
LabelFile = Annotated[
    str | None,
    _option("--labels", show="FILE", panel=_MODEL, help="Class names, .txt or .json, instead of the model's own."),
]
WeightsPart = Annotated[
    str | None,
    _option(
        "--weights-part", show="NAME", panel=_MODEL,
        help="Of a file with several networks: the table, or what the names begin with.",
    ),
]  # fmt: skip
Arguments = Annotated[
    list[str] | None,
    _option(
        "--arg", show="NAME=VALUE", panel=_MODEL,
        help="For what builds a python: network, as in num_classes=10; repeatable.",
    ),
]  # fmt: skip
SaveModel = Annotated[
    str | None,
    _option(
        "--save-model", show="NAME", panel=_MODEL,
        help="Remember all this in seewhy.toml; from then on: --model NAME.",
    ),
]  # fmt: skip
Preset = Annotated[
    str | None,
    _option(
        "--preprocess", show="KIND", panel=_INPUT,
        help="What pixels become, instead of the model's own: unit, signed, bytes, imagenet, caffe.",
    ),
]  # fmt: skip
Size = Annotated[
    str | None,
    _option(
        "--size", show="N", panel=_INPUT,
        help="Of the input: 32, height x width as in 192x256, of volumes depth first as in 32x64x64.",
    ),
]  # fmt: skip
Resize = Annotated[
    str | None,
    _option(
        "--resize", show="N", panel=_INPUT,
        help="What the photo is resized to before the middle is taken: its shorter side, height x width, or none.",
    ),
]  # fmt: skip
Interpolation = Annotated[
    str | None,
    _option("--interpolation", show="HOW", panel=_INPUT, help="bilinear, bicubic, nearest, lanczos, box."),
]
Mean = Annotated[
    str | None,
    _option("--mean", show="NUMBERS", panel=_INPUT, help="Of each channel, as in .49,.48,.45, or one for all."),
]
Std = Annotated[str | None, _option("--std", show="NUMBERS", panel=_INPUT, help="Of each channel, as in .25,.24,.26.")]
Channels = Annotated[
    int | None, _option("--channels", show="N", panel=_INPUT, help="Of the input: 1 is grey, more than 3 are bands.")
]
Bgr = Annotated[bool, _option("--bgr", show="", panel=_INPUT, help="Channels are blue, green, red.")]
Range = Annotated[
    float | None,
    _option(
        "--range", show="TOP", panel=_INPUT,
        help="The largest value of an input before mean and std, which are counted so, too: 255; 1 if left out.",
    ),
]  # fmt: skip
Values = Annotated[
    str | None,
    _option(
        "--values", show="LOW,HIGH", panel=_INPUT,
        help="Of DICOM and NIfTI files, those that become 0 and 1, as in -1000,400, or raw: instead of their picture.",
    ),
]  # fmt: skip
Bands = Annotated[
    str | None,
    _option(
        "--bands", show="R,G,B", panel=_INPUT,
        help="Which of more than three bands pictures show, counted from 1, as in 4,3,2.",
    ),
]  # fmt: skip
Whole = Annotated[
    str | None,
    _option("--whole", show="HOW", panel=_INPUT, help="Cut nothing off: letterbox (padded) or squash (stretched)."),
]
AsIs = Annotated[
    bool,
    _option("--as-is", show="", panel=_INPUT, help="Photos are inputs already: resize, cut off and pad nothing."),
]
TrustPickle = Annotated[
    bool,
    _option(
        "--trust-pickle", show="", panel=_MODEL, help="Run the code inside a weights file. Only for files you made."
    ),
]
Device = Annotated[str, _option("--device", show="NAME", panel=_MODEL, help="cpu, cuda, cuda:1, mps...")]

Out = Annotated[Path, _option("--out", "-o", show="FOLDER", help="Where the files go; made if missing.")]
Force = Annotated[
    bool, _option("--force", show="", help="Replace files of the same name instead of numbering new ones.")
]
Report = Annotated[
    Path | None,
    _option(
        "--report", show="FILE.html",
        help="One HTML file with everything, to open and to hand on; needs no network.",
    ),
]  # fmt: skip
Json = Annotated[bool, _option("--json", show="", help="Print one JSON document on stdout.")]
Quiet = Annotated[bool, _option("--quiet", "-q", show="", help="No progress and no notes on stderr; errors stay.")]
