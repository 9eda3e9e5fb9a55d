"""Attention as pictures: every layer's and head's weights by hand, whose row is shown, what is told of tokens without a
place; networks without a head and of two towers; what is refused, in one line; nothing left behind."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import seewhy
from networks import Transformer, image, make
from properties.asking import close
from properties.snapshots import difference, snapshot
from seewhy.errors import CapabilityError, UnknownName, UsageError

timm = pytest.importorskip("timm")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

SIZE = (64, 96)
_VIT = {"img_size": SIZE, "depth": 3, "embed_dim": 24, "num_heads": 3}
_SMALL = {
    "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 32, "image_size": 64,
    "patch_size": 16, "attn_implementation": "eager",
}  # fmt: skip


def _hf(model: str, config: str, **given: Any) -> Callable[[], nn.Module]:
    def make_it() -> nn.Module:
        if not hasattr(transformers, model):
            pytest.skip(f"this transformers has no {model}")
        return getattr(transformers, model)(getattr(transformers, config)(**_SMALL, **given))

    return make_it


BUILT: dict[str, Callable[[], nn.Module]] = {
    "timm": lambda: timm.create_model("vit_tiny_patch16_224", num_classes=5, **_VIT),
    "timm, no head": lambda: timm.create_model("vit_tiny_patch16_224", num_classes=0, **_VIT),
    "timm, tokens": lambda: timm.create_model("vit_tiny_patch16_224", num_classes=0, global_pool="", **_VIT),
    "timm, registers": lambda: timm.create_model("vit_little_patch16_reg4_gap_256", num_classes=0, **_VIT),
    "vit": _hf("ViTForImageClassification", "ViTConfig", num_labels=5),
    "dinov2": _hf("Dinov2Model", "Dinov2Config"),
    "registers": _hf("Dinov2WithRegistersModel", "Dinov2WithRegistersConfig", num_register_tokens=4),
    "dinov3": _hf("DINOv3ViTModel", "DINOv3ViTConfig", num_register_tokens=4),
}


@lru_cache
def built(name: str) -> nn.Module:
    """In float64, with weights under which patches differ."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        net = BUILT[name]().eval().double()
        for parameter in net.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=1.5 / parameter[0].numel() ** 0.5)
            elif not parameter.any() or float(parameter.detach().abs().max()) < 1e-3:
                nn.init.normal_(parameter, std=0.1)
    return net


def _size(name: str) -> tuple[int, int]:
    return (64, 64) if name == "vit" else SIZE  # a table of places for one size


def _x(name: str, batch: int = 1) -> Tensor:
    return torch.randn(batch, 3, *_size(name), generator=torch.Generator().manual_seed(1)).double()


def _by_hand(net: Any, x: Tensor) -> list[Tensor]:
    """timm's blocks run one by one, the attention of each written out: [B, heads, N, N] each."""
    tokens = net.norm_pre(net.patch_drop(net._pos_embed(net.patch_embed(x))))
    weights = []
    for block in net.blocks:
        part = block.attn
        q, k, _ = part.qkv(block.norm1(tokens)).unflatten(2, (3, part.num_heads, -1)).permute(2, 0, 3, 1, 4)
        products = part.q_norm(q) @ part.k_norm(k).transpose(2, 3) * part.head_dim**-0.5
        exponents = (products - products.amax(3, keepdim=True)).exp()
        weights.append((exponents / exponents.sum(3, keepdim=True)).detach())
        tokens = block(tokens)
    return weights


def _known(name: str) -> list[Tensor]:
    net, x = built(name), _x(name)
    if name.startswith("timm"):
        return _by_hand(net, x)
    with torch.no_grad():
        return list(net(x, output_attentions=True).attentions)


