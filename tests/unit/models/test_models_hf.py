"""Hugging Face directories: network, processor and labels as they were saved, without the network and without code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import seewhy
from seewhy import Preprocess
from seewhy.core.network.outputs import main_tensor
from seewhy.errors import ModelError, UnsafeModel

transformers = pytest.importorskip("transformers")
NAMES = {"num_labels": 3, "id2label": {0: "cat", 1: "dog", 2: "hen"}, "label2id": {"cat": 0, "dog": 1, "hen": 2}}


def vit(**more: Any) -> Any:
    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=32, patch_size=8,
        **more,
    )  # fmt: skip
    return transformers.ViTForImageClassification(config)


def make(kind: str) -> tuple[Any, Any, Preprocess | None]:
    """A tiny network with random weights, a processor, and what the processor amounts to."""
    t = transformers
    if kind == "vit":
        ours = Preprocess((32, 32), (32, 32), "squash", (0.5,) * 3, (0.5,) * 3)
        return vit(**NAMES), t.ViTImageProcessor(size={"height": 32, "width": 32}), ours
    if kind == "bytes":
        processor = t.ViTImageProcessor(size={"height": 32, "width": 32}, do_rescale=False, do_normalize=False)
        ours = Preprocess((32, 32), (32, 32), "squash", (0.0,) * 3, (1 / 255,) * 3)
        return vit(**NAMES), processor, ours
    if kind == "resnet":
        config = t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", **NAMES)
        mean, std = (0.5,) * 3, (0.5,) * 3
        processor = t.ConvNextImageProcessor(size={"shortest_edge": 64}, image_mean=mean, image_std=std)
        return (
            t.ResNetForImageClassification(config),
            processor,
            Preprocess((64, 64), 73, "crop", mean, std, "bicubic", floor=True),
        )
    if kind == "swin":
        config = t.SwinConfig(
            image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4, **NAMES
        )
        processor = t.CLIPImageProcessor(size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32})
        return t.SwinForImageClassification(config), processor, None
    config = t.SegformerConfig(
        num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[8, 16], patch_sizes=[3, 3], strides=[2, 2],
        num_attention_heads=[1, 2], mlp_ratios=[2, 2], decoder_hidden_size=16, **NAMES,
    )  # fmt: skip
    processor = t.SegformerImageProcessor(size={"height": 32, "width": 32})
    return t.SegformerForSemanticSegmentation(config), processor, None


def photo() -> Image.Image:
    return Image.fromarray(np.random.default_rng(2).integers(0, 256, (50, 40, 3), dtype=np.uint8))


def save(folder: Path, kind: str = "vit") -> tuple[Any, Any, Any]:
    with torch.random.fork_rng([]):
        torch.manual_seed(7)
        module, processor, ours = make(kind)
    module.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return module, processor, ours


@pytest.mark.parametrize("kind", ["vit", "bytes", "resnet", "swin", "segformer"])
def test_a_directory(tmp_path: Path, kind: str, capfd: Any) -> None:
    module, processor, ours = save(tmp_path / "net", kind)
    capfd.readouterr()
    model = seewhy.load(f"hf:{tmp_path / 'net'}")
    assert capfd.readouterr() == ("", "")
    assert isinstance(model.preprocess, Preprocess)
    assert ours is None or model.preprocess == ours
    assert model.labels == ("cat", "dog", "hen")
    assert model.assumed == ""
    assert model.name == "net"
    exact = processor(images=photo(), return_tensors="pt")["pixel_values"].float()
    close = 2.01 / 255 / min(model.preprocess.std)
    assert torch.allclose(model.preprocess(photo())[None], exact, atol=close)
    with torch.no_grad():
        assert torch.allclose(main_tensor(model.module(exact)), module(exact).logits, atol=1e-5)
    target = (lambda output: output.logits[:, 1].mean((1, 2))) if kind == "segformer" else "dog"
    found = seewhy.explain_all(model, photo(), method=["saliency", "grad-cam", "rise"], target=target, n=8)
    assert all(one.values.shape and np.isfinite(one.values).all() for one in found)


def _tiny(kind: str) -> Any:
    t = transformers
    small = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16, "patch_size": 8}
    if kind == "yolos":
        config = t.YolosConfig(num_hidden_layers=2, image_size=[32, 32], num_detection_tokens=4, **small, **NAMES)
        return t.YolosForObjectDetection(config), t.YolosImageProcessor(size={"height": 32, "width": 32})
    config = t.DPTConfig(
        num_hidden_layers=4, image_size=32, backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=16, **small,
    )  # fmt: skip
    return t.DPTForDepthEstimation(config), t.DPTImageProcessor(size={"height": 32, "width": 32})


@pytest.mark.parametrize(("kind", "target"), [("yolos", "best hen"), ("dpt", "depth at 10,20")])
def test_directories_of_detectors_and_of_depth(tmp_path: Path, kind: str, target: str) -> None:
    with torch.random.fork_rng([]):
        torch.manual_seed(7)
        module, processor = _tiny(kind)
    if kind == "dpt":  # no zeros behind its last rectifier
        torch.nn.init.ones_(module.head.head[4].bias)
    module.eval().save_pretrained(tmp_path / "net")
    processor.save_pretrained(tmp_path / "net")
    model = seewhy.load(f"hf:{tmp_path / 'net'}")
    assert model.labels == (("cat", "dog", "hen") if kind == "yolos" else None)
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        out = module(x)
    expected = out.predicted_depth[0, 20, 10] if kind == "dpt" else out.logits[0].softmax(1)[:, 2].max()
    found = seewhy.explain(model, x, method="grad-cam", target=target)
    assert found.score == pytest.approx(float(expected), abs=1e-6)
    assert found.target == ("depth at 10, 20" if kind == "dpt" else "best hen")
    assert found.status.ok


def test_a_processor_without_a_counterpart_is_used_itself(tmp_path: Path) -> None:
    save(tmp_path / "net")
    transformers.EfficientNetImageProcessor(size={"height": 32, "width": 32}, rescale_offset=True).save_pretrained(
        tmp_path / "net"
    )
    model = seewhy.load(f"hf:{tmp_path / 'net'}")
    assert not isinstance(model.preprocess, Preprocess)
    assert "callable" in model.view_note
    assert seewhy.explain(model, photo(), method="saliency", target=1).values.shape == (32, 32)


def test_without_a_processor_it_says_what_it_assumes(tmp_path: Path) -> None:
    save(tmp_path / "net")
    for file in (tmp_path / "net").glob("*processor*"):
        file.unlink()
    model = seewhy.load(f"hf:{tmp_path / 'net'}")
    assert model.preprocess.size == (32, 32)
    assert "this directory does not say" in model.assumed


def test_a_name_in_the_cache(tmp_path: Path, monkeypatch: Any) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"no model 'someone/net' on this machine.*nothing is downloaded"):
        seewhy.load("hf:someone/net")
    repo = tmp_path / "models--someone--net"
    save(repo / "snapshots" / "abc")
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("abc")
    assert seewhy.load("hf:someone/net").labels == ("cat", "dog", "hen")


def test_weights_from_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    module, _, _ = save(folder)
    x = torch.rand(1, 3, 32, 32)
    exact = module(x).logits
    torch.save(module.state_dict(), folder / "pytorch_model.bin")
    assert not torch.allclose(seewhy.load(f"hf:{folder}", weights="random").module(x).logits, exact)
    given = seewhy.load(f"hf:{folder}", weights=folder / "pytorch_model.bin")
    assert torch.allclose(given.module(x).logits, exact, atol=1e-6)
    (folder / "model.safetensors").unlink()
    pickled = seewhy.load(f"hf:{folder}")
    assert torch.allclose(pickled.module(x).logits, exact, atol=1e-6)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(ModelError, match=r"no weights for hf:"):
        seewhy.load(f"hf:{folder}")


def test_weights_that_lack_something_are_no_weights(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    module, _, _ = save(folder)
    (folder / "model.safetensors").unlink()
    torch.save({k: v for k, v in module.state_dict().items() if "classifier" not in k}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"2 of its tensors are missing or of another shape \(classifier"):
        seewhy.load(f"hf:{folder}")


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_a_directory_that_wants_code_is_refused(tmp_path: Path, name: str) -> None:
    save(tmp_path / "net")
    path = tmp_path / "net" / name
    if not path.exists():
        shutil.copy(tmp_path / "net" / "config.json", path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": {"AutoModel": "evil.Net"}}))
    for trust in (False, True):
        with pytest.raises(UnsafeModel, match=r"wants code of its own .*'evil.Net'"):
            seewhy.load(f"hf:{tmp_path / 'net'}", trust_pickle=trust)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot read config.json"),
        ("[]", "holds a list"),
        ('{"model_type": "nothing"}', "cannot read config.json"),
        ('{"model_type": "bert", "architectures": ["BertModel"]}', "is BertModel; known"),
        (
            '{"model_type": "vit", "architectures": ["ViTForImageClassification"], "quantization_config": {"a": 1}}',
            "quantised",
        ),
    ],
)
def test_directories_that_cannot_be_read(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelError, match=words) as caught:
        seewhy.load(f"hf:{tmp_path}")
    assert "\n" not in str(caught.value)


def test_places_without_a_model(tmp_path: Path) -> None:
    for spec, words in (
        (f"hf:{tmp_path}", "has no config.json"),
        ("hf:./nowhere", "there is no"),
        ("hf:a b", "cannot read|no model"),
    ):
        with pytest.raises(ModelError, match=words):
            seewhy.load(spec)


@pytest.mark.parametrize("name", ["Dinov2", "ViT"])
def test_a_backbone_without_a_head(tmp_path: Path, name: str) -> None:
    """Its features are similar to something, and its attention is seen."""
    config = getattr(transformers, f"{name}Config")(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=32, image_size=32, patch_size=8
    )
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        module = getattr(transformers, f"{name}Model")(config).eval()
    module.save_pretrained(tmp_path / "net")
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "net")
    model = seewhy.load(f"hf:{tmp_path / 'net'}")
    assert model.labels is None
    x = model.to_input(seewhy.models.read_image(photo()))[0][None]
    with torch.no_grad():
        expected = module(x, output_attentions=False).pooler_output[0]
    like = seewhy.targets.Similarity(expected)
    assert seewhy.explain(model, photo(), method="saliency", target=like).score == pytest.approx(1, abs=1e-5)
    assert seewhy.attention(model, photo()).values.shape == (3, 4, 4)


def test_a_model_of_words_is_none(tmp_path: Path) -> None:
    small = {
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "intermediate_size": 8,
        "vocab_size": 9,
    }
    transformers.BertModel(transformers.BertConfig(**small)).save_pretrained(tmp_path / "net")
    with pytest.raises(ModelError, match=r"is BertModel; known: .* and [.]{3}Model of pictures"):
        seewhy.load(f"hf:{tmp_path / 'net'}")
