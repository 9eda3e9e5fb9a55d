from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from seewhy.errors import UsageError
from seewhy.models import Preprocess

SIZES = [(1, 1), (2, 3), (31, 500), (223, 225), (224, 224), (225, 301), (256, 255), (333, 517), (900, 77)]


def noise(width, height, seed=0):
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def gap_in_pixels(ours, preprocess, image, theirs):
    assert theirs.shape == ours.shape
    return (preprocess.denormalise(ours) - preprocess.denormalise(theirs)).abs().max().item()


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("weights", ["ResNet50_Weights.IMAGENET1K_V2", "EfficientNet_B1_Weights.IMAGENET1K_V1"])
def test_agrees_with_torchvisions_preset(weights, width, height):
    models = pytest.importorskip("torchvision.models")
    preset = models.get_weight(weights).transforms()
    ours, image = Preprocess.from_torchvision(preset), noise(width, height)
    assert torch.equal(ours(image), preset(image))
    assert ours.size == tuple(preset.crop_size * 2)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(
    "name",
    [
        "tf_efficientnet_lite0.in1k",  # centre, bicubic
        "inception_v3.tv_in1k",  # 299
        "convnext_base.clip_laion2b_augreg_ft_in12k_in1k_384",  # squash
        "vit_base_patch16_224.mae",
    ],
)
def test_agrees_with_timms_transform(name, width, height):
    timm = pytest.importorskip("timm")
    config = timm.get_pretrained_cfg(name).to_dict()
    module = torch.nn.Identity()
    module.pretrained_cfg = config
    ours, image = Preprocess.from_timm(module), noise(width, height)
    theirs = timm.data.create_transform(**timm.data.resolve_data_config(pretrained_cfg=config), is_training=False)
    assert gap_in_pixels(ours(image), ours, image, theirs(image)) <= 1e-6


@pytest.mark.parametrize(("crop_mode", "size"), [("center", (40, 64)), ("border", (48, 48)), ("squash", (40, 64))])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (333, 517), (517, 90), (64, 40), (61, 47)])
def test_agrees_with_timms_rarer_modes(crop_mode, size, width, height):
    timm = pytest.importorskip("timm")
    config = {"input_size": (3, *size), "crop_mode": crop_mode, "crop_pct": 0.9, "interpolation": "bicubic"}
    config |= {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.4)}
    module = torch.nn.Identity()
    module.pretrained_cfg = config
    ours, image = Preprocess.from_timm(module), noise(width, height)
    theirs = timm.data.create_transform(**config, is_training=False)
    assert gap_in_pixels(ours(image), ours, image, theirs(image)) <= 1e-6


def test_understands_a_written_out_compose_and_refuses_what_it_cannot_say():
    T = pytest.importorskip("torchvision.transforms")
    normal = T.Normalize([0.1, 0.2, 0.3], [0.5, 0.6, 0.7])
    plain = T.Compose([T.Resize(50), T.CenterCrop(40), T.ToTensor(), normal])
    ours = Preprocess.from_torchvision(plain)
    assert (ours.size, ours.resize, ours.mode) == ((40, 40), 50, "crop")
    assert torch.equal(ours(noise(77, 91)), plain(noise(77, 91)))

    box = T.Compose([T.Resize((40, 30), T.InterpolationMode.BICUBIC), T.ToTensor()])
    ours = Preprocess.from_torchvision(box)
    assert (ours.size, ours.mode, ours.mean) == ((40, 30), "squash", (0.0, 0.0, 0.0))
    assert torch.equal(ours(noise(77, 91)), box(noise(77, 91)))

    grey = T.Compose([T.Grayscale(), T.Resize((28, 28)), T.ToTensor(), T.Normalize([0.13], [0.31])])
    assert torch.equal(Preprocess.from_torchvision(grey)(noise(28, 30)), grey(noise(28, 30)))

    with pytest.raises(UsageError, match="RandomHorizontalFlip has no counterpart"):
        Preprocess.from_torchvision(T.Compose([T.Resize(50), T.RandomHorizontalFlip(), T.ToTensor()]))
    with pytest.raises(UsageError, match="fixes no input size"):
        Preprocess.from_torchvision(T.Compose([T.Resize(50), T.ToTensor()]))
    with pytest.raises(UsageError, match="is no torchvision preset"):
        Preprocess.from_torchvision(T.ToTensor())


