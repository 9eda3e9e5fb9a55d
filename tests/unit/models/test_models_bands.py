"""Pictures with more channels than colours: read whole, shown as a picture, given to networks that take as many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import seewhy
from seewhy.errors import UsageError
from seewhy.models import Preprocess, read_image

SIZE = (15, 20)


def values(bands: int, dtype: str = "uint8", top: int = 255) -> np.ndarray:
    return np.random.default_rng(bands).integers(0, top + 1, (*SIZE, bands)).astype(dtype)


def ways(count: int, **more: object) -> Preprocess:
    return Preprocess(SIZE, None, "squash", (0.0,) * count, (1.0,) * count, channels=count, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("bands", [4, 5, 13])
@pytest.mark.parametrize("kind", ["array", "contiguous", "planar"])
def test_every_band_arrives_as_it_is_in_the_file(tmp_path: Path, bands: int, kind: str) -> None:
    pixels = values(bands)
    source: object = pixels
    if kind != "array":
        tifffile = pytest.importorskip("tifffile")
        path = tmp_path / "b.tif"
        planar = kind == "planar"
        data = np.moveaxis(pixels, 2, 0) if planar else pixels
        tifffile.imwrite(path, data, photometric="minisblack", planarconfig="separate" if planar else "contig")
        source = path
    photo = read_image(source)  # type: ignore[arg-type]
    assert photo.bands is not None
    assert np.array_equal(photo.bands, pixels)
    assert photo.pixels.size == SIZE[::-1]
    model = seewhy.wrap(nn.Conv2d(bands, 2, 3), preprocess=ways(bands))
    tensor, view = model.to_input(photo)
    np.testing.assert_allclose(tensor.numpy(), np.moveaxis(pixels / 255, 2, 0), atol=1e-6)
    assert view.shape == (*SIZE, 3)


@pytest.mark.parametrize("alpha", [False, True])
def test_what_the_network_is_given_of_16_bits_is_said_beside_how_the_picture_is_scaled(
    tmp_path: Path, alpha: bool
) -> None:
    tifffile = pytest.importorskip("tifffile")
    pixels = values(4, "uint16", 4000)
    more = {"photometric": "rgb", "extrasamples": ["unassalpha"]} if alpha else {"photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "b.tif", pixels, planarconfig="contig", **more)
    net = nn.Sequential(nn.Conv2d(4, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = seewhy.explain(seewhy.wrap(net, preprocess=ways(4)), tmp_path / "b.tif", method="saliency")
    np.testing.assert_allclose(found.input, np.moveaxis(pixels / 65535, 2, 0), atol=1e-6)
    assert "the network is given shares of 65535, before mean and std" in found.notes
    assert len(set(found.notes)) == len(found.notes)


def test_a_png_with_four_channels_is_a_picture_or_four_bands(tmp_path: Path) -> None:
    pixels = values(4)
    Image.fromarray(pixels).save(tmp_path / "four.png")
    photo = read_image(tmp_path / "four.png")
    colours, _ = seewhy.wrap(nn.Conv2d(3, 2, 3), preprocess=ways(3)).to_input(photo)
    four, view = seewhy.wrap(nn.Conv2d(4, 2, 3), preprocess=ways(4)).to_input(photo)
    assert np.array_equal(view, pixels[..., :3]), "a band is not how opaque the others are"
    np.testing.assert_allclose(four.numpy(), np.moveaxis(pixels / 255, 2, 0), atol=1e-6)
    assert not np.allclose(colours.numpy(), four[:3].numpy()), "as a picture it is drawn on white"


def test_deep_bands_are_counted_by_their_type(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    pixels = values(5, "uint16", 3000)
    tifffile.imwrite(tmp_path / "deep.tif", pixels, photometric="minisblack", planarconfig="contig")
    tensor = ways(5).of_bands(read_image(tmp_path / "deep.tif").bands)  # type: ignore[arg-type]
    np.testing.assert_allclose(tensor.numpy() * 65535, np.moveaxis(pixels, 2, 0), atol=0.02)
    floats = pixels.astype(np.float32) / 3000
    tifffile.imwrite(tmp_path / "float.tif", floats, photometric="minisblack", planarconfig="contig")
    tensor = ways(5).of_bands(read_image(tmp_path / "float.tif").bands)  # type: ignore[arg-type]
    np.testing.assert_allclose(tensor.numpy(), np.moveaxis(floats, 2, 0), atol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_bands_are_turned_as_their_picture_is(tmp_path: Path, orientation: int) -> None:
    tifffile = pytest.importorskip("tifffile")
    pixels = values(5)
    path = tmp_path / "turned.tif"
    tag = (274, "H", 1, orientation, True)
    tifffile.imwrite(path, pixels, photometric="minisblack", planarconfig="contig", extratags=[tag])
    photo = read_image(path)
    assert photo.bands is not None
    assert np.array_equal(photo.bands[..., :3], np.asarray(photo.pixels))


def test_bands_are_resized_and_cropped_as_pictures_are() -> None:
    bands = values(4, top=255).repeat(8, 0).repeat(8, 1)
    way = Preprocess((20, 20), 30, mean=(0.0,) * 4, std=(1.0,) * 4, channels=4)
    picture = Preprocess((20, 20), 30, mean=(0.0,) * 3, std=(1.0,) * 3)
    ours, theirs = way.of_bands(bands)[:3], picture(Image.fromarray(bands[..., :3].copy()))
    assert float((ours - theirs).abs().max()) < 1.5 / 255


def test_as_many_bands_as_the_network_takes() -> None:
    model = seewhy.wrap(nn.Conv2d(5, 2, 3), preprocess=ways(5), name="Satellite")
    with pytest.raises(
        UsageError, match="Satellite takes 5 channels, and 'array' has 3; give a picture with that many"
    ):
        model.to_input(read_image(values(3)))
    with pytest.raises(UsageError, match="takes 5 channels, and 'array' has 4"):
        model.to_input(read_image(values(4)))


def test_maps_of_bands_are_drawn_over_their_picture(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(5, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    model = seewhy.wrap(net, preprocess=ways(5))
    for method in ("saliency", "grad-cam"):
        explanation = seewhy.explain(model, values(5), method, 1)
        by_hand = seewhy.explain(net, torch.from_numpy(np.moveaxis(values(5) / 255, 2, 0)).float(), method, 1)
        np.testing.assert_allclose(explanation.values, by_hand.values, atol=1e-6)
        assert explanation.image is not None
        assert explanation.save(tmp_path / f"{method}.png").stat().st_size
    hidden = seewhy.explain(model, values(5), "occlusion", 1, fill="grey", window=3)
    assert hidden.status.ok


def test_a_band_is_not_said_to_be_transparent() -> None:
    net = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    of_bands = seewhy.explain(seewhy.wrap(net, preprocess=ways(4)), values(4), "saliency", 1)
    assert not any("transparent" in note for note in of_bands.notes)


def test_bands_that_became_pages_are_told_of(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "pages.tif", np.moveaxis(values(5), 2, 0), photometric="minisblack")
    model = seewhy.wrap(nn.Conv2d(5, 2, 3), preprocess=ways(5), name="Satellite")
    with pytest.raises(UsageError, match=r'has 1; .* photometric="minisblack", planarconfig="contig"'):
        model.to_input(read_image(tmp_path / "pages.tif"))


def test_as_is_takes_a_picture_as_large_as_it_is() -> None:
    way = Preprocess((32, 32), 40).as_is()
    picture = Image.fromarray(values(3))
    assert way(picture).shape == (3, *SIZE)
    assert way.view(picture).size == SIZE[::-1]
    assert way.window(*SIZE) == (0, 0, SIZE[1], SIZE[0])
    assert way.lost(*SIZE) == 0


def test_the_whole_photo_by_stretching_or_padding() -> None:
    picture = Image.new("RGB", (40, 20), (255, 0, 0))
    way = Preprocess((20, 20), 24, mean=(0.5,) * 3, std=(0.5,) * 3)
    assert way.lost(20, 40) > 0.5
    squashed, padded = way.whole("squash"), way.whole("letterbox")
    assert (squashed.lost(20, 40), padded.lost(20, 40)) == (0, 0)
    assert np.asarray(squashed.view(picture))[0, 0].tolist() == [255, 0, 0]
    top = np.asarray(padded.view(picture))[0, 0]
    assert top.tolist() == [128, 128, 128], "padding is the mean"
    assert torch.allclose(padded(picture)[:, 0, 0], torch.zeros(3), atol=0.01)
    with pytest.raises(seewhy.errors.UnknownName, match="nearest: 'letterbox'"):
        way.whole("leterbox")


def test_a_crop_that_cuts_much_away_is_said() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    photo = np.random.default_rng(0).integers(0, 256, (40, 80, 3), dtype=np.uint8)
    notes = seewhy.explain(seewhy.wrap(net, preprocess=Preprocess((20, 20), 20)), photo, "saliency", 1).notes
    assert "the model sees the middle 50% of this photo" in " ".join(notes)
    assert "--whole letterbox" in " ".join(notes)
    whole = seewhy.wrap(net, preprocess=Preprocess((20, 20), 20).whole())
    assert not any("sees the middle" in note for note in seewhy.explain(whole, photo, "saliency", 1).notes)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_the_bands_that_are_shown_can_be_chosen(tmp_path: Path, dtype: str) -> None:
    tifffile = pytest.importorskip("tifffile")
    pixels = values(6) if dtype == "uint8" else values(6, "uint16", 60000)
    pixels = pixels.astype(np.float32) / 60000 if dtype == "float32" else pixels
    tifffile.imwrite(tmp_path / "six.tif", pixels, photometric="minisblack", planarconfig="contig")
    net = nn.Sequential(nn.Conv2d(6, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    top = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    for bands in (None, (5, 3, 0)):
        model = seewhy.wrap(net, preprocess=ways(6, bands=bands))
        explanation = seewhy.explain(model, tmp_path / "six.tif", "saliency", 1)
        wanted = np.rint(pixels[..., list(bands or (0, 1, 2))].astype(np.float64) / top * 255)
        assert explanation.image is not None
        assert np.array_equal(explanation.image, wanted)
        one, two, three = (n + 1 for n in bands or (0, 1, 2))
        said = [note for note in explanation.notes if "are shown as red, green and blue" in note]
        assert said
        assert said[0].startswith(f"bands {one}, {two} and {three} of 6")
        assert not any("not in the picture" in note for note in explanation.notes)
        row = torch.from_numpy(np.moveaxis(pixels.astype(np.float32) / top, 2, 0))
        again = seewhy.explain(model, row, "saliency", 1)
        assert np.abs(again.image.astype(int) - explanation.image).max() <= 1  # type: ignore[union-attr]


@pytest.mark.parametrize("wrong", [(0, 1), (0, 1, 6), (-1, 0, 1)])
def test_bands_that_there_are_not(wrong: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"bands=.*counted from 0, of 6 channels"):
        ways(6, bands=wrong)


def test_pages_of_planes_are_told_by_what_they_have(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    with tifffile.TiffWriter(tmp_path / "planar.tif") as file:
        for _ in range(2):
            file.write(np.moveaxis(values(4), 2, 0), photometric="minisblack", planarconfig="separate")
    model = seewhy.wrap(nn.Conv2d(5, 2, 3), preprocess=ways(5), name="Satellite")
    with pytest.raises(UsageError, match=r"takes 5 channels, and 'planar.tif' has 4; .* several pictures"):
        model.to_input(read_image(tmp_path / "planar.tif"))
    with tifffile.TiffWriter(tmp_path / "two.tif") as file:
        for _ in range(3):
            file.write(np.moveaxis(values(2), 2, 0), photometric="minisblack", planarconfig="separate")
    with pytest.raises(UsageError, match=r"takes 5 channels, and 'two.tif' has 2"):
        model.to_input(read_image(tmp_path / "two.tif"))
