"""Networks of several inputs: one is explained, the others are held; every number against the network run by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seewhy
from seewhy.errors import CapabilityError, UsageError

PREPARE = [False, True, "verify"]


class Siamese(nn.Module):
    """Two images through one backbone; how alike they are, in four ways."""

    def __init__(self) -> None:
        super().__init__()
        self.back = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()
        )
        self.head = nn.Linear(8, 4)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        a, b = (self.head(self.back(image).mean((2, 3))) for image in (left, right))
        return 100 * (a - 2 * b).pow(2)


class Patient(nn.Module):
    """A picture, the number of a hospital, an age and a flag."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU())
        self.hospital = nn.Embedding(5, 6)
        self.scale = nn.Parameter(torch.tensor(2.0))  # of the network itself, and of no layer
        self.out = nn.Linear(6, 3)

    def forward(self, image: Tensor, hospital: Tensor, *, age: Tensor, invert: bool = False) -> Tensor:
        pooled = self.features(-image if invert else image).mean((2, 3))
        return self.out(self.scale * pooled * torch.sigmoid(self.hospital(hospital)) + age)


def seeded(kind: type[nn.Module]) -> Any:
    torch.manual_seed(0)
    return kind().eval()


PAIR = torch.rand(2, 1, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("prepare", PREPARE)
@pytest.mark.parametrize("key", ["left", "right", 0, 1])
def test_either_image_of_a_pair_is_explained(key: str | int, prepare: Any) -> None:
    net = seeded(Siamese)
    held = {"left": 0, "right": 1}.get(key, key) if isinstance(key, str) else key
    model = seewhy.wrap(net, inputs={key: PAIR[held]})
    x = PAIR[1 - held]

    def score(image: Tensor) -> Tensor:
        pair = (PAIR[0], image) if held == 0 else (image, PAIR[1])
        return net(*pair)[:, 2]

    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(score(leaf).sum(), leaf)
    saliency = seewhy.explain(model, x, method="saliency", target=2, reduce="none", prepare=prepare)
    np.testing.assert_allclose(saliency.values, gradient[0], rtol=1e-5, atol=1e-6)
    assert saliency.score == pytest.approx(score(x).item(), rel=1e-6)

    drops = np.zeros((16, 16))
    for row in range(0, 16, 4):
        for column in range(0, 16, 4):
            hidden = x.clone()
            hidden[:, :, row : row + 4, column : column + 4] = 0
            drops[row : row + 4, column : column + 4] = (score(x) - score(hidden)).item()
    occlusion = seewhy.explain(model, x, method="occlusion", target=2, window=4, stride=4, fill=0.0, prepare=prepare)
    np.testing.assert_allclose(occlusion.values, drops, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("held", [0, 1])
def test_the_class_activation_map_is_of_the_explained_image(held: int) -> None:
    """A backbone that two images share runs twice: the right one of its calls is read."""
    net = seeded(Siamese)
    kept: list[Tensor] = []
    leaf = PAIR[1 - held].clone()
    with torch.enable_grad():
        for n in (0, 1):
            features = net.back(PAIR[held] if n == held else leaf).detach().requires_grad_()
            kept.append(features)
        a, b = (net.head(features.mean((2, 3))) for features in kept)
        own = kept[1 - held]
        (gradient,) = torch.autograd.grad((100 * (a - 2 * b).pow(2))[0, 2], own)
    expected = (own * gradient.mean((2, 3), keepdim=True)).sum(1)[0].detach()
    found = seewhy.explain(seewhy.wrap(net, inputs={held: PAIR[held]}), leaf, method="grad-cam", target=2)
    np.testing.assert_allclose(found.values, expected, rtol=1e-4, atol=1e-6)
    assert found.status.ok or "evidence" in found.status.cause


@pytest.mark.parametrize("prepare", PREPARE)
def test_numbers_flags_and_names_are_handed_on(prepare: Any) -> None:
    net = seeded(Patient)
    images = torch.rand(3, 1, 12, 12)
    others = {"hospital": np.array([3]), "age": torch.tensor([[0.4]]), "invert": True}
    leaf = images.clone().requires_grad_()
    by_hand = net(leaf, torch.tensor([3]), age=torch.tensor([[0.4]]), invert=True)[:, 1]
    (gradient,) = torch.autograd.grad(by_hand.sum(), leaf)
    model = seewhy.wrap(net, inputs=others)
    maps = seewhy.explain_all(
        model, images, method=["saliency", "rise"], target=1, reduce="none", prepare=prepare, n=64
    )
    for n, explanation in enumerate(maps.where(method="saliency")):
        np.testing.assert_allclose(explanation.values, gradient[n], rtol=1e-4, atol=1e-6)
        assert explanation.score == pytest.approx(by_hand[n].item(), rel=1e-5)
    assert {entry.name for entry in seewhy.layers(model, images[:1])} >= {"features", "features.0", "out"}


def test_what_is_remembered_is_remembered_of_the_values_held() -> None:
    """The same network with something else beside the image has programs of its own."""
    net, x = seeded(Patient), torch.rand(1, 1, 12, 12)
    for hospital in (0, 4, 0):
        others = {"hospital": torch.tensor([hospital]), "age": torch.zeros(1, 1)}
        found = seewhy.explain(seewhy.wrap(net, inputs=others), x, method="occlusion", target=0, prepare=True)
        alone = seewhy.explain(seewhy.wrap(net, inputs=others), x, method="occlusion", target=0, prepare=False)
        np.testing.assert_allclose(found.values, alone.values, rtol=1e-4, atol=1e-6)
        assert found.score == pytest.approx(net(x, torch.tensor([hospital]), age=torch.zeros(1, 1))[0, 0].item())


def test_values_are_copied_and_the_network_stays_as_it_is() -> None:
    net = seeded(Patient)
    age = torch.zeros(1, 1)
    model = seewhy.wrap(net, inputs={"hospital": torch.tensor([1]), "age": age})
    before = {name: value.clone() for name, value in net.state_dict().items()}
    age += 100
    explanation = seewhy.explain(model, torch.zeros(1, 1, 12, 12), method="saliency", target=0)
    assert explanation.score == pytest.approx(
        net(torch.zeros(1, 1, 12, 12), torch.tensor([1]), age=torch.zeros(1, 1))[0, 0].item()
    )
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not net._forward_hooks
    assert not net._forward_pre_hooks


def test_an_object_that_may_change_means_no_program() -> None:
    class Settings:
        gain = 2.0

    class Tuned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor, settings: Settings) -> Tensor:
            return self.conv(x).mean((2, 3)) * settings.gain

    settings, net, x = Settings(), seeded(Tuned), torch.rand(1, 3, 8, 8)
    model = seewhy.wrap(net, inputs={"settings": settings})
    for gain in (2.0, 5.0):
        settings.gain = gain
        found = seewhy.explain(model, x, method="occlusion", target=0, prepare=True)
        assert "a Settings beside the image" in found.provenance["prepared"]["why"]
        assert found.score == pytest.approx(net(x, settings)[0, 0].item())


def test_fingerprints_know_what_is_held() -> None:
    net = seeded(Siamese)
    prints = [seewhy.wrap(net, inputs={"left": value}).fingerprint() for value in (PAIR[0], PAIR[1], PAIR[0])]
    assert prints[0] == prints[2] != prints[1]
    assert seewhy.wrap(net, inputs={"right": PAIR[0]}).fingerprint() != prints[0]


def test_in_double_precision_and_with_weights_of_inference_mode() -> None:
    with torch.inference_mode():
        net = seeded(Patient).double()
    others = {"hospital": torch.tensor([2]), "age": torch.tensor([[0.5]])}
    x = torch.rand(1, 1, 12, 12, dtype=torch.float64)
    explanation = seewhy.explain(seewhy.wrap(net, inputs=others), x, method="saliency", target=1)
    with torch.no_grad():
        right = net(x, torch.tensor([2]), age=torch.tensor([[0.5]], dtype=torch.float64))[0, 1]
    assert explanation.score == pytest.approx(right.item(), rel=1e-12)


def test_several_rows_are_handed_on_as_they_are() -> None:
    """Prompts: what an image is compared with is no row of that image's own."""

    class Prompts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.see = nn.Sequential(nn.Conv2d(3, 7, 3), nn.ReLU())

        def forward(self, words: Tensor, pixels: Tensor) -> dict[str, Tensor]:
            return {"logits_per_image": self.see(pixels).mean((2, 3)) @ words.T}

    net, words, images = seeded(Prompts), torch.rand(5, 7), torch.rand(2, 3, 9, 9)
    model = seewhy.wrap(net, inputs={"words": words})
    maps = seewhy.explain_all(model, images, method="saliency", target=4)
    assert [one.score for one in maps] == pytest.approx(net(words, images)["logits_per_image"][:, 4].tolist())


def test_a_function_of_several_inputs() -> None:
    def scores(image: Tensor, gain: float) -> Tensor:
        return gain * image.mean((2, 3))

    found = seewhy.explain(
        seewhy.wrap(scores, inputs={"gain": 3.0}), torch.ones(1, 2, 8, 8), method="occlusion", target=0
    )
    assert found.score == pytest.approx(3.0)


class Anything(nn.Module):
    def forward(self, *given: Tensor) -> Tensor:
        first, second = given
        return (first * second).mean((2, 3))


def test_arguments_without_names_have_numbers() -> None:
    x = torch.rand(1, 2, 8, 8)
    model = seewhy.wrap(Anything(), inputs={1: torch.full((1, 2, 8, 8), 3.0)})
    assert seewhy.explain(model, x, method="saliency", target=0).score == pytest.approx(3 * x[0, 0].mean().item())


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, r"takes 2 inputs \(left, right\).*inputs=\{'right': \.\.\.\}"),
        ({"rigth": PAIR[0]}, "'rigth'; the inputs of Siamese: 'left', 'right'; nearest: 'right'"),
        ({2: PAIR[0]}, "input 2 of Siamese, which has 2: 'left', 'right'"),
        ({True: PAIR[0]}, "names True"),
        ({"left": PAIR[0], "right": PAIR[1]}, "all inputs of Siamese are held.*leave the one that is to be explained"),
    ],
)
def test_names_that_are_no_inputs(inputs: dict[Any, Any], words: str) -> None:
    with pytest.raises((UsageError, CapabilityError), match=words):
        seewhy.wrap(seeded(Siamese), inputs=inputs)


