"""Shrinking: takes a class of transformers that sees pictures, gives a small untrained one from its configuration."""

from __future__ import annotations

from typing import Any

from torch import nn

__all__ = ["HF_KINDS", "hf_model"]

_KINDS = {
    "IMAGE_CLASSIFICATION": "classes",
    "SEMANTIC_SEGMENTATION": "places",
    "UNIVERSAL_SEGMENTATION": "queries",
    "INSTANCE_SEGMENTATION": "queries",
    "OBJECT_DETECTION": "queries",
    "DEPTH_ESTIMATION": "places",
}
#: numbers that configurations share, made small
_SCALARS = {
    "hidden_size": 32, "d_model": 32, "embed_dim": 32, "intermediate_size": 48, "num_hidden_layers": 3,
    "num_attention_heads": 2, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_hidden_dim": 32, "num_queries": 20,
    "d_latents": 32, "num_latents": 16, "num_self_attends_per_block": 2, "decoder_hidden_size": 32, "n_embd": 32,
    "n_layer": 2, "n_head": 2, "fusion_hidden_size": 32, "head_hidden_size": 16, "mask_feature_size": 32,
    "feature_size": 32, "hidden_dim": 32, "num_key_value_heads": 2,
}  # fmt: skip
_OF_FAMILY: dict[str, dict[str, Any]] = {
    "hiera": {"depths": [1, 2, 2, 1], "embed_dim": 32, "num_heads": [1, 2, 4, 8]},
    "levit": {"hidden_sizes": [32, 48, 64], "num_attention_heads": [2, 3, 4], "depths": [2, 2, 2], "key_dim": [16] * 3},
    "dinat": {"embed_dim": 16, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 4, 8], "kernel_size": 3},
    "cvt": {"depth": [1, 1, 3], "embed_dim": [16, 32, 64]},
    "eomt": {"num_hidden_layers": 4, "num_blocks": 2, "num_upscale_blocks": 1},
    "eomt_dinov3": {"num_hidden_layers": 4, "num_blocks": 2, "num_upscale_blocks": 1},
    "perceiver": {"num_self_attention_heads": 2},
}
#: what configurations need whatever their size
_NEEDED: dict[str, dict[str, Any]] = {
    "PerceiverForImageClassificationLearned": {"num_cross_attention_heads": 1},
    "PerceiverForImageClassificationFourier": {"num_cross_attention_heads": 1},
    "PerceiverForImageClassificationConvProcessing": {"num_cross_attention_heads": 1},
    "BeitForSemanticSegmentation": {"num_hidden_layers": 4, "out_indices": [1, 2, 3, 4]},
    "DPTForSemanticSegmentation": {"num_hidden_layers": 4, "backbone_out_indices": [0, 1, 2, 3]},
    "DPTForDepthEstimation": {"num_hidden_layers": 4, "backbone_out_indices": [0, 1, 2, 3]},
}
#: sides of inputs of networks that read every pixel as a token
_SIDES = {"PerceiverForImageClassificationLearned": ((32, 32), (24, 40))}


def HF_KINDS() -> dict[str, str]:  # noqa: N802 - read as the table that it is
    """Names of transformers' classes for pictures, with how each is asked."""
    from transformers.models.auto import modeling_auto

    found: dict[str, str] = {}
    for task, kind in _KINDS.items():
        for each in getattr(modeling_auto, f"MODEL_FOR_{task}_MAPPING_NAMES", {}).values():
            for name in (each,) if isinstance(each, str) else each:
                found.setdefault(name, kind)
    return found


def hf_model(name: str, oblong: bool, largest: int = 2) -> tuple[nn.Module, tuple[int, int], str]:
    """The class called ``name``, small (``largest`` 2; 1 shallow, 0 as it comes), with the size of its inputs and how
    it is asked."""
    import transformers

    kind = HF_KINDS()[name]
    made: Any = getattr(transformers, name)
    errors = []
    for level in range(largest, -1, -1):
        sizes = ((96, 144), (128, 160), (64, 64)) if oblong else ((128, 128), (64, 64), (224, 224))
        for size in (_SIDES[name][oblong],) if name in _SIDES else sizes:
            try:
                net = made(_config(made.config_class, size, level, _NEEDED.get(name, {}))).eval()
                _try(net, size)
            except Exception as error:  # what does not fit together is tried less small
                errors.append(f"{type(error).__name__}: {error}".splitlines()[0][:120])
                continue
            return net, size, kind
    raise RuntimeError(f"no small configuration found: {errors[0]}")


def _try(net: nn.Module, size: tuple[int, int]) -> None:
    import torch

    with torch.no_grad():
        net(torch.randn(1, 3, *size))


def _config(kind: Any, size: tuple[int, int], level: int, needed: dict[str, Any]) -> Any:
    """A configuration of ``kind`` with what it has ``needed``: 2 as small as can be, 1 shallow, 0 as it comes."""
    config = kind()
    options: dict[str, Any] = {"num_labels": 5}
    values = config.to_dict()
    if "image_size" in values:
        options["image_size"] = list(size) if isinstance(values["image_size"], list | tuple) else size[0]
        if size[0] != size[1]:
            options["image_size"] = list(size)
    if level:
        options |= _small(values, level)
        options |= _OF_FAMILY.get(getattr(kind, "model_type", ""), {}) if level == 2 else {}
    nested = {}
    for key, value in values.items():
        if isinstance(value, dict) and "model_type" in value and level:
            inner = getattr(config, key)
            nested[key] = type(inner)(**(value | _small(value, level) | _sized(value, size)))
    if "use_pretrained_backbone" in values:
        options |= {"use_pretrained_backbone": False}
    return kind(**(options | nested | needed))


def _sized(values: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    if "image_size" not in values:
        return {}
    return {"image_size": size[0] if size[0] == size[1] else list(size)}


def _small(values: dict[str, Any], level: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if level == 2 and key in _SCALARS and isinstance(value, int) and not isinstance(value, bool):
            found[key] = min(value, _SCALARS[key])
        elif key in ("num_hidden_layers", "encoder_layers", "decoder_layers") and isinstance(value, int):
            found[key] = min(value, 3)
        elif (
            level == 2 and key in ("hidden_sizes", "embed_dims", "neck_hidden_sizes", "decoder_hidden_sizes") and value
        ):
            found[key] = [_least(n) if isinstance(n, int) else n for n in value]
        elif key in ("depths", "num_encoder_blocks_depths", "layer_depths") and isinstance(value, list):
            found[key] = [min(n, 2) if isinstance(n, int) else n for n in value]
    if isinstance(values.get("hidden_size"), int) and "hidden_sizes" in values:
        found.pop("hidden_size", None)
    if "out_indices" in values and values.get("num_hidden_layers"):
        found.pop("num_hidden_layers", None)
    return found


def _least(width: int) -> int:
    """A width an eighth as large, still a multiple of 16."""
    return max(16, width // 8 // 16 * 16)
