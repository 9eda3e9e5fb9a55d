"""Collections: the sequence, the grid's places, shared scales, file names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from seewhy.errors import UnknownName, UsageError
from seewhy.explanation import Cost, Explanation, Explanations, Status
from seewhy.explanation.arrange import arrange, group, looks_of, shared_scales, table
from seewhy.explanation.collection import file_stems

if TYPE_CHECKING:
    from pathlib import Path

    from seewhy.render import Cell

ONES = np.ones((4, 6), dtype=np.float32)
DRAW: dict[str, Any] = {"columns": None, "shared": True, "percentile": 99.5, "cmap": None}


def other_photo(seed: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, size=(32, 48, 3), dtype=np.uint8)


def words(svg: str) -> list[str]:
    tree = ElementTree.fromstring(svg)
    return [each.text or "" for each in tree.iter("{http://www.w3.org/2000/svg}text")]


def test_it_is_an_immutable_sequence(make: Any) -> None:
    items = [make(name=str(number)) for number in range(4)]
    collection = Explanations(items, cost=Cost(1, 1))
    items.clear()
    assert len(collection) == 4
    assert [each.name for each in collection] == ["0", "1", "2", "3"]
    assert collection[-1].name == "3"
    part = collection[1:3]
    assert isinstance(part, Explanations)
    assert [each.name for each in part] == ["1", "2"]
    assert collection[2] in collection
    assert make() not in collection
    with pytest.raises(TypeError):
        collection[0] = items  # type: ignore[index]
    with pytest.raises(IndexError):
        collection[4]


def test_shared_passes_are_counted_once(make: Any) -> None:
    items = [make(cost=Cost(1, 1, 0, 0.5)) for _ in range(3)]
    assert Explanations(items).cost == Cost(3, 3, 0, 1.5)
    shared = Explanations(items, cost=Cost(1, 1, 0, 0.5))
    assert shared.cost == shared[:2].cost == shared.where(method="grad-cam").cost == Cost(1, 1, 0, 0.5)


def test_where(make: Any) -> None:
    collection = Explanations(
        [
            make(),
            make(method="saliency", layer=None),
            make(target="lynx", target_index=287),
            make(layer="layer3"),
        ]
    )
    assert len(collection.where(method="grad-cam")) == 3
    assert len(collection.where(method="grad-cam", layer="layer4")) == 2
    assert collection.where(target=287)[0] is collection.where(target="lynx")[0]
    assert len(collection.where()) == 4
    assert len(collection.where(method="saliency", layer="layer4")) == 0
    with pytest.raises(UnknownName, match=r"no method 'gradcam' in this collection; nearest: 'grad-cam'"):
        collection.where(method="gradcam")
    with pytest.raises(UnknownName, match="no target '5'"):
        collection.where(target=5)
    assert len(Explanations([]).where(method="x")) == 0


def test_rows_are_images_and_columns_methods(make: Any) -> None:
    two = {"name": "coffee", "image": other_photo(1), "target": "espresso", "target_index": 967}
    items = [make(), make(method="saliency"), make(**two), make(**two, method="saliency")]
    assert table(items) == [[0, 1], [2, 3]]
    assert table([items[0], items[2], items[1], items[3]]) == [[0, 2], [1, 3]]
    assert table([items[0], items[1], items[3]]) == [[0, 1], [None, 2]]


def test_targets_are_rows_unless_there_is_one_method(make: Any) -> None:
    tabby = {"target": "tabby", "target_index": 281}
    assert table([make(), make(**tabby)]) == [[0, 1]]
    assert table([make(), make(method="saliency"), make(**tabby), make(**tabby, method="saliency")]) == [
        [0, 1],
        [2, 3],
    ]
    assert table([make(), make(layer="layer3"), make(contrast="top-10")]) == [[0, 1, 2]]


def test_images_of_one_name_are_told_apart_by_their_pixels(make: Any) -> None:
    assert table([make(), make(image=other_photo(1)), make()]) == [[0, 2], [1, None]]


def test_duplicates_stand_side_by_side_and_say_how_they_differ(make: Any) -> None:
    items = [
        make(method="smooth-grad", parameters={"samples": 8, "seed": 0}),
        make(method="saliency"),
        make(method="smooth-grad", parameters={"samples": 32, "seed": 0}),
    ]
    assert table(items) == [[0, 2, 1]]
    shown = words(Explanations(items).grid_svg())
    assert "layer4 · samples=8" in shown
    assert "layer4 · samples=32" in shown
    assert not any("seed" in each for each in shown)


def test_the_photo_is_first_and_gaps_are_named(make: Any) -> None:
    two = {"name": "coffee", "image": other_photo(1)}
    cells, _ = arrange([make(), make(method="saliency"), make(**two)], **DRAW)
    assert [[cell.title[0] if cell.title else cell.note for cell in row] for row in cells] == [
        ["chelsea", "grad-cam", "saliency"],
        ["coffee", "grad-cam", "not computed"],
    ]
    assert (np.asarray(cells[1][0].pixels) == two["image"]).all()
    bare, _ = arrange([make(image=None)], **DRAW)
    assert [len(row) for row in bare] == [1]


def test_columns_wrap_long_rows(make: Any) -> None:
    items = [make(method=f"m{number}") for number in range(5)]
    cells, _ = arrange(items, **(DRAW | {"columns": 2}))
    assert [["".join(cell.title[:1]) for cell in row] for row in cells] == [
        ["chelsea", "m0", "m1"],
        ["", "m2", "m3"],
        ["", "m4"],
    ]


def heat(cell: Cell) -> float:
    assert cell.pixels is not None
    return float(cell.pixels.astype(float).mean())


def test_shared_scale_keeps_a_faint_map_faint(make: Any) -> None:
    faint, strong = make(ONES * 0.1, image=None, name="a"), make(ONES, image=None, name="b")
    shared, bar = arrange([faint, strong], **DRAW)
    assert heat(shared[0][0]) < heat(shared[1][0]) / 3
    assert bar == ("ember", 0.0, 1.0, "")
    each, bar = arrange([faint, strong], **(DRAW | {"shared": False}))
    assert heat(each[0][0]) == heat(each[1][0])
    assert bar is None


def test_methods_layers_and_contrasts_have_scales_of_their_own(make: Any) -> None:
    items = [
        make(ONES * 5),
        make(ONES, method="saliency"),
        make(ONES * 2, layer="layer3"),
        make(ONES * 3, contrast="top-10"),
    ]
    tops = shared_scales(items, looks_of(items))
    assert [tops[group(each)] for each in items] == [5, 1, 2, 3]
    _, bar = arrange(items, **DRAW)
    assert bar is None
    foot = words(Explanations(items).grid_svg())[-1]
    assert "methods differ in their units" in foot


def test_a_method_s_maps_have_one_kind_of_colours(make: Any) -> None:
    signed, unsigned = make(ONES * np.linspace(-1, 1, 6, dtype=np.float32), name="a"), make(ONES, name="b")
    assert [seen.signed for seen in looks_of([signed, unsigned])] == [True, True]
    assert [seen.signed for seen in looks_of([unsigned])] == [False]
    # evidence that is only negative is drawn as such, next to positive maps that stay as they are
    against = make(-ONES, positive=True, status=Status("no-positive-evidence"))
    assert [seen.signed for seen in looks_of([against, make(ONES, positive=True)])] == [True, False]


def test_maps_without_an_answer_do_not_move_the_scale(make: Any) -> None:
    items = [make(ONES), make(ONES * 100, status=Status("zero-gradient", "x")), make(ONES * np.nan)]
    assert shared_scales(items, looks_of(items)) == {group(items[0]): 1.0}
    assert any("zero-gradient: x" in each for each in words(Explanations(items).grid_svg()))


def test_grid_writes_pictures_once(make: Any, tmp_path: Path) -> None:
    collection = Explanations([make(), make(method="saliency")])
    image = collection.grid(tmp_path / "grid.png", cell=96, header="Why?")
    with Image.open(tmp_path / "grid.png") as stored:
        assert (np.asarray(stored) == np.asarray(image)).all()
    with pytest.raises(UsageError, match="--force"):
        collection.grid(tmp_path / "grid.png")
    collection.grid(tmp_path / "grid.svg", cell=96, header="Why?")
    assert (tmp_path / "grid.svg").read_text(encoding="utf-8") == collection.grid_svg(cell=96, header="Why?")


def test_grid_refuses(make: Any) -> None:
    collection = Explanations([make()])
    with pytest.raises(UsageError, match="empty collection"):
        Explanations([]).grid()
    with pytest.raises(UsageError, match="no scale 'all'"):
        collection.grid(scale="all")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="0 columns"):
        collection.grid(columns=0)
    with pytest.raises(UsageError, match="nothing to save"):
        Explanations([]).save("nowhere")


def test_file_names_never_collide(make: Any) -> None:
    items = [
        make(),
        make(),
        make(name="Chelsea"),
        make(layer=None, contrast="top-10"),
        make(name="../../x y", target="a/b"),
    ]
    assert file_stems(items) == [
        "chelsea_tiger-cat_grad-cam_layer4",
        "chelsea_tiger-cat_grad-cam_layer4-2",
        "Chelsea_tiger-cat_grad-cam_layer4-3",
        "chelsea_tiger-cat_grad-cam_top-10",
        "x-y_a-b_grad-cam_layer4",
    ]
    stems = file_stems([make(name="é" * 500), make(name="grid", target="", method="", layer=None)])
    assert len(stems[0].encode()) <= 180
    assert stems[1] == "grid-2"
    clash = [make(name="a-2", target="", method="", layer=None)] + [
        make(name="a", target="", method="", layer=None) for _ in range(2)
    ]
    assert file_stems(clash) == ["a-2", "a", "a-3"]


def test_save_writes_one_file_each_and_the_grid(make: Any, tmp_path: Path) -> None:
    collection = Explanations([make(ONES), make(ONES * 0.1, name="b"), make(method="saliency")])
    paths = collection.save(tmp_path / "out", cell=96)
    assert [path.name for path in paths] == [
        "chelsea_tiger-cat_grad-cam_layer4.png",
        "b_tiger-cat_grad-cam_layer4.png",
        "chelsea_tiger-cat_saliency_layer4.png",
        "grid.png",
    ]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in paths}
    with Image.open(paths[1]) as stored:
        assert (np.asarray(stored) == np.asarray(collection[1].figure(cell=96))).all()
    shared = collection.save(tmp_path / "shared", cell=96, scale="shared")
    with Image.open(shared[1]) as stored:
        assert (np.asarray(stored) == np.asarray(collection[1].figure(cell=96, limits=(0, 1), shared=True))).all()
    told = words(collection[1].figure_svg(cell=320, limits=(0, 1), shared=True))
    assert "faint: reaches 10% of the shared scale" in told
    assert any("one colour scale" in line for line in told)


def test_save_checks_every_file_before_it_writes_one(make: Any, tmp_path: Path) -> None:
    collection = Explanations([make(), make(name="b")])
    (tmp_path / "grid.png").write_text("mine")
    with pytest.raises(UsageError, match=r"grid\.png exists already"):
        collection.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["grid.png"]
    with pytest.raises(UsageError, match=r"'\.gif'"):
        collection.save(tmp_path, suffix=".gif", force=True)
    assert len(collection.save(tmp_path, force=True)) == 3


def test_save_can_write_numbers(make: Any, tmp_path: Path) -> None:
    paths = Explanations([make(), make(name="b")]).save(tmp_path, suffix=".npz")
    assert [path.suffix for path in paths] == [".npz", ".npz", ".png"]
    assert Explanation.load(paths[1]).name == "b"


def test_html(make: Any) -> None:
    page = Explanations([make(target="<b>"), make(np.zeros(5), name="dense")])._repr_html_()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "dense" in page
    assert "data:image/png;base64," in page
    assert "and 2 more" in Explanations([make(image=None, size=(4, 6))] * 50)._repr_html_()


def test_repr(make: Any) -> None:
    words_ = repr(Explanations([make(), make(method="saliency"), make()], cost=Cost(1, 1, 0, 0.25)))
    assert words_ == "Explanations(3: grad-cam, saliency; 1 forward, 1 backward, 0.25 s)"


def test_the_photo_stands_once_a_row(make: Any) -> None:
    tabby = {"target": "tabby", "target_index": 281}
    items = [make(), make(method="saliency"), make(**tabby), make(**tabby, method="saliency")]
    cells, _ = arrange(items, **DRAW)
    assert [row[0].title[:1] for row in cells] == [("chelsea",), ("chelsea",)]
    cells, _ = arrange(items, **(DRAW | {"columns": 1}))
    assert [row[0].title[:1] for row in cells] == [("chelsea",), (), ("chelsea",), ()]
    assert cells[1][0].pixels is None


@pytest.mark.parametrize(("count", "lines", "across"), [(3, 3, 2), (8, 4, 4), (50, 13, 8)])
def test_many_photos_with_a_map_each_stand_side_by_side(make: Any, count: int, lines: int, across: int) -> None:
    items = [make(name=f"photo {n}", image=other_photo(n)) for n in range(count)]
    cells, _ = arrange(items, **DRAW)
    assert len(cells) == lines
    assert max(map(len, cells)) == across
    names = [cell.title[0] for row in cells for cell in row if cell.title and cell.title[0] != "grad-cam"]
    assert names == [item.name for item in items]


def test_every_map_of_a_grid_has_a_colorbar_with_its_unit(make: Any) -> None:
    items = [make(map_unit="logit"), make(method="saliency", map_unit="logit per unit of the input")]
    cells, whole = arrange(items, **DRAW)
    assert whole is None
    assert [cell.bar and cell.bar.unit for cell in cells[0]] == [None, "logit", "logit per unit of the input"]
    alike, whole = arrange([items[0], make(name="b", map_unit="logit")], **DRAW)
    assert whole is not None
    assert whole.unit == "logit"
    assert not any(cell.bar for row in alike for cell in row)


def test_maps_in_different_units_never_share_a_scale(make: Any) -> None:
    items = [make(ONES), make(ONES * 100, unit="probability", name="b")]
    assert sorted(shared_scales(items, looks_of(items)).values()) == [1, 100]


def test_a_grid_is_a_page_to_print(make: Any, tmp_path: Path) -> None:
    collection = Explanations([make(), make(method="saliency")])
    collection.grid(tmp_path / "grid.pdf", dpi=72, cell=96)
    page = (tmp_path / "grid.pdf").read_bytes()
    assert page == collection.grid_pdf(dpi=72, cell=96)
    wide, high = collection.grid(cell=96).size
    assert f"/MediaBox [0 0 {wide:.3f} {high:.3f}]".encode() in page


def test_a_strip_has_the_layers_in_order_and_the_output_last(make: Any, tmp_path: Path) -> None:
    output = make(layer=None, map_unit="logit")
    layers = [make(layer=f"layer{n}", target=f"mean of layer{n}", unit="activation") for n in range(7)]
    collection = Explanations([output, *layers])
    path = tmp_path / "strip.svg"
    image = collection.strip(path)
    shown = words(path.read_text(encoding="utf-8"))
    names = [f"layer{n}" for n in range(7)]
    assert [word for word in shown if word in names or word.startswith("output")] == [*names, "output: tiger cat"]
    assert "chelsea" in shown
    assert sum(word.startswith("up to") for word in shown) == 8
    assert any("output: logit" in word for word in shown)
    assert collection.strip(width=300).width > image.width
    assert collection.strip(columns=3).height > image.height
    with pytest.raises(UsageError, match="no strip"):
        Explanations([]).strip()
    with pytest.raises(UsageError, match="exists already"):
        collection.strip(path)


def test_a_strip_of_wide_photos_has_few_of_them_in_a_line(make: Any) -> None:
    road = {"image": np.full((20, 80, 3), 128, dtype=np.uint8), "photo": None}
    layers = [make(np.ones((20, 80)), layer=f"layer{n}", **road) for n in range(7)]
    image = Explanations(layers).strip(cell=160)
    assert image.width < 5 * 170  # two lines of four; of squares it would be one of eight
    assert Explanations(layers).strip(cell=160, columns=8).width > 8 * 160


def test_guided_maps_have_their_relief_beside_them(make: Any) -> None:
    colours = np.random.default_rng(0).normal(size=(3, 32, 48))
    two = {"name": "coffee", "image": other_photo(1)}
    items = [make(method="guided-backprop", colours=colours), make(), make(**two)]
    cells, _ = arrange(items, **DRAW)
    assert [[cell.title[0] if cell.title else cell.note for cell in row] for row in cells] == [
        ["chelsea", "guided-backprop", "guided-backprop, relief", "grad-cam"],
        ["coffee", "not computed", "", "grad-cam"],
    ]
    assert cells[0][2].bar is not None
    cells, _ = arrange([items[1], items[0]], **(DRAW | {"columns": 2}))
    assert [len(row) for row in cells] == [2, 3]  # a relief is not torn off
    assert max(len(row) for row in arrange(items[:1], **(DRAW | {"columns": 1}))[0]) == 2
    bare, _ = arrange(items, reliefs=False, **DRAW)
    assert [len(row) for row in bare] == [3, 3]