def test_more_than_one_input_left() -> None:
    with pytest.raises(UsageError, match=r"cannot do without image, age.*inputs=\{'age': \.\.\.\}"):
        seewhy.wrap(seeded(Patient), inputs={"hospital": torch.tensor([1])})


@pytest.mark.parametrize(
    ("value", "words"),
    [(torch.rand(4, 1), r"age=\(4, 1\).*held tensor of one row"), ("old", "held tensor of one row"), (None, "one row"),
     (torch.tensor([0.4]), "held tensor of one row")],
)  # fmt: skip
def test_values_that_the_network_does_not_take(value: Any, words: str) -> None:
    model = seewhy.wrap(seeded(Patient), inputs={"hospital": torch.tensor([1]), "age": value})
    with pytest.raises((UsageError, CapabilityError), match=words) as raised:
        seewhy.explain_all(model, torch.rand(3, 1, 12, 12), method="saliency", target=0)
    assert "\n" not in str(raised.value)


def test_a_number_of_a_table_that_is_a_fraction() -> None:
    model = seewhy.wrap(seeded(Patient), inputs={"hospital": torch.tensor([1.0]), "age": torch.rand(1, 1)})
    with pytest.raises(CapabilityError, match=r"with hospital=\(1,\), age=\(1, 1\), and raised"):
        seewhy.explain(model, torch.rand(1, 1, 12, 12), method="saliency", target=0)


