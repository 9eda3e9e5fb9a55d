"""The colormaps: lightness is what they promise, hues are kept, names are found."""

from __future__ import annotations

import builtins
import colorsys

import numpy as np
import pytest

from seewhy.errors import UnknownName
from seewhy.render import colormap, colormap_names, lightness
from seewhy.render.colormaps import _FROM_OKLAB, _LMS_TO_RGB, _srgb

# 8-bit colours cannot hit a lightness exactly; this is the worst that rounding does away from black.
ROUNDING = 0.003


def test_names_begin_with_the_default() -> None:
    assert colormap_names() == ("ember", "fern", "gray", "blue-red")


@pytest.mark.parametrize("name", colormap_names())
def test_tables_are_256_colours_that_nobody_can_spoil(name: str) -> None:
    table = colormap(name)
    assert (table.shape, table.dtype) == ((256, 3), np.uint8)
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 0


@pytest.mark.parametrize("name", ["ember", "fern"])
def test_sequential_lightness_rises_on_a_straight_line(name: str) -> None:
    light = lightness(colormap(name))
    assert (np.diff(light) > 0).all()
    assert np.abs(light - np.linspace(light[0], light[-1], 256)).max() < ROUNDING
    assert light[-1] - light[0] > 0.65


def test_ember_runs_from_violet_over_magenta_and_orange_to_pale_yellow() -> None:
    hues = [colorsys.rgb_to_hsv(*(colormap("ember")[at] / 255.0))[0] * 360 for at in (20, 100, 190, 250)]
    violet, magenta, orange, yellow = hues
    assert 250 < violet < 290
    assert 310 < magenta < 350
    assert 20 < orange < 40
    assert 40 < yellow < 60


def test_gray_is_neutral_from_black_to_white() -> None:
    table = colormap("gray").astype(int)
    assert (table == table[:, :1]).all()
    assert table[0, 0] == 0
    assert table[-1, 0] == 255
    # half the lightness, which is a much darker code than half of 255
    assert lightness(colormap("gray")[128]) == pytest.approx(128 / 255, abs=ROUNDING)


def test_diverging_map_is_neutral_at_zero_and_mirrored_in_lightness() -> None:
    table = colormap("blue-red").astype(int)
    assert np.ptp(table[127:129]) == 0
    light = lightness(colormap("blue-red"))
    assert light[127] > 0.93
    assert np.abs(light[:128] - light[:127:-1]).max() < ROUNDING
    assert (np.diff(light[128:]) < 0.0005).all()
    assert table[0, 2] > table[0, 0] + 100
    assert table[-1, 0] > table[-1, 2] + 100


@pytest.mark.parametrize(("half", "low", "high"), [(slice(0, 90), 205, 225), (slice(166, 256), 350, 372)])
def test_diverging_hues_do_not_wander_where_srgb_ends(half: slice, low: float, high: float) -> None:
    hues = np.array([colorsys.rgb_to_hsv(*(each / 255.0))[0] * 360 for each in colormap("blue-red")[half]])
    if low > 300:
        hues = np.where(hues < 180, hues + 360, hues)
    assert hues.min() > low
    assert hues.max() < high


def test_neighbouring_colours_are_close() -> None:
    for name in ("ember", "fern", "blue-red"):
        assert np.abs(np.diff(colormap(name).astype(int), axis=0)).max() <= 8, name


def test_reversed_name() -> None:
    assert (colormap("ember_r") == colormap("ember")[::-1]).all()


def test_other_names_are_matplotlib_s() -> None:
    pytest.importorskip("matplotlib")
    assert colormap("jet")[0].tolist() == [0, 0, 128]
    with pytest.raises(UnknownName, match=r"^no colormap 'virids'; nearest: 'viridis'"):
        colormap("virids")


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def missing(name: str, *rest: object, **more: object) -> object:
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return found(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", missing)
    assert colormap("ember").shape == (256, 3)
    with pytest.raises(UnknownName, match=r"no colormap 'embr'.*seewhy\[plot\].*nearest: 'ember'"):
        colormap("embr")


def test_lightness_of_known_colours() -> None:
    # OKLab's own published values for the sRGB primaries
    primaries = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=np.uint8)
    assert lightness(primaries) == pytest.approx([0.62796, 0.86644, 0.45201], abs=1e-4)


def test_colours_that_srgb_lacks_keep_hue_and_lightness() -> None:
    # in no order, because smoothing along a path must not lift one colour by its neighbours' room
    light, hue = np.full(360, 0.6), np.deg2rad(np.random.default_rng(0).permutation(360))
    shown = _srgb(light, np.full(360, 0.4), hue)
    assert np.abs(lightness(shown) - 0.6).max() < ROUNDING
    linear = np.where(shown <= 10, shown / 255 / 12.92, ((shown / 255 + 0.055) / 1.055) ** 2.4)
    lab = np.cbrt(linear @ np.linalg.inv(_LMS_TO_RGB).T) @ np.linalg.inv(_FROM_OKLAB).T
    turned = np.angle(np.exp(1j * (np.arctan2(lab[:, 2], lab[:, 1]) - hue)), deg=True)
    assert np.abs(turned).max() < 1.5
    assert np.hypot(lab[:, 1], lab[:, 2]).min() > 0.08
