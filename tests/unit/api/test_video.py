"""Videos and several views: axes named by the caller, frames folded into the batch, rows of tokens of all frames; numbers
by hand, pictures with one scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import seewhy
from seewhy.errors import CapabilityError, UsageError


class Segments(nn.Module):
    """Every frame through one backbone, [B, T, C, H, W] folded into the batch; the mean of their scores."""

    def __init__(self) -> None:
        super().__init__()
        self.back = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        each = self.head(self.back(x.flatten(0, 1)).mean((2, 3)))
        weights = torch.linspace(1, 2, x.shape[1], dtype=x.dtype)
        return (each.unflatten(0, x.shape[:2]) * weights[:, None]).mean(1)


@pytest.fixture
def net() -> Any:
    torch.manual_seed(0)
    return Segments().eval().double()


VIDEOS = torch.randn(2, 4, 3, 32, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("prepare", [False, True, "verify"])
def test_saliency_and_boxes_of_space_and_time(net: Any, prepare: Any) -> None:
    model = seewhy.wrap(net, axes="BTCHW")
    leaf = VIDEOS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(net(leaf)[:, 2].sum(), leaf)
    asked: dict[str, Any] = {"window": (2, 16, 12), "stride": (2, 16, 12), "fill": 0.0, "target": 2}
    maps = seewhy.explain_all(model, VIDEOS, method=["saliency", "occlusion"], reduce="none", prepare=prepare, **asked)
    for n in range(2):
        saliency, occlusion = maps[2 * n], maps[2 * n + 1]
        assert saliency.axes == "THW"
        np.testing.assert_allclose(saliency.values, gradient[n].transpose(0, 1), rtol=1e-5, atol=1e-12)
        hidden = VIDEOS.clone()
        hidden[:, 2:4, :, 16:, 12:] = 0
        drop = (net(VIDEOS) - net(hidden))[n, 2].item()
        np.testing.assert_allclose(occlusion.values[2:, 16:, 12:], drop, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("layer", [None, "back.1", "back"])
def test_class_activation_maps_of_frames_in_the_batch(net: Any, layer: str | None) -> None:
    """Every frame has its map, with weights of the whole video."""
    found = seewhy.explain_all(seewhy.wrap(net, axes="BTCHW"), VIDEOS, method="grad-cam", target=1, layer=layer)
    place = net.back[:2] if layer == "back.1" else net.back
    rest = net.back[2:] if layer == "back.1" else nn.Identity()
    for n, one in enumerate(found):
        features = place(VIDEOS[n]).detach().requires_grad_()
        weights = torch.linspace(1, 2, 4, dtype=torch.float64)[:, None]
        score = (net.head(rest(features).mean((2, 3))) * weights).mean(0)[1]
        (gradient,) = torch.autograd.grad(score, features)
        expected = (features * gradient.mean((0, 2, 3))[:, None, None]).sum(1).detach()
        np.testing.assert_allclose(one.values, expected, rtol=1e-9, atol=1e-15)
        grid = one.provenance["grid"][one.layer]
        assert "proved" in grid


def test_edited_frames_are_put_back_where_they_were(net: Any) -> None:
    found = seewhy.explain(
        seewhy.wrap(net, axes="BTCHW"), VIDEOS[:1], method="unit-ablation", layer="back.1", units="positions", target=0
    )
    kept = net.back[:2](VIDEOS[0])
    changed = kept.clone()
    changed[2, :, 5, 3] = 0
    weights = torch.linspace(1, 2, 4, dtype=torch.float64)[:, None]
    scores = [(net.head(net.back[2:](a).mean((2, 3))) * weights).mean(0)[0].item() for a in (kept, changed)]
    np.testing.assert_allclose(found.values[:, 2, 5, 3], scores[0] - scores[1], rtol=1e-6)


def _transformer(name: str) -> Any:
    transformers = pytest.importorskip("transformers")
    sizes = {"image_size": 32, "patch_size": 8, "num_frames": 4, "hidden_size": 32, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 2, "intermediate_size": 64, "num_labels": 4}
    torch.manual_seed(0)
    if name == "timesformer":
        return transformers.TimesformerForVideoClassification(transformers.TimesformerConfig(**sizes)).eval()
    return transformers.VideoMAEForVideoClassification(transformers.VideoMAEConfig(tubelet_size=2, **sizes)).eval()


@pytest.mark.parametrize(("name", "layer", "grid"), [
    ("timesformer", "timesformer.encoder.layer.0", (4, 4, 4)), ("videomae", "videomae.encoder.layer.0", (2, 4, 4)),
])  # fmt: skip
def test_tokens_of_frames_are_in_their_places(name: str, layer: str, grid: tuple[int, ...]) -> None:
    """Tokens frame by frame (VideoMAE) and place by place behind a class token (TimeSformer): Grad-CAM by hand."""
    net, x = _transformer(name), torch.randn(1, 4, 3, 32, 32)
    found = seewhy.explain(seewhy.wrap(net, axes="BTCHW"), x, method="grad-cam", target=1, layer=layer)
    kept: list[Tensor] = []

    def keep(module: nn.Module, args: Any, out: Any) -> Any:
        tokens = out[0] if isinstance(out, tuple) else out
        kept.append(tokens.detach().clone().requires_grad_())
        return (kept[0], *out[1:]) if isinstance(out, tuple) else kept[0]

    handle = net.get_submodule(layer).register_forward_hook(keep)
    score = net(x).logits[0, 1]
    handle.remove()
    (gradient,) = torch.autograd.grad(score, kept[0])
    tokens, slopes = kept[0][0].detach(), gradient[0]
    if name == "timesformer":  # behind the class token, the frames of one place after the other
        tokens, slopes = (one[1:].unflatten(0, (4, 4, 4)).permute(2, 0, 1, 3) for one in (tokens, slopes))
    else:
        tokens, slopes = (one.unflatten(0, grid) for one in (tokens, slopes))
    expected = (tokens * slopes.mean((0, 1, 2))).sum(-1)
    np.testing.assert_allclose(found.values, expected, rtol=1e-3, atol=1e-7)
    assert found.values.shape == grid
    assert "proved" in found.provenance["grid"][layer]


@pytest.mark.parametrize("name", ["timesformer", "videomae"])
def test_a_layer_of_a_video_transformer_is_found(name: str) -> None:
    found = seewhy.explain(
        seewhy.wrap(_transformer(name), axes="BTCHW"), torch.randn(1, 4, 3, 32, 32), method="grad-cam", target=1
    )
    assert found.values.ndim == 3
    assert found.layer is not None
    assert "proved" in found.provenance["grid"][found.layer]


def _clip() -> np.ndarray[Any, Any]:
    photo = np.asarray(Image.open(Path(seewhy.__file__).parent / "photos" / "chelsea.png").convert("RGB"))
    return np.stack([np.roll(photo, 8 * t, 1)[:160, :240] for t in range(6)])


def test_pixels_of_frames_are_preprocessed_and_drawn(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = seewhy.wrap(Segments().eval(), axes="BTCHW", preprocess=seewhy.Preprocess(size=(48, 64), resize=None))
    found = seewhy.explain(model, _clip(), method="grad-cam", target=1)
    assert found.size == (6, 48, 64)
    assert found.frames is not None
    assert found.frames.shape == (6, 48, 64, 3)
    one = found.frame(2)
    np.testing.assert_array_equal(one.values, found.values[2])
    np.testing.assert_array_equal(one.image, found.frames[2])
    assert found.montage(frames=3, columns=3).width > found.montage(frames=3, columns=1).width
    with Image.open(found.save(tmp_path / "film.gif")) as film:
        assert film.n_frames == 6
        assert film.size == (64, 48)
    for suffix in ("png", "svg", "pdf"):
        assert found.save(tmp_path / f"montage.{suffix}").stat().st_size > 1000
    again = seewhy.Explanation.load(found.save(tmp_path / "video.npz"))
    np.testing.assert_array_equal(again.frame(-1).map, found.frame(5).map)


def test_coarser_steps_of_time_are_between_their_neighbours() -> None:
    values = np.array([1.0, 3.0])[:, None, None] * np.ones((2, 2, 2))
    video = seewhy.Explanation(values=values, size=(4, 8, 8), method="m", target="t", score=1.0, axes="THW")
    assert [video.frame(n).values[0, 0] for n in range(4)] == pytest.approx([1.0, 1.5, 2.5, 3.0])


def test_what_cannot_be_is_said_in_a_line(net: Any, tmp_path: Path) -> None:
    model = seewhy.wrap(net, axes="BTCHW")
    found = seewhy.explain(model, VIDEOS[:1], method="saliency", target=0)
    with pytest.raises(UsageError, match="no frame 9: the video has 4, from 0 to 3"):
        found.frame(9)
    volume = seewhy.Explanation(values=np.ones((2, 2, 2)), size=(2, 2, 2), method="m", target="t", score=1.0)
    with pytest.raises(UsageError, match="is of no video"):
        volume.save(tmp_path / "a.gif")
    with pytest.raises(UsageError, match=r"axes='BTCHW' takes \[T, C, H, W\] or \[B, T, C, H, W\]"):
        seewhy.explain(model, torch.zeros(3, 32, 24), method="saliency")
    with pytest.raises(UsageError, match="axes='BTCHW'"):
        seewhy.explain(net, VIDEOS[:1], method="saliency")
    with pytest.raises(CapabilityError, match="axes='BTCHW', but C does not hold channels"):
        seewhy.explain(seewhy.wrap(_volume(), axes="BTCHW"), torch.zeros(1, 3, 3, 8, 8), method="saliency")


def _volume() -> nn.Module:
    return nn.Sequential(nn.Conv3d(3, 2, 3), nn.Flatten(), nn.Linear(72, 2)).eval()


def test_what_looks_inside_reads_a_video_as_the_network_has_it(net: Any) -> None:
    model = seewhy.wrap(net, axes="BTCHW")
    chosen = next(layer for layer in seewhy.layers(model, VIDEOS[:1]) if layer.chosen)
    assert chosen.grid == (4, 8, 6)
    with pytest.raises(CapabilityError, match="feature-maps draws grids of two axes; layer 'back'"):
        seewhy.feature_maps(model, VIDEOS[:1])


def test_a_frame_that_nothing_reads_is_named() -> None:
    """VideoMAE takes one frame more than it was made for, and leaves it out of every pair."""
    model = seewhy.wrap(_transformer("videomae"), axes="BTCHW")
    found = seewhy.explain(model, torch.randn(1, 5, 3, 32, 32), method="saliency", target=1)
    assert not found.values[4].any()
    assert "frame 4 has no part in this map: the network may not read it" in found.notes
    whole = seewhy.explain(model, torch.randn(1, 4, 3, 32, 32), method="saliency", target=1)
    assert not any("no part" in note for note in whole.notes)


def test_frames_that_do_not_divide_are_one_line() -> None:
    class Pairs(nn.Module):
        """Frames two by two."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(6, 2, 3)

        def forward(self, x: Tensor) -> Tensor:
            pairs = x.reshape(len(x), x.shape[1] // 2, 6, *x.shape[3:])
            return self.conv(pairs.flatten(0, 1)).mean((2, 3)).unflatten(0, (len(x), -1)).mean(1)

    model = seewhy.wrap(Pairs().eval(), axes="BTFHW")
    assert seewhy.explain(model, torch.randn(1, 4, 3, 8, 8), method="saliency", target=1).status.ok
    with pytest.raises(CapabilityError, match=r"Pairs was given \(1, 5, 3, 8, 8\).*shape") as raised:
        seewhy.explain(model, torch.randn(1, 5, 3, 8, 8), method="saliency", target=1)
    assert "\n" not in str(raised.value)


def test_networks_that_move_over_time_take_frames_as_well() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv3d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    preprocess = seewhy.Preprocess(size=(48, 64), resize=None)
    found = seewhy.explain(seewhy.wrap(net, axes="BCTHW", preprocess=preprocess), _clip(), method="grad-cam", target=1)
    assert found.size == (6, 48, 64)
    assert found.values.shape == (4, 46, 62)
    assert found.frames is not None
    with pytest.raises(UsageError, match=r"\.frame\(n\)"):
        _ = found.map