class Sums(nn.Module):
    """A picture and a row that come together in a sum, in one of several spellings."""

    def __init__(self, join: Any) -> None:
        super().__init__()
        self.picture, self.row, self.out, self.join = nn.Conv2d(2, 6, 3), nn.Linear(3, 6), nn.Linear(6, 2), join

    def forward(self, picture: Tensor, row: Tensor) -> Tensor:
        return self.out(self.join(self.picture(picture).relu().mean((2, 3)), self.row(row).relu()))


@pytest.mark.parametrize("composite", ["epsilon", "epsilon-plus", "epsilon-alpha2-beta1", "attn-lrp"])
@pytest.mark.parametrize(
    "join",
    [
        lambda a, b: a + b, lambda a, b: b + a, lambda a, b: a - b, lambda a, b: b - a, lambda a, b: a.clone().add_(b),
        lambda a, b: torch.add(b, a, alpha=2), lambda a, b: torch.add(a, b, alpha=2),
    ],
)  # fmt: skip
def test_relevance_of_a_picture_is_the_same_whether_the_other_input_is_held_or_explained(
    join: Any, composite: str
) -> None:
    torch.manual_seed(0)
    net = Sums(join).eval().double()
    picture, row = torch.rand(1, 2, 6, 6, dtype=torch.float64), torch.rand(1, 3, dtype=torch.float64)
    words: dict[str, Any] = {"method": "lrp", "composite": composite, "target": 1, "reduce": "none"}
    alone = seewhy.explain(seewhy.wrap(net, inputs={"row": row}), picture, **words)
    axes = {"picture": "BCHW", "row": "BF"}
    both = seewhy.wrap(net, explained=("picture", "row"), axes=axes)
    together = seewhy.explain(both, {"picture": picture, "row": row}, **words)
    np.testing.assert_allclose(alone.values, together.part("picture").values, rtol=1e-6, atol=1e-9)