#: the tokens before the patches, and whether their rows are shown: None for the mean over patches
ROWS: dict[str, tuple[int, int | None]] = {
    "timm": (1, 0), "timm, no head": (1, 0), "timm, tokens": (1, 0), "timm, registers": (4, None), "vit": (1, 0),
    "dinov2": (1, 0), "registers": (5, 0), "dinov3": (5, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", BUILT)
def test_every_layer_and_head_is_the_library_s_own(name: str) -> None:
    """By output_attentions of Hugging Face, by timm's blocks run by hand; the row shown, and what goes elsewhere."""
    prefix, row = ROWS[name]
    known, (height, width) = _known(name), _size(name)
    close = 1e-6 if name == "vit" else 1e-12  # its softmax is in float32, whatever comes in
    assert len(known) == 3
    for layer, weights in enumerate(known):
        found = seewhy.attention(built(name), _x(name), layer)
        shown = (weights[0, :, prefix:].mean(1) if row is None else weights[0, :, row]).numpy()
        assert found.values.shape == (3, height // 16, width // 16)
        np.testing.assert_allclose(found.values.reshape(3, -1), shown[:, prefix:], atol=close)
        np.testing.assert_allclose(found.arrays["elsewhere"], shown[:, :prefix], atol=close)
        assert found.arrays["tokens"].tolist() == list(range(prefix))
        np.testing.assert_allclose(found.values.sum((1, 2)) + found.arrays["elsewhere"].sum(1), 1, atol=close)
        assert found.parameters["layer"] == layer
        assert not any("undecided" in note for note in found.notes)
        assert found.status.ok
    assert found.title.startswith("attention of layer 2 (0 to 2), 3 heads, on 4×")


def test_in_single_precision() -> None:
    net = BUILT["timm"]().eval()
    net.load_state_dict(built("timm").state_dict())
    for layer, weights in enumerate(_known("timm")):
        found = seewhy.attention(net, _x("timm").float(), layer)
        assert found.values.dtype == np.float32
        np.testing.assert_allclose(found.values.reshape(3, -1), weights[0, :, 0, 1:].numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("timm", "row of token 0 (no place of the picture), from which the output is read"),
        ("dinov2", "row of token 0 (no place of the picture), from which the output is read"),
        ("timm, tokens", "row of token 0, the first that is no place of the picture"),
        ("timm, registers", "mean of the rows of the 24 tokens from which the output is read"),
    ],
)
def test_whose_row_it_is_is_told(name: str, words: str) -> None:
    assert seewhy.attention(built(name), _x(name)).notes[0] == words


def test_registers_are_told_of() -> None:
    found = seewhy.attention(built("registers"), _x("registers"), registers=True)
    shares, other = found.values.sum((1, 2)), found.arrays["elsewhere"]
    told = ", ".join(f"{n} {share:.1%}" for n, share in enumerate(other.mean(0)))
    assert f"tokens that are no places, with their share: {told}" in found.notes
    assert (
        f"places have {shares.mean():.0%} of the attention ({shares.min():.0%} to {shares.max():.0%} by head), the 5 "
        f"tokens that are no places, {other.sum(1).mean():.0%}" in found.notes
    )
    assert not any("with their share" in note for note in seewhy.attention(built("registers"), _x("registers")).notes)


def test_heads_layers_and_queries() -> None:
    net, x, known = built("dinov2"), _x("dinov2"), _known("dinov2")

    def values(**given: Any) -> np.ndarray:
        return seewhy.attention(net, x, **given).values

    whole = known[-1][0]
    np.testing.assert_allclose(values(head="mean")[0].ravel(), whole[:, 0, 1:].mean(0), atol=1e-12)
    np.testing.assert_allclose(values(head=2)[0].ravel(), whole[2, 0, 1:], atol=1e-12)
    np.testing.assert_array_equal(values(head=[2, -1, 0]), values(head="all")[[2, 2, 0]])
    np.testing.assert_array_equal(values(layer=-3), values(layer=0))
    np.testing.assert_array_equal(values(layer="encoder.layer.1.attention"), values(layer=1))
    np.testing.assert_array_equal(values(layer=net.encoder.layer[1]), values(layer=1))
    np.testing.assert_allclose(values(query=(1, 2)).reshape(3, -1), whole[:, 1 + 6 + 2, 1:], atol=1e-12)
    np.testing.assert_allclose(values(query=9).reshape(3, -1), whole[:, 9, 1:], atol=1e-12)
    np.testing.assert_allclose(values(query="mean").reshape(3, -1), whole[:, 1:, 1:].mean(1), atol=1e-12)
    assert seewhy.attention(net, x, query="mean").notes[0] == "mean of the rows of the 24 places"
    assert seewhy.attention(net, x, query=(1, 2)).notes[0] == "row of the place 1,2"
    several = seewhy.attention_all(net, _x("dinov2", 2), [0, -1])
    assert [each.parameters["layer"] for each in several] == [0, 2, 0, 2]
    for n, each in enumerate(several):
        single = seewhy.attention(net, _x("dinov2", 2)[n // 2 : n // 2 + 1], [0, -1][n % 2])
        np.testing.assert_allclose(each.values, single.values, atol=1e-14)


def test_a_photo_is_under_its_maps() -> None:
    look = seewhy.Preprocess(size=(64, 96), resize=None, mode="squash")
    model = seewhy.wrap(BUILT["timm, no head"]().eval(), preprocess=look)
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8))
    found = seewhy.attention(model, photo)
    assert [tile.index for tile in found] == [None, 0, 1, 2]
    assert [tile.pixels.shape for tile in found] == [(64, 96, 3)] * 4
    assert [tile.value for tile in found][1:] == pytest.approx(found.values.sum((1, 2)).tolist())
    assert found.colorbar is not None
    assert seewhy.attention(model, photo, scale="each").colorbar is None
    assert found.figure().size[0] > 0


class Towers(nn.Module):
    """A picture's tower beside one of words, of more tokens, that runs first or last; ``cut`` hides the picture's
    graph."""

    def __init__(self, first: bool, cut: bool = False) -> None:
        super().__init__()
        self.see, self.words = make("tokens", 3).net, make("tokens", 4).net
        self.first, self.cut = first, cut
        self.register_buffer("said", image(9, batch=3, size=12))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """``logits_per_image`` [B, 3]."""
        said = self.words(self.said) if self.first else None
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.cut):
            seen = self.see(x)
        said = self.words(self.said) if said is None else said
        return {"logits_per_image": seen @ said.T}


@pytest.mark.parametrize("first", [True, False])
def test_the_tower_of_words_is_left_out(first: bool) -> None:
    """Also by the methods that follow attention from block to block."""
    net, x = Towers(first).double().eval(), image(5, batch=2)
    alone = seewhy.attention_all(net.see, x, [0, 1])
    beside = seewhy.attention_all(net, x, [0, 1])
    for one, other in zip(alone, beside, strict=True):
        np.testing.assert_allclose(other.values, one.values, atol=1e-12)
        assert "(0 to 1)" in other.title
    with pytest.raises(
        UsageError, match=r"no attention that the picture reaches runs within layer 'words[.]blocks[.]0'"
    ):
        seewhy.attention(net, x[:1], "words.blocks.0")
    np.testing.assert_allclose(seewhy.attention(net, x[:1], "see.blocks.0").values, beside[0].values, atol=1e-14)
    rollouts = [seewhy.explain_all(each, x, method="attention-rollout", target=1) for each in (net.see, net)]
    for one, other in zip(*rollouts, strict=True):
        np.testing.assert_allclose(other.values, one.values, atol=1e-12)


@pytest.mark.parametrize("first", [True, False])
def test_towers_that_nothing_tells_apart_are_refused(first: bool) -> None:
    """The forward hides the graph, so that no path leads from the picture to its own tower."""
    net, x = Towers(first, cut=True).double().eval().requires_grad_(False), image(5, batch=1)
    for ask in (seewhy.attention, lambda *asked: seewhy.explain(*asked, method="attention-rollout", target=1)):
        with pytest.raises(CapabilityError, match="which of it the picture reaches cannot be told") as raised:
            ask(net, x)
        assert "\n" not in str(raised.value)
        assert "1 rows of 17 tokens, 3 rows of 37 tokens" in str(raised.value)


def test_clip_by_output_attentions() -> None:
    small = {
        key: value for key, value in _SMALL.items() if key not in ("image_size", "patch_size", "attn_implementation")
    }
    config = transformers.CLIPConfig(
        text_config=small | {"vocab_size": 50, "max_position_embeddings": 12, "bos_token_id": 0, "eos_token_id": 49},
        vision_config=small | {"image_size": 64, "patch_size": 16},
        projection_dim=8, attn_implementation="eager",
    )  # fmt: skip
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        net = transformers.CLIPModel(config).eval().double()
    x, words = torch.randn(1, 3, 64, 64).double(), torch.tensor([[0, 3, 4, 49], [0, 5, 6, 49]])

    class Held(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.clip = net

        def forward(self, pixel_values: Tensor) -> Tensor:
            return self.clip(input_ids=words, pixel_values=pixel_values).logits_per_image

    with torch.no_grad():
        known = net.vision_model(pixel_values=x, output_attentions=True).attentions
    for layer, weights in enumerate(known):
        found = seewhy.attention(Held().eval(), x, layer)
        np.testing.assert_allclose(found.values.reshape(3, -1), weights[0, :, 0, 1:], atol=1e-12)


def test_a_graph_that_is_cut_says_nothing_and_the_class_token_is_taken() -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = make("tokens", 3).net

        @torch.no_grad()
        def forward(self, x: Tensor) -> Tensor:
            return self.body(x)

    x = image(5, batch=1)
    found = seewhy.attention(Cut(), x)
    np.testing.assert_allclose(found.values, seewhy.attention(Cut().body, x).values, atol=1e-12)
    assert found.notes[0] == "row of token 0, the first that is no place of the picture"


def test_class_attention_at_the_end() -> None:
    """CaiT: patches attend to each other, then a class token's own queries to all; each layer has its own tokens."""
    given = {"img_size": 64, "embed_dim": 24, "num_heads": 3, "depth": 2, "num_classes": 5}
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        net = timm.create_model("cait_xxs24_224", **given).eval()
        for parameter in net.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=1.5 / parameter[0].numel() ** 0.5)
    found = seewhy.attention_all(net, torch.randn(1, 3, 64, 64), [0, 1, 2, 3])
    assert [each.values.shape for each in found] == [(3, 4, 4)] * 4
    assert [each.arrays["tokens"].tolist() for each in found] == [[], [], [0], [0]]
    assert found[2].notes[0] == "row of its own query"
    with pytest.raises(UsageError, match=r"query=.1, 1.: a token from 0 to 0, or 'mean'"):
        seewhy.attention(net, torch.randn(1, 3, 64, 64), query=(1, 1))


def _swin() -> nn.Module:
    return timm.create_model(
        "swin_tiny_patch4_window7_224", img_size=64, window_size=4, embed_dim=12, depths=(1, 2), num_heads=(2, 2)
    ).eval()


class Partly(nn.Module):
    """A block within windows between two over the whole picture."""

    def __init__(self) -> None:
        super().__init__()
        self.body = make("tokens", 3).net
        self.body.blocks = nn.Sequential(self.body.blocks[0], Windows(self.body.blocks[0]), self.body.blocks[1])

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        return self.body(x)


class Windows(nn.Module):
    """A block on the patches, four and four."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        """Tokens."""
        own = x[:, 1:].unflatten(1, (4, 4)).flatten(0, 1)
        return torch.cat([x[:, :1], self.block(own).unflatten(0, (len(x), 4)).flatten(1, 2)], 1)


@pytest.mark.parametrize(
    ("net", "given", "words"),
    [
        (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(3)), {}, "no attention was seen"),
        (_swin, {}, "the attention of layer 2 is within windows [(]4 of them for 1 image"),
        (Partly, {"layer": 1}, "the attention of layer 1 is within windows .* layers 0, 2 are not"),
        (lambda: make("tokens", 3).net, {"layer": 2}, "no layer 2: the picture goes through 2 attentions, 0 to 1"),
        (lambda: make("tokens", 3).net, {"layer": -3}, "no layer -3: the picture goes through 2 attentions, 0 to 1"),
        (lambda: make("tokens", 3).net, {"layer": 1.5}, "layer is float"),
        (lambda: make("tokens", 3).net, {"layer": []}, "no layers: the list given is empty"),
        (lambda: make("tokens", 3).net, {"layer": [0, 1]}, "attention gives one gallery, and 2 layers were asked for"),
        (lambda: make("tokens", 3).net, {"layer": "blocks"}, "2 attentions run within layer 'blocks', 0 to 1"),
        (lambda: make("tokens", 3).net, {"layer": "patches"}, "no attention that the picture reaches runs within"),
        (lambda: make("tokens", 3).net, {"layer": "blocks.0.norm1"}, "no attention that the picture reaches runs"),
        (lambda: make("tokens", 3).net, {"layer": "block.0"}, "no layer 'block.0'"),
        (lambda: make("tokens", 3).net, {"head": 9}, "no head 9: layer 1 has 3, 0 to 2; or 'mean', or 'all'"),
        (lambda: make("tokens", 3).net, {"head": "max"}, "no head 'max'"),
        (lambda: make("tokens", 3).net, {"head": True}, "no head True"),
        (lambda: make("tokens", 3).net, {"query": (4, 0)}, "a place .row, column. of 4x4 from"),
        (lambda: make("tokens", 3).net, {"query": 17}, "a token from 0 to 16"),
        (lambda: make("tokens", 3).net, {"query": "max"}, "query='max'"),
        (lambda: make("tokens", 3).net, {"scale": "log"}, "scale='log'"),
        (lambda: lambda x: x.flatten(1)[:, :3], {}, "attention-maps needs attention weights"),
    ],
)  # fmt: skip
def test_what_cannot_be(net: Callable[[], Any], given: dict[str, Any], words: str) -> None:
    network = net()
    size, kind = (64, torch.float32) if net is _swin else (8, torch.float64)
    network = network.double() if isinstance(network, Transformer | Partly) else network
    kind = torch.float32 if isinstance(network, nn.Sequential) else kind
    if isinstance(network, nn.Sequential):
        network(torch.zeros(1, 3, 8, 8))
    with pytest.raises((UsageError, CapabilityError, UnknownName), match=words) as raised:
        seewhy.attention(network, image(3, batch=1, size=size, dtype=kind), **given)
    assert "\n" not in str(raised.value)


# what holds for every method


@pytest.mark.parametrize("network", ["tokens", "tokens-pooled"])
def test_batch_equals_singles_and_memory_changes_nothing(network: str) -> None:
    case, x = make(network, 1), image(1, batch=3)
    layers = [0, 1]
    for layer, together in zip(layers, _by_layer(case.net, x, layers), strict=True):
        apart = [seewhy.attention(case.net, x[n : n + 1], layer).values for n in range(3)]
        close(together, np.stack(apart), 1e-11)
        for memory in (1, 2**32):
            close(_by_layer(case.net, x, [layer], memory=memory)[0], together, 1e-11)


def _by_layer(net: nn.Module, x: Tensor, layers: list[int], **given: Any) -> list[np.ndarray]:
    """Of each layer, all images."""
    found = seewhy.attention_all(net, x, layers, **given)
    return [np.stack([each.values for each in found[n :: len(layers)]]) for n in range(len(layers))]


def test_same_call_same_numbers_in_every_mode() -> None:
    case, x = make("tokens", 2), image(2, batch=1)
    expected = seewhy.attention(case.net, x).values
    with torch.no_grad():
        np.testing.assert_array_equal(seewhy.attention(case.net, x).values, expected)
    with torch.inference_mode():
        np.testing.assert_array_equal(seewhy.attention(case.net, x).values, expected)
    case.net.requires_grad_(False)
    close(seewhy.attention(case.net, x).values, expected, 1e-12)


@pytest.mark.parametrize("train", [False, True])
def test_nothing_is_left_behind(train: bool) -> None:
    case, x = make("tokens", 3), image(3, batch=1)
    case.net.train(train)
    copy, before = x.clone(), snapshot(case.net)
    with pytest.warns(UserWarning, match="train mode") if train else contextlib.nullcontext():
        seewhy.attention(case.net, x, "blocks.0")
    assert difference(before, snapshot(case.net)) == []
    assert torch.equal(x, copy)
    case.net.eval()

    def stop(*args: object) -> None:
        raise RuntimeError("on purpose")

    handle = case.net.head.register_forward_hook(stop)
    before = snapshot(case.net)
    with pytest.raises(RuntimeError, match="on purpose"):
        seewhy.attention(case.net, x)
    assert difference(before, snapshot(case.net)) == []
    handle.remove()


@pytest.mark.parametrize("what", [0.0, -2.1, 1e3])
def test_finite_on_images_without_variation(what: float) -> None:
    found = seewhy.attention(make("tokens", 4).net, torch.full((1, 3, 8, 8), what).double())
    assert np.isfinite(found.values).all()


def test_what_it_costs() -> None:
    """One forward and one backward, however many layers."""
    case, x = make("tokens", 5), image(5, batch=1)
    seewhy.attention(case.net, x)  # pictures say once what the grid is
    first, second = seewhy.attention_all(case.net, x, [0, 1])
    assert (first.cost.forwards, first.cost.backwards, first.cost.checks) == (1, 1, 0)
    assert (second.cost.forwards, second.cost.backwards) == (1, 0)


@pytest.mark.parametrize("first", ["components", "everything", "tokens"])
def test_a_layer_is_chosen_for_the_tokens_that_are_read_whatever_was_asked_before(first: str) -> None:
    """A backbone's pooled row is read from the class token: its last layer with positions tells nothing of it."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        net = BUILT["dinov2"]().eval().double()
        for parameter in net.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=1.5 / parameter[0].numel() ** 0.5)
    x, e = _x("dinov2"), torch.arange(24.0)
    if first == "components":
        assert seewhy.principal_components(net, x).parameters["layer"] == "encoder.layer.2.norm1"
    elif first == "everything":
        assert seewhy.explain(net, x, method="eigen-cam").layer == "layernorm"
    else:
        every = seewhy.targets.Similarity(torch.arange(25.0 * 24), element="last_hidden_state")
        assert seewhy.explain(net, x, method="grad-cam", target=every).layer == "layernorm"
    found = seewhy.explain(net, x, method="grad-cam", target=seewhy.targets.Similarity(e))
    assert found.layer == "encoder.layer.2.norm1"
    assert found.status.ok