def test_a_transform_that_does_otherwise_than_its_steps_say_is_refused():
    class CenterCrop:
        size = (8, 8)

        def __call__(self, image):
            return image.resize((8, 8)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)

    T = pytest.importorskip("torchvision.transforms")
    with pytest.raises(UsageError, match="differs from its steps"):
        Preprocess.from_torchvision(T.Compose([CenterCrop(), T.ToTensor()]))


def test_the_view_is_the_input_before_arithmetic():
    for one in (Preprocess(), Preprocess(size=(20, 30), resize=None), Preprocess((9, 7), None, "squash")):
        image = noise(123, 45)
        view = np.asarray(one.view(image))
        assert view.shape == (*one.size, 3)
        back = one.denormalise(one(image)).mul(255).round().permute(1, 2, 0).numpy().astype(np.uint8)
        assert np.array_equal(back, view)


def test_a_small_picture_is_padded_where_torchvision_pads_it():
    one = Preprocess(size=(5, 4), resize=None, mean=(0.0,) * 3, std=(1.0,) * 3)
    view = np.asarray(one.view(Image.new("RGB", (1, 2), (255, 255, 255))))[:, :, 0]
    expected = np.zeros((5, 4), dtype=np.uint8)
    expected[1:3, 1] = 255
    assert np.array_equal(view, expected)


def test_one_channel_takes_the_luminance():
    one = Preprocess(size=(2, 2), resize=2, mean=(0.5,), std=(0.25,), channels=1)
    input = one(Image.new("RGB", (2, 2), (255, 0, 0)))
    assert input.shape == (1, 2, 2)
    assert input[0, 0, 0].item() == pytest.approx((76 / 255 - 0.5) / 0.25)
    assert one.view(Image.new("RGB", (2, 2))).mode == "L"


def test_normalise_and_denormalise_undo_each_other_in_double_precision():
    one, values = Preprocess(), torch.rand(2, 3, 4, 5, dtype=torch.float64)
    assert one.normalise(values).dtype == torch.float64
    assert torch.allclose(one.denormalise(one.normalise(values)), values, atol=1e-15)


def test_an_endless_strip_is_cropped_before_it_is_made(monkeypatch):
    strip = noise(20_000, 3)
    one = Preprocess(interpolation="bicubic")
    made = one.view(strip)  # whole it would be 256 x 1.7 million pixels
    assert made.size == (224, 224)
    middle = strip.crop((9_990, 0, 10_010, 3))  # the part under the crop and a margin
    near = np.asarray(middle.resize((20 * 256 // 3, 256), Image.Resampling.BICUBIC)).astype(int)
    assert abs(np.asarray(made).astype(int).mean() - near[16:240, 741:965].mean()) < 8
    # the same shortcut on a picture of which the whole can be made gives the same within rounding
    image = noise(700, 90)
    whole = np.asarray(one.view(image)).astype(int)
    monkeypatch.setattr("seewhy.models.preprocess._WHOLE", 1)
    assert np.abs(np.asarray(one.view(image)).astype(int) - whole).max() <= 1
    # and where the crop reaches beyond the picture, the padding stays where it was
    thin = Preprocess(size=(300, 200), resize=100)
    shortcut = np.asarray(thin.view(image))
    monkeypatch.setattr("seewhy.models.preprocess._WHOLE", 10**9)
    assert np.abs(shortcut.astype(int) - np.asarray(thin.view(image))).max() <= 1
    assert not shortcut[:100].any()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"mode": "stretch"}, "no resize mode 'stretch'"),
        ({"interpolation": "cubic"}, "no interpolation 'cubic'"),
        ({"size": (0, 4)}, "height, width"),
        ({"resize": 0}, "at least 1"),
        ({"channels": 4}, "4 numbers each; got 3 and 3"),
        ({"channels": 0}, "at least one channel, not 0"),
        ({"mean": (0.5,)}, "3 numbers each; got 1 and 3"),
        ({"std": (0.1, 0.0, 0.1)}, "std positive"),
        ({"mode": "border"}, "needs resize="),
    ],
)
def test_values_that_cannot_be_meant(wrong, words):
    with pytest.raises(UsageError, match=words):
        Preprocess(**wrong)