class Film(nn.Module):
    """A convolution whose channels a row scales and shifts, or a class by its number."""

    def __init__(self, join: Any) -> None:
        super().__init__()
        self.conv, self.scale, self.shift, self.out = (
            nn.Conv2d(2, 4, 3),
            nn.Linear(3, 4),
            nn.Linear(3, 4),
            nn.Linear(4, 2),
        )
        self.kinds, self.join = nn.Embedding(5, 3), join
        self.register_buffer("mean", torch.rand(4, 1, 1))
        self.register_buffer("wide", 0.5 + torch.rand(4, 1, 1))

    def forward(self, picture: Tensor, row: Tensor) -> Tensor:
        row = row if row.is_floating_point() else self.kinds(row)
        scale, shift = self.scale(row)[:, :, None, None], self.shift(row)[:, :, None, None]
        normed = (self.conv(picture) - self.mean) / self.wide
        return self.out(self.join(normed, scale, shift).relu().mean((2, 3)))


def _film(join: Any) -> tuple[Film, Tensor, Tensor]:
    torch.manual_seed(0)
    net = Film(join).eval().double()
    return net, torch.rand(1, 2, 6, 6, dtype=torch.float64), torch.rand(1, 3, dtype=torch.float64)


@pytest.mark.parametrize(
    "composite",
    ["epsilon", "epsilon-plus", "epsilon-alpha2-beta1", "epsilon-plus-flat", "epsilon-gamma-box", "attn-lrp"],
)
@pytest.mark.parametrize(
    "join",
    [
        lambda z, a, b: z * a + b, lambda z, a, b: a * z, lambda z, a, b: z.clone().mul_(a).add_(b), lambda z, a, b: z + b,
        lambda z, a, b: z * a.sigmoid() + b, lambda z, a, b: z.relu() * a.sigmoid().expand_as(z),
    ],
)  # fmt: skip
def test_relevance_past_a_held_factor_is_that_of_a_signal(join: Any, composite: str) -> None:
    """It is none of the layer's weights, as the numbers of a norm are, which stay part of it."""
    net, picture, row = _film(join)
    words: dict[str, Any] = {"method": "lrp", "composite": composite, "target": 1, "reduce": "none"}
    words |= {"bounds": (0.0, 1.0)} if composite.endswith("box") else {}
    alone = seewhy.explain(seewhy.wrap(net, inputs={"row": row}), picture, **words)
    both = seewhy.wrap(net, explained=("picture", "row"), axes={"picture": "BCHW", "row": "BF"})
    together = seewhy.explain(both, {"picture": picture, "row": row}, **words)
    assert np.abs(alone.values).max() > 1e-4
    np.testing.assert_allclose(alone.values, together.part("picture").values, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["row", "number"])
