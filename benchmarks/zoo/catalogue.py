"""Catalogue: takes the name of a zoo, gives names of small members of all its families, and each built, untrained."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.zoo.shrinking import HF_KINDS, hf_model

__all__ = ["ZOOS", "Exhibit", "build", "names"]

ZOOS = ("timm", "torchvision", "transformers", "keras")


@dataclass(frozen=True, eq=False)
class Exhibit:
    """A network and how it is asked: inputs' sizes to try in order, channels last or not, and ``score``, from its raw
    output to one number an image."""

    net: nn.Module
    sizes: tuple[tuple[int, int], ...]
    score: Callable[[Any], Tensor]
    target: Any
    last: bool = False


def names(zoo: str) -> list[str]:
    """One small member of each family of a zoo."""
    if zoo == "timm":
        return _timm_names()
    if zoo == "torchvision":
        from torchvision import models

        found = [*models.list_models(module=models), *models.list_models(module=models.segmentation)]
        found += models.list_models(module=models.detection)
        small = [
            n for n in found if not re.search(r"(_l|_h)_\d|_(16|32|8|128|3_2)gf|64x4d|b[67]$|_l$|_base|_large$", n)
        ]
        return sorted({*small, "mobilenet_v3_large"})
    if zoo == "keras":
        return [
            "ConvNeXtTiny", "DenseNet121", "DenseNet169", "EfficientNetB0", "EfficientNetB1", "EfficientNetV2B0",
            "EfficientNetV2B1", "EfficientNetV2S", "InceptionResNetV2", "InceptionV3", "MobileNet", "MobileNetV2",
            "MobileNetV3Large", "MobileNetV3Small", "NASNetMobile", "ResNet50", "ResNet50V2", "ResNet101", "VGG16",
            "VGG19", "Xception",
        ]  # fmt: skip
    return list(HF_KINDS())


def _timm_names() -> list[str]:
    """The smallest member of each family of each of timm's modules, as listed beside this file, where modules take
    turns: whoever stops early has seen one of each."""
    import timm

    listed = (Path(__file__).parent / "timm.txt").read_text().split()
    known = set(timm.list_models())
    return [name for name in listed if name in known]


def build(zoo: str, name: str, oblong: bool) -> Exhibit:
    """The member called ``name`` with weights drawn from seed 0, for square or for oblong inputs."""
    torch.manual_seed(0)
    if zoo == "transformers":
        net, size, kind = hf_model(name, oblong)
        return _exhibit(net.eval(), (size,), kind)
    if zoo == "keras":
        import keras

        sizes = ((96, 139), (128, 160)) if oblong else ((96, 96), (128, 128))
        options = (
            {"include_preprocessing": False} if name.startswith(("MobileNetV3", "EfficientNetV2", "ConvNeXt")) else {}
        )
        if name == "NASNetMobile":
            sizes = ((224, 224),)
        net = getattr(keras.applications, name)(
            weights=None, classifier_activation=None, classes=10, input_shape=(*sizes[0], 3), **options
        )
        return _exhibit(net, sizes[:1], "classes", last=True)
    if zoo == "torchvision":
        from torchvision import models

        net, kind = _torchvision(models, name)
        sizes = ((120, 167), (224, 256)) if oblong else ((128, 128), (224, 224))
        if name.startswith(("vit", "maxvit")):
            sizes = ((224, 224),)
        if name == "inception_v3":
            sizes = ((235, 331),) if oblong else ((299, 299),)
        return _exhibit(net.eval(), sizes, kind)
    net, sizes = _timm(name, oblong)
    return _exhibit(net.eval(), sizes, "classes")


def _torchvision(models: Any, name: str) -> tuple[nn.Module, str]:
    if name in models.list_models(module=models.detection):
        # few objects: what a thousand boxes take says nothing more
        options: dict[str, Any] = {"rpn_post_nms_top_n_test": 30, "box_detections_per_img": 5, "box_score_thresh": 0.0}
        if name.startswith(("ssd", "retina", "fcos")):
            options = {"score_thresh": 0.0, "topk_candidates": 30, "detections_per_img": 5}
        net = models.get_model(name, weights=None, weights_backbone=None, **options)
        net.transform.min_size, net.transform.max_size = (160,), 256
        return net, "objects"
    kind = "places" if name in models.list_models(module=models.segmentation) else "classes"
    options = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    if kind == "places":
        options = {"weights_backbone": None}
    net = models.get_model(name, weights=None, **options)
    for part in net.modules():  # heads that are zero at first let no gradient through
        if isinstance(part, nn.Linear) and not bool(part.weight.any()):
            nn.init.normal_(part.weight, std=0.02)
    return net, kind


def _timm(name: str, oblong: bool) -> tuple[nn.Module, tuple[tuple[int, int], ...]]:
    import timm

    wanted = (96, 160) if oblong else (128, 128)
    try:
        given = timm.get_pretrained_cfg(name)
        own = (224, 224) if given is None else tuple(given.input_size[1:])
        fixed = given is not None and given.fixed_input_size
    except Exception:  # a name without a configuration of its own
        own, fixed = (224, 224), False
    free = ((113, 167), (128, 160), (224, 288)) if oblong else ((128, 128),)
    for options in ({"img_size": wanted, "depth": 3}, {"img_size": wanted}, {"depth": 3}, {}):
        try:
            net = timm.create_model(name, pretrained=False, num_classes=10, **options)
        except Exception:  # an option that this family has not
            continue
        break
    sizes: tuple[tuple[int, int], ...] = (wanted, own) if "img_size" in options else (own,) if fixed else (*free, own)
    with torch.no_grad():
        for key, weight in net.named_parameters():  # layer scales, heads and biases that are next to zero at first
            if weight.ndim > 1 and float(weight.std()) < 1e-3:
                nn.init.normal_(weight, std=0.02)
            elif "gamma" in key and weight.ndim == 1 and float(weight.abs().max()) < 1e-2:
                weight.fill_(0.5)
    return net, sizes


def _exhibit(net: nn.Module, sizes: tuple[tuple[int, int], ...], kind: str, last: bool = False) -> Exhibit:
    if kind == "classes":
        return Exhibit(net, sizes, lambda out: _main(out)[:, 1], 1, last)
    if kind == "objects":

        def first(out: Any) -> Tensor:
            return torch.stack([each["scores"][0] for each in out])

        return Exhibit(net, sizes, first, first)
    if kind == "queries":

        def query(out: Any) -> Tensor:
            scores = getattr(out, "class_queries_logits", None)
            scores = _main(out) if scores is None else scores
            return _region(scores) if scores.ndim == 4 else scores[:, 3, 0]  # those of text put out maps

        return Exhibit(net, sizes, query, query)
    return Exhibit(net, sizes, _region, _region)


def _region(out: Any) -> Tensor:
    """The mean of a quarter of a channel, from an output of maps."""
    maps = _main(out)
    maps = maps if maps.ndim == 4 else maps[:, None]
    rows, columns = maps.shape[2] // 2, maps.shape[3] // 2
    return maps[:, min(1, maps.shape[1] - 1), : max(rows, 1), : max(columns, 1)].mean((1, 2))


def _main(out: Any) -> Tensor:
    if isinstance(out, Tensor):
        return out
    for key in ("logits", "out", "predicted_depth", "depth", "class_queries_logits"):
        found = out.get(key) if isinstance(out, dict) else getattr(out, key, None)
        if isinstance(found, Tensor):
            return found
    return _main(out[0])
