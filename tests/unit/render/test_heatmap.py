"""Heatmaps and overlays, by the values of their pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from seewhy.errors import UnknownName, UsageError
from seewhy.render import colormap, greyed, heatmap, overlay, side_by_side

if TYPE_CHECKING:
    from numpy.typing import NDArray

GOLDEN = Path(__file__).parents[2] / "golden"
EMBER, BLUE_RED = colormap("ember"), colormap("blue-red")


def photo(height: int = 16, width: int = 24) -> NDArray[np.uint8]:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 10, y * 15, 255 - x * 5], axis=-1).astype(np.uint8)


def bump(height: int = 16, width: int = 24) -> NDArray[np.float64]:
    y, x = np.mgrid[0:height, 0:width]
    return np.exp(-((x - 8) ** 2 + (y - 8) ** 2) / 18.0)


def test_heatmap_ends_and_middle() -> None:
    unsigned = heatmap(np.array([[0.0, 2.0]]), limits=(0, 2))
    assert (unsigned[0] == EMBER[[0, 255]]).all()
    signed = heatmap(np.array([[-2.0, 0.0, 2.0]]), limits=(-2, 2))
    assert (signed[0] == BLUE_RED[[0, 128, 255]]).all()


def test_heatmap_sign_is_found_and_can_be_given() -> None:
    assert (heatmap(np.array([[-1.0, 1.0]])) == heatmap(np.array([[-1.0, 1.0]]), signed=True)).all()
    positive = np.array([[0.5, 1.0]])
    assert (heatmap(positive)[0, 1] == EMBER[255]).all()
    assert (heatmap(positive, signed=True, limits=(-1, 1))[0, 1] == BLUE_RED[255]).all()


def test_heatmap_values_beyond_the_limits_get_the_end_colours() -> None:
    assert (heatmap(np.array([[-9.0, 9.0]]), limits=(-1, 1))[0] == BLUE_RED[[0, 255]]).all()


def test_heatmap_does_not_stretch_a_faint_map() -> None:
    faint = heatmap(np.full((2, 2), 0.01), limits=(0, 1))
    assert (faint == EMBER[3]).all()


def test_heatmap_of_nothing_is_the_rest_colour() -> None:
    assert (heatmap(np.zeros((2, 2))) == EMBER[0]).all()
    assert (heatmap(np.zeros((2, 2)), signed=True) == BLUE_RED[128]).all()


def test_heatmap_marks_what_is_not_finite() -> None:
    pixels = heatmap(np.array([[np.nan, np.inf, 1.0]]), limits=(0, 1))
    assert pixels[0, :2].tolist() == [[128] * 3] * 2
    assert (pixels[0, 2] == EMBER[255]).all()


def test_heatmap_size_interpolates_values_not_colours() -> None:
    pixels = heatmap(np.array([[0.0, 1.0]]), size=(1, 4), limits=(0, 1))
    assert (pixels[0] == EMBER[[0, 64, 191, 255]]).all()


def test_heatmap_refuses() -> None:
    with pytest.raises(UsageError, match=r"this one has \(3,\)"):
        heatmap(np.zeros(3))
    with pytest.raises(UsageError, match="finite and in order"):
        heatmap(np.zeros((2, 2)), limits=(1, 0))
    with pytest.raises(UsageError, match=r"try \(-3, 3\)"):
        heatmap(np.array([[-1.0]]), limits=(0, 3))
    with pytest.raises(UnknownName, match="nearest: 'ember'"):
        heatmap(np.zeros((2, 2)), cmap="embers")


def test_blend_is_the_constant_mixture() -> None:
    image, values = photo(), bump()
    mixed = overlay(image, values, mode="blend", opacity=0.25, limits=(0, 1))
    expected = 0.75 * image + 0.25 * heatmap(values, limits=(0, 1))
    assert np.abs(mixed - expected).max() <= 0.51


def test_alpha_shows_the_photo_where_nothing_is() -> None:
    image, values = photo(), bump()
    mixed = overlay(image, values, limits=(0, 1)).astype(float)
    nothing = overlay(image, np.zeros((2, 2))).astype(float)
    assert np.abs(mixed[:, 20:] - nothing[:, 20:]).max() <= 2
    # muted, but still the same photo
    assert np.corrcoef(nothing.mean(axis=2).ravel(), image.mean(axis=2).ravel())[0, 1] > 0.9
    assert np.abs(mixed[8, 8] - EMBER[255]).max() < np.abs(nothing[8, 8] - EMBER[255]).max() / 3


def test_alpha_s_opacity_grows_with_the_magnitude_of_both_signs() -> None:
    black, white = (np.full((1, 5, 3), tone, dtype=np.uint8) for tone in (0, 255))
    values = np.array([[-1.0, -0.5, 0.0, 0.5, 1.0]])
    # what still shows of the photo is the difference that the photo makes
    through = np.subtract(
        *(overlay(each, values, signed=True, limits=(-1, 1)).astype(float)[0, :, 0] for each in (white, black))
    )
    assert (1 - through / through[2]) == pytest.approx([0.88, 0.44, 0, 0.44, 0.88], abs=0.01)
    assert through[2] > 200


def test_unsigned_overlay_ignores_negative_values() -> None:
    image = photo()
    assert (overlay(image, -bump()) == overlay(image, bump() * 0)).all()
    assert (overlay(image, -bump(), signed=True) != overlay(image, bump() * 0)).any()


def test_mask_shows_the_photo_only_at_the_evidence() -> None:
    image = photo()
    masked = overlay(image, bump(), mode="mask", limits=(0, 1)).astype(int)
    assert np.abs(masked[8, 8] - image[8, 8]).max() <= 1
    assert masked[:, 22:].min() > 225
    veil = overlay(image, bump(), mode="mask", opacity=0)
    assert (veil == image).all()


def test_opacity_zero_blend_is_the_photo_and_one_is_the_map() -> None:
    image, values = photo(), bump()
    assert (overlay(image, values, mode="blend", opacity=0) == image).all()
    assert (overlay(image, values, mode="blend", opacity=1) == heatmap(values)).all()


@pytest.mark.parametrize("mode", ["alpha", "blend"])
def test_pixels_without_a_finite_value_show_the_photo(mode: Any) -> None:
    values = bump()
    values[:4] = np.nan
    image = photo()
    ground = overlay(image, bump() * 0) if mode == "alpha" else image
    assert (overlay(image, values, mode=mode)[:4] == ground[:4]).all()


def test_grey_photos_are_welcome_and_others_refused() -> None:
    grey = np.full((4, 4), 100, dtype=np.uint8)
    assert overlay(grey, np.ones((2, 2))).shape == (4, 4, 3)
    with pytest.raises(UsageError, match="uint8"):
        overlay(np.zeros((4, 4, 3)), np.ones((2, 2)))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="nearest: 'blend'"):
        overlay(photo(), bump(), mode="blended")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="opacity 55"):
        overlay(photo(), bump(), opacity=55)


def test_nothing_given_is_changed() -> None:
    image, values = photo(), bump()
    before = image.copy(), values.copy()
    overlay(image, values, contour=(0.5,), mode="mask")
    heatmap(values)
    greyed(image)
    assert (image == before[0]).all()
    assert (values == before[1]).all()


def test_contour_runs_where_the_level_is() -> None:
    image = np.full((60, 60, 3), 60, dtype=np.uint8)
    y, x = np.mgrid[0:60, 0:60]
    distance = np.hypot(x - 30, y - 30)
    cone = np.maximum(0, 1 - distance / 28)
    drawn = overlay(image, cone, mode="blend", opacity=0, contour=0.5, limits=(0, 1)).mean(axis=2)
    line = drawn > 150
    assert line.sum() > 60
    assert (np.abs(distance[line] - 14) < 1.6).all()
    # all around, and with soft edges
    angles = np.arctan2(y[line] - 30, x[line] - 30)
    assert np.diff(np.sort(angles)).max() < 0.2
    assert len(np.unique(drawn[line])) > 5
    assert (drawn[distance < 10] == 60).all()


def test_contours_of_a_signed_map_are_on_both_sides() -> None:
    image = np.zeros((40, 80, 3), dtype=np.uint8)
    y, x = np.mgrid[0:40, 0:80]
    values = np.exp(-((x - 20) ** 2 + (y - 20) ** 2) / 60.0) - np.exp(-((x - 60) ** 2 + (y - 20) ** 2) / 60.0)
    options: dict[str, Any] = {"mode": "blend", "opacity": 0, "contour": [0.5], "limits": (-1, 1)}
    both = overlay(image, values, signed=True, **options)
    assert both[:, :40].max() > 200
    assert both[:, 40:, 2].max() > 200
    assert both[:, 40:, 0].max() < 200  # light blue
    only = overlay(image, values, signed=False, **{**options, "limits": (0, 1)})
    assert only[:, 40:].max() == 0
    assert (overlay(image, values * 0, signed=True, contour=0.5) == overlay(image, values * 0)).all()
    with pytest.raises(UsageError, match=r"got 1\.5"):
        overlay(image, values, contour=1.5)


def test_side_by_side() -> None:
    left, right = photo(), greyed(photo())
    both = side_by_side(left, right, gap=3)
    assert (both[:, :24] == left).all()
    assert (both[:, 24:27] == 255).all()
    assert (both[:, 27:] == right).all()
    with pytest.raises(UsageError, match="got 16 and 8"):
        side_by_side(left, right[:8])


def test_greyed_has_no_colour_and_keeps_the_order_of_brightness() -> None:
    pale = greyed(photo())
    assert (pale == pale[..., :1]).all()
    assert pale.min() >= 120
    assert greyed(np.array([[[0, 0, 0], [255, 255, 255]]], dtype=np.uint8))[0, :, 0].tolist() == [120, 227]


def test_golden_overlays() -> None:
    """The look itself; after a wanted change, write the new picture to tests/golden and look at it."""
    drawn = np.concatenate(
        [
            overlay(photo(), bump()),
            overlay(photo(), bump() - 0.5, signed=True),
            overlay(photo(), bump(), mode="blend"),
            overlay(photo(), bump(), mode="mask", contour=(0.3,)),
        ]
    )
    with Image.open(GOLDEN / "overlays.png") as stored:
        expected = np.asarray(stored.convert("RGB")).astype(int)
    assert np.abs(drawn.astype(int) - expected).max() <= 2