def test_relevance_past_a_held_factor_by_loops(kind: str) -> None:
    """Epsilon-plus: positive products of a convolution that has its own norm taken in, and no more; a sum's shares by
    its terms."""
    net, picture, row = _film(lambda z, a, b: z * a + b)
    given = row if kind == "row" else torch.tensor([2])
    found = seewhy.explain(
        seewhy.wrap(net, inputs={"row": given}), picture, "lrp", target=1, composite="epsilon-plus", reduce="none"
    )
    with torch.no_grad():
        features = row if kind == "row" else net.kinds(given)
        scale, shift = net.scale(features)[0].tolist(), net.shift(features)[0].tolist()
        z = ((net.conv(picture) - net.mean) / net.wide)[0]
    weight = (net.conv.weight / net.wide[:, None]).tolist()
    bias = ((net.conv.bias - net.mean[:, 0, 0]) / net.wide[:, 0, 0]).tolist()
    x, out = picture[0].tolist(), net.out.weight[1].tolist()
    shown = [[[max(float(z[c, i, j]) * scale[c] + shift[c], 0) for j in range(4)] for i in range(4)] for c in range(4)]
    expected = np.zeros((2, 6, 6))
    for c, i, j in np.ndindex(4, 4, 4):
        # all of a score is shared out by products, its bias apart, and a mean by its values; a sum by its terms
        arrived = out[c] * shown[c][i][j] / 16
        arrived *= float(z[c, i, j]) * scale[c] / (float(z[c, i, j]) * scale[c] + shift[c])
        parts = {(d, u, v): max(x[d][i + u][j + v] * weight[c][d][u][v], 0.0) for d, u, v in np.ndindex(2, 3, 3)}
        for (d, u, v), part in parts.items():
            expected[d, i + u, j + v] += arrived * part / (sum(parts.values()) + max(bias[c], 0.0))
    np.testing.assert_allclose(found.values, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


class Masked(nn.Module):
    """Tokens that a held mask keeps from each other, and that held places turn."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.out = nn.Conv2d(2, 4, 2, 2), nn.Linear(4, 2)

    def forward(self, picture: Tensor, mask: Tensor, places: Tensor) -> Tensor:
        tokens = self.embed(picture).flatten(2).mT * places[..., None].cos()
        hidden = torch.zeros(mask.shape, dtype=tokens.dtype).masked_fill(~mask, -torch.inf)
        weights = (tokens @ tokens.mT + hidden[:, None]).softmax(-1)
        return self.out((weights @ tokens).mean(1))


def test_held_masks_and_places_are_no_signals() -> None:
    """Whole numbers cannot be explained: what is made of them scales, as a network's own tables of places do, and takes
    its share of no infinite sum."""
    torch.manual_seed(0)
    net = Masked().eval().double()
    picture = torch.rand(1, 2, 6, 6, dtype=torch.float64)
    mask, places = torch.arange(9)[None] != 4, torch.arange(9)[None]

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, picture: Tensor) -> Tensor:
            return self.net(picture, mask.expand(len(picture), -1), places.expand(len(picture), -1))

    words: dict[str, Any] = {"method": "lrp", "composite": "attn-lrp", "target": 1, "reduce": "none"}
    found = seewhy.explain(seewhy.wrap(net, inputs={"mask": mask, "places": places}), picture, **words)
    expected = seewhy.explain(Own().eval(), picture, **words)
    assert np.isfinite(found.values).all()
    assert np.abs(expected.values).max() > 1e-4
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-9, atol=1e-12)
    assert found.notes[-1] == expected.notes[-1]


def test_an_image_of_clip_is_explained_for_a_prompt() -> None:
    transformers = pytest.importorskip("transformers")
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = size | {"vocab_size": 100, "max_position_embeddings": 16, "eos_token_id": 99, "bos_token_id": 98}
    vision = size | {"image_size": 64, "patch_size": 8}
    torch.manual_seed(0)
    net = transformers.CLIPModel(
        transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
    ).eval()
    words = torch.randint(0, 97, (3, 7))
    words[:, -1] = 99
    others = {"input_ids": words, "attention_mask": torch.ones_like(words)}
    model = seewhy.wrap(net, inputs=others, labels=["a cat", "a dog", "a car"])
    x = torch.rand(1, 3, 64, 64).requires_grad_()
    right = net(pixel_values=x, **others).logits_per_image[0, 1]
    (gradient,) = torch.autograd.grad(right, x)
    found = seewhy.explain(model, x.detach(), method="saliency", target="a dog", reduce="none")
    assert found.score == pytest.approx(right.item(), rel=1e-5)
    np.testing.assert_allclose(found.values, gradient[0], rtol=1e-4, atol=1e-6)
    cam = seewhy.explain(model, x.detach(), method="grad-cam", target="a dog")
    assert (cam.values.shape, str(cam.layer).startswith("vision_model")) == ((8, 8), True)
