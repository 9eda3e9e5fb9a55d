"""Where objects are: masks, boxes and outlines as data sets write them, and where an input shows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seewhy.api.given.masks import open_masks
from seewhy.api.given.outlines import box, polygon, runs
from seewhy.errors import UsageError
from seewhy.models import Preprocess, read_image

SIZE = (12, 16)


def _square() -> np.ndarray:
    inside = np.zeros(SIZE, dtype=bool)
    inside[2:7, 5:11] = True
    return inside


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "RGBA", "LA", "I;16"])
def test_png_masks_of_every_kind_are_the_same(tmp_path: Path, mode: str) -> None:
    inside = _square()
    if mode == "P":
        indices = np.where(inside, 15, 0).astype(np.uint8)
        indices[1, 4:12] = 255  # nobody's, as Pascal VOC draws around objects
        picture = Image.fromarray(indices)
        picture = picture.convert("P")
        picture.putdata(indices.ravel().tolist())
    elif mode == "I;16":
        picture = Image.fromarray(inside.astype(np.uint16) * 3)
    elif mode in ("RGBA", "LA"):
        seen = np.full((*SIZE, 2 if mode == "LA" else 4), 255, dtype=np.uint8)
        seen[..., -1] = inside * 255
        picture = Image.fromarray(seen, mode)
    else:
        picture = Image.fromarray(inside.astype(np.uint8) * 255).convert(mode)
    picture.save(tmp_path / "a.png")
    masks = open_masks(tmp_path)
    found = masks.objects("photos/a.jpg", SIZE)
    assert masks.kind == "png"
    assert np.array_equal(found.inside, inside)
    assert np.array_equal(found.boxes, inside)


def test_the_box_of_a_mask_is_around_all_of_it(tmp_path: Path) -> None:
    inside = np.zeros(SIZE, dtype=np.uint8)
    inside[2, 3] = inside[9, 12] = 1
    Image.fromarray(inside).save(tmp_path / "a.png")
    boxes = open_masks(tmp_path).objects("a.jpg", SIZE).boxes
    right = np.zeros(SIZE, dtype=bool)
    right[2:10, 3:13] = True
    assert np.array_equal(boxes, right)


def test_photos_are_known_by_the_end_of_their_paths(tmp_path: Path) -> None:
    for name, row in (("cat/1.png", 1), ("dog/1.png", 2), ("2.png", 3)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        inside = np.zeros(SIZE, dtype=np.uint8)
        inside[row] = 1
        Image.fromarray(inside).save(tmp_path / name)
    masks = open_masks(tmp_path)
    assert masks.objects("/data/cat/1.jpg", SIZE).inside[1].all()
    assert masks.objects("dog/1.jpeg", SIZE).inside[2].all()
    assert masks.objects("cat/2.webp", SIZE).inside[3].all()
    assert masks.check(["cat/1.jpg", "dog/1.jpg", "none.jpg"]) == 2
    with pytest.raises(UsageError, match=r"'2' of .* is of two photos, 'a/2.jpg' and 'b/2.jpg'"):
        masks.check(["a/2.jpg", "b/2.jpg"])
    with pytest.raises(UsageError, match=r"is of a photo: it has '2', photos are called as 'x.jpg'"):
        masks.check(["x.jpg"])
    with pytest.raises(UsageError, match="no mask in"):
        masks.objects("x.jpg", SIZE)


def _voc(objects: str, size: tuple[int, int] | None = SIZE) -> str:
    stated = "" if size is None else f"<size><width>{size[1]}</width><height>{size[0]}</height></size>"
    return f"<annotation>{stated}{objects}</annotation>"


_OBJECT = (
    "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
)


def test_voc_s_boxes_count_from_one_and_hold_their_last_pixel(tmp_path: Path) -> None:
    two = _OBJECT.format("dog", 6, 3, 11, 7) + _OBJECT.format("cat", 1, 1, 1, 12)
    (tmp_path / "a.xml").write_text(_voc(two))
    masks = open_masks(tmp_path)
    both = masks.objects("a.jpg", SIZE).inside
    right = _square()
    assert np.array_equal(masks.objects("a.jpg", SIZE, lambda name: name == "dog").inside, right)
    right[:, 0] = True
    assert np.array_equal(both, right)
    with pytest.raises(UsageError, match="none of the class"):
        masks.objects("a.jpg", SIZE, lambda name: name == "hen")
    with pytest.raises(UsageError, match="is of 12 x 16 pixels, and the photo of 16 x 12; the photo lies on its side"):
        masks.objects("a.jpg", SIZE[::-1])
    for text in ("<annotation", _voc(_OBJECT.format("dog", "x", 1, 2, 3)), _voc(_OBJECT.format("dog", 9, 1, 2, 3))):
        (tmp_path / "a.xml").write_text(text)
        with pytest.raises(UsageError, match=r"cannot read 'a.xml'|a box is"):
            masks.objects("a.jpg", SIZE)


def _coco(path: Path, annotations: list[dict[str, Any]], **more: Any) -> Path:
    images = [{"id": 7, "file_name": "set/a.jpg", "height": SIZE[0], "width": SIZE[1]}]
    named = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    for n, each in enumerate(annotations):
        each |= {"id": n, "image_id": 7}
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": named} | more))
    return path


def test_coco_s_outlines_are_those_of_its_own_tools(tmp_path: Path) -> None:
    tools = pytest.importorskip("pycocotools.mask")
    inside = np.random.default_rng(0).random(SIZE) < 0.3
    packed = tools.encode(np.asfortranarray(inside.astype(np.uint8)))
    plain, last = [0], False
    for value in inside.T.ravel().tolist():
        if value != last:
            plain.append(0)
            last = value
        plain[-1] += 1
    text = packed["counts"].decode()
    for counts in (text, plain):
        path = _coco(tmp_path / "c.json", [{"category_id": 1, "segmentation": {"size": list(SIZE), "counts": counts}}])
        assert np.array_equal(open_masks(path).objects("set/a.jpg", SIZE).inside, inside)


def test_run_lengths_of_any_mask_are_read_as_pycocotools_writes_them() -> None:
    tools = pytest.importorskip("pycocotools.mask")
    draw = np.random.default_rng(1)
    for _ in range(40):
        size = (int(draw.integers(1, 90)), int(draw.integers(1, 90)))
        inside = draw.random(size) < draw.random()
        packed = tools.encode(np.asfortranarray(inside.astype(np.uint8)))
        assert np.array_equal(runs(packed["counts"], size), inside)
        assert np.array_equal(runs(packed["counts"].decode(), size), inside)


def _in_polygon(x: float, y: float, corners: list[tuple[float, float]]) -> bool:
    """Whether a ray to the right crosses an odd number of edges."""
    odd = False
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        if (y0 <= y) != (y1 <= y) and x >= x0 + (y - y0) / (y1 - y0) * (x1 - x0):
            odd = not odd
    return odd


@pytest.mark.parametrize("seed", range(5))
def test_polygons_hold_the_pixels_whose_middles_they_hold(seed: int) -> None:
    draw = np.random.default_rng(seed)
    corners = [(float(x), float(y)) for x, y in draw.uniform(-5, 45, (7, 2))]
    found = polygon([edge for corner in corners for edge in corner], (30, 40))
    right = [[_in_polygon(column + 0.5, row + 0.5, corners) for column in range(40)] for row in range(30)]
    assert np.array_equal(found, np.array(right))


def test_polygons_are_nearly_those_of_coco_s_own_tools() -> None:
    """Which count a pixel whose edge is touched; on the whole the same pixels."""
    tools = pytest.importorskip("pycocotools.mask")
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    points = np.stack([60 + 40 * np.cos(angle), 50 + 30 * np.sin(angle) * (1 + 0.3 * np.cos(3 * angle))], 1).ravel()
    theirs = tools.decode(tools.merge(tools.frPyObjects([points.tolist()], 100, 120))).astype(bool)
    ours = polygon(points.tolist(), (100, 120))
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.985


def test_a_coco_file_of_boxes_and_several_classes(tmp_path: Path) -> None:
    dog, cat = {"category_id": 1, "bbox": [5, 2, 6, 5]}, {"category_id": 2, "segmentation": [[0, 0, 3, 0, 0, 3]]}
    masks = open_masks(_coco(tmp_path / "c.json", [dog, cat]))
    assert np.array_equal(masks.objects("a/set/a.png", SIZE, lambda name: name == "dog").inside, _square())
    other = masks.objects("set/a.png", SIZE, lambda name: name == "cat")
    assert (int(other.inside.sum()), int(other.boxes.sum())) == (3, 4)
    with pytest.raises(UsageError, match=r"is of 12 x 16 pixels, and the photo of 9 x 9"):
        masks.objects("set/a.png", (9, 9))


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        ({"segmentation": {"size": [12, 16], "counts": [3, 4]}}, "run lengths of 7 pixels"),
        ({"segmentation": {"size": [12, 16], "counts": "\u0001"}}, "which no run length is written with"),
        ({"segmentation": {"size": [3, 3], "counts": [9]}}, "its mask is of 3 x 3"),
        ({"segmentation": [[1, 2, 3]]}, "a polygon is x1, y1"),
        ({"segmentation": [[1, 2, 3, 4, 5, "x"]]}, "an annotation of 'set/a'"), ({"bbox": [1, 2]}, "a bbox is"),
    ],
)  # fmt: skip
def test_outlines_that_are_none_are_one_line(tmp_path: Path, annotation: dict[str, Any], said: str) -> None:
    masks = open_masks(_coco(tmp_path / "c.json", [annotation]))
    with pytest.raises(UsageError, match=said):
        masks.objects("set/a.jpg", SIZE)


def test_what_holds_no_masks_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder or file"):
        open_masks(tmp_path / "none")
    with pytest.raises(UsageError, match="PNG files, Pascal VOC's XML files, or name a COCO JSON"):
        open_masks(tmp_path)
    (tmp_path / "c.json").write_text("[")
    with pytest.raises(UsageError, match=r"no annotation|no COCO JSON"):
        open_masks(tmp_path / "c.json")
    with pytest.raises(UsageError, match="no annotation with an outline or a box"):
        open_masks(_coco(tmp_path / "c.json", [{"category_id": 1, "caption": "a dog"}]))
    (tmp_path / "a.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(UsageError, match=r"cannot read the mask 'a.png'"):
        open_masks(tmp_path).objects("a.jpg", SIZE)
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(UsageError, match="is empty"):
        open_masks(tmp_path).objects("a.jpg", SIZE)
    with pytest.raises(UsageError, match="a box is left, top"):
        box(3, 0, 1, 2, SIZE)


@pytest.mark.parametrize(
    "ours",
    [
        Preprocess((40, 40), 50), Preprocess((40, 56), None, "squash"), Preprocess((40, 40), (40, 40), "border"),
        Preprocess((30, 30), 64, interpolation="bicubic"), Preprocess((90, 90), 60), Preprocess(None, None, "crop"),
        Preprocess((33, 37), 41, floor=True, interpolation="lanczos"), Preprocess((21, 21), 22, interpolation="nearest"),
        Preprocess((40, 40), 50, mean=(0.4,) * 3, std=(0.2,) * 3, order="bgr"),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("size", [(80, 100), (100, 61), (37, 200)])
def test_a_mask_stays_on_what_it_marks(ours: Preprocess, size: tuple[int, int]) -> None:
    """A white square on black: where the network sees more than half of white, the mask is inside, and nowhere else."""
    pixels, inside = np.zeros((*size, 3), dtype=np.uint8), np.zeros(size, dtype=bool)
    inside[size[0] // 3 : size[0] // 2 + 3, size[1] // 3 : size[1] // 2 + 5] = True
    pixels[inside] = 255
    seen = np.asarray(ours.view(read_image(pixels).pixels))[..., 1]
    mask = ours.of_mask(inside)
    assert mask.shape == seen.shape
    assert mask.any()
    if ours.mode == "border":  # which is padded with the mean, no black
        seen = np.where(ours.of_mask(np.ones(size, dtype=bool)), seen, 0)
    assert np.array_equal(mask, seen >= 128)


def test_a_mask_is_a_plane() -> None:
    with pytest.raises(UsageError, match="a truth for each pixel"):
        Preprocess().of_mask(np.zeros((3, 4, 4), dtype=bool))


def _boxes_at(path: Path, **files: str) -> Path:
    """A COCO file with the same box for each photo, called as told; ``files`` by id."""
    images = [{"id": number, "file_name": name, "height": 12, "width": 16} for number, name in files.items()]
    annotations = [{"id": n, "image_id": number, "bbox": [5, 2, 6, 5]} for n, number in enumerate(files)]
    path.write_text(json.dumps({"images": images[::-1], "annotations": annotations, "categories": []}))
    return path


def test_a_path_that_is_longer_than_the_photo_s_is_followed(tmp_path: Path) -> None:
    """Data sets list photos from their root on, and folders of photos begin deeper."""
    for root in ("", "train/photos/", "/data/train/photos/", "photos\\"):
        masks = open_masks(_boxes_at(tmp_path / "c.json", a=f"{root}cat/1.jpg", b=f"{root}dog/1.jpg"))
        assert masks.check(["cat/1.png", "dog/1.png"]) == 2
        assert np.array_equal(masks.objects("cat/1.png", SIZE).inside, _square())
    with pytest.raises(UsageError, match=r"'1.png' may be '.*dog/1' or '.*cat/1' of .*c.json'"):
        masks.objects("1.png", SIZE)
    with pytest.raises(UsageError, match=r"'1.png' may be"):
        masks.check(["1.png", "2.png"])
    more = open_masks(_boxes_at(tmp_path / "c.json", a="cat/1.jpg", b="dog/1.jpg", c="dog/2.jpg"))
    assert more.check(["1.png", "2.png"]) == 1


def test_a_coco_file_that_lists_a_photo_twice_keeps_all_of_it(tmp_path: Path) -> None:
    listed = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "a.jpg"}, {"id": 3, "file_name": "b.jpg"}]
    boxes = [{"image_id": 1, "bbox": [5, 2, 6, 5]}, {"image_id": 2, "bbox": [0, 0, 1, 12]}]
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"annotations": boxes, "images": listed}))
    right = _square()
    right[:, 0] = True
    assert np.array_equal(open_masks(path).objects("a.jpg", SIZE).inside, right)
    listed[1]["file_name"] = "a.png"
    path.write_text(json.dumps({"annotations": [*boxes, {"image_id": 3, "bbox": [5, 2, 6, 5]}], "images": listed}))
    masks = open_masks(path)
    with pytest.raises(UsageError, match=r"'a.jpg' and 'a.png', which differ by their suffix alone"):
        masks.objects("a.jpg", SIZE)
    assert np.array_equal(masks.objects("b.jpg", SIZE).inside, _square())


@pytest.mark.parametrize("size", [{}, {"height": None, "width": None}, {"height": 0, "width": 0}, {"height": 12}])
def test_a_coco_file_need_not_say_how_large_photos_are(tmp_path: Path, size: dict[str, Any]) -> None:
    images = [{"id": 7, "file_name": "a.jpg", **size}]
    path = _coco(tmp_path / "c.json", [{"bbox": [5, 2, 6, 5]}], images=images)
    assert np.array_equal(open_masks(path).objects("a.jpg", SIZE).inside, _square())


def test_annotations_of_no_listed_photo_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    for images, said in (([{"id": "7", "file_name": "a.jpg"}], "its images have '7'"), ([], "it lists no images")):
        path.write_text(json.dumps({"annotations": [{"image_id": 7, "bbox": [1, 1, 2, 2]}], "images": images}))
        with pytest.raises(UsageError, match=f"are of image_id 7..., and {said}"):
            open_masks(path)


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        ({"segmentation": {"size": [12], "counts": [192]}}, "run lengths are {size"),
        ({"segmentation": {"size": [12, 16]}}, "run lengths are {size"),
        ({"segmentation": [1, 2, 3, 4, 5, 6]}, r"a polygon is x1, y1.*got 1"),
        ({"segmentation": {"size": [12, float("inf")], "counts": [192]}}, "OverflowError"),
        ({"segmentation": True, "bbox": [1, 2, 3, 4]}, "a list of polygons, or run lengths; got True"),
        ({"bbox": "1, 2, 3, 4"}, r"a bbox is \[left, top, width, height\] in pixels; got '1, 2"),
    ],
)  # fmt: skip
def test_an_outline_that_is_none_is_one_line_of_its_own(tmp_path: Path, annotation: dict[str, Any], said: str) -> None:
    """Whatever a file holds, the others go on."""
    masks = open_masks(_coco(tmp_path / "c.json", [annotation]))
    with pytest.raises(UsageError, match=rf"^an annotation of 'set/a' in '.*': .*{said}"):
        masks.objects("set/a.jpg", SIZE)


def test_voc_files_need_no_size_and_say_which_lacks_a_box(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    for size in ("<size><width></width><height/></size>", "<size><width>0</width><height>0</height></size>", ""):
        (tmp_path / "cat" / "a.xml").write_text(f"<annotation>{size}{_OBJECT.format('dog', 6, 3, 11, 7)}</annotation>")
        assert np.array_equal(open_masks(tmp_path).objects("cat/a.jpg", SIZE).inside, _square())
    (tmp_path / "cat" / "a.xml").write_text(_voc("<object><name>dog</name></object>"))
    with pytest.raises(UsageError, match=r"^cannot read 'cat/a.xml': an object 'dog' has no box"):
        open_masks(tmp_path).objects("cat/a.jpg", SIZE)


def test_the_file_of_one_photo_is_no_source_of_masks(tmp_path: Path) -> None:
    for name in ("a.png", "a.XML"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(UsageError, match="is of one photo: name the folder that it is in"):
            open_masks(tmp_path / name)