def test_timm_metadata_follows_the_network_that_was_built():
    timm = pytest.importorskip("timm")
    assert Preprocess.from_timm(timm.create_model("test_vit", img_size=96)).size == (96, 96)
    grey = Preprocess.from_timm(timm.create_model("test_resnet", in_chans=1))
    assert grey.channels == 1
    assert len(grey.mean) == 1
    with pytest.raises(UsageError, match="speaks of 3 channels, and this network takes 5"):
        Preprocess.from_timm(timm.create_model("test_resnet", in_chans=5))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("unit", (1.0, 0.0, 0.2)),
        ("signed", (1.0, -1.0, -0.6)),
        ("bytes", (255.0, 0.0, 51.0)),
        ("imagenet", ((1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225)),
        ("caffe", (51 - 103.939, 0 - 116.779, 255 - 123.68)),  # blue comes first
    ],
)
def test_a_preset_by_hand(name, expected):
    preset = Preprocess.preset(name, (2, 3))
    input = preset(Image.new("RGB", (9, 5), (255, 0, 51)))
    assert input.shape == (3, 2, 3)
    assert input[:, 1, 2].tolist() == pytest.approx(expected, abs=1e-4)
    assert preset.denormalise(input)[:, 0, 0].tolist() == pytest.approx([1, 0, 0.2], abs=1e-5)


def test_a_preset_for_one_channel():
    assert Preprocess.preset("bytes", (2, 2), 1)(Image.new("L", (4, 4), 51)).shape == (1, 2, 2)
    with pytest.raises(UsageError, match="three channels"):
        Preprocess.preset("imagenet", (2, 2), 1)


@pytest.mark.parametrize(
    ("preprocess", "size"),
    [
        (Preprocess(size=(8, 8), resize=10), (90, 60)),
        (Preprocess(size=(8, 8), resize=None, mode="squash"), (90, 60)),
        (Preprocess(size=(8, 8), resize=10).whole(), (90, 60)),
        (Preprocess(size=(8, 8), resize=10, channels=1, mean=(0.0,), std=(1.0,)), (90, 60)),
        (Preprocess(size=(48, 48), resize=48), (90, 60)),  # as fine as the photo, but not all of it
        (Preprocess(size=(96, 96), resize=96), (90, 60)),  # a little finer than the photo
        (Preprocess(size=(180, 180), resize=180), (270, 180)),  # much finer
    ],
)
def test_the_photo_is_shown_whole_and_the_window_is_what_is_seen_of_it(preprocess, size):
    y, x = np.mgrid[0:60, 0:90]
    image = Image.fromarray(np.stack([x * 2, y * 4, 255 - x], axis=-1).astype(np.uint8))
    shown = preprocess.shown(image)
    assert shown.size == size
    scale = size[0] / 90
    box = [edge * scale for edge in preprocess.window(60, 90)]
    side = preprocess.size[0]
    seen = shown.transform((side, side), Image.Transform.EXTENT, box, Image.Resampling.BILINEAR)
    view = np.asarray(preprocess.view(image).convert("RGB")).astype(int)
    middle = slice(side * 3 // 8, side * 5 // 8)
    assert np.abs(np.asarray(seen).astype(int) - view)[middle].max() <= 16


def test_a_photo_that_the_view_shows_as_well_is_not_shown():
    assert Preprocess(size=(8, 8), resize=8).shown(Image.new("RGB", (8, 8))) is None
    assert Preprocess(size=(8, 8), resize=None, mode="squash").shown(Image.new("RGB", (7, 7))) is None
    assert Preprocess(size=(8, 8), resize=8).shown(Image.new("RGB", (5, 60))) is None  # of which a twelfth is seen
    assert Preprocess(size=(8, 8), resize=8).shown(Image.new("RGB", (5, 40))).size == (5, 40)


def test_a_squashed_photo_is_drawn_in_its_own_proportions():
    assert Preprocess(size=(24, 24), resize=None, mode="squash").shown(Image.new("RGB", (50, 21))).size == (50, 21)


def test_an_endless_photo_is_shown_smaller():
    shown = Preprocess(size=(8, 8), resize=8).whole().shown(Image.new("RGB", (2500, 20_000), "white"))
    assert shown.width * shown.height <= 32_010_000
    assert shown.height == pytest.approx(8 * shown.width, rel=0.001)
