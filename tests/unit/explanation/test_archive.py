"""The .npz file: everything comes back, nothing in it is trusted."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seewhy.errors import UsageError
from seewhy.explanation import Cost, Explanation, Guess, Prediction, Status
from seewhy.explanation.archive import decode, encode

FIELDS = (
    "size",
    "method",
    "target",
    "target_index",
    "layer",
    "status",
    "cost",
    "prediction",
    "name",
    "positive",
)
FIELDS += ("channels", "contrast", "notes", "unit", "parameters", "provenance")


def rich(make: Any, dtype: Any) -> Explanation:
    values = np.random.default_rng(0).normal(size=(3, 4, 6)).astype(dtype)
    values[0, 0, :3] = np.nan, np.inf, -np.inf
    result: Explanation = make(
        values,
        channels=True,
        positive=True,
        contrast="top-10",
        score=11.57,
        status=Status("not-converged", "résidu 3 %"),
        cost=Cost(8, 4, 2, 0.125),
        notes=("one", "two"),
        error=np.full((4, 6), 0.5, dtype=dtype),
        input=np.random.default_rng(1).normal(size=(1, 3, 32, 48)).astype(dtype),
        parameters={
            "sigma": 0.1,
            "window": (16, 16),
            "nan": float("-inf"),
            "fill": None,
            "b": True,
            "m": {"x": [1]},
        },
        provenance={"seewhy": "0.1", "seed": 7, "mean": np.array([0.5, 0.25])},
        tensor=object(),
    )
    return result


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_everything_but_the_tensor_comes_back(make: Any, tmp_path: Path, dtype: Any) -> None:
    before = rich(make, dtype)
    after = Explanation.load(before.save(tmp_path / "a.npz"))
    for name in ("values", "error", "input", "image"):
        was, now = getattr(before, name), getattr(after, name)
        assert now.dtype == was.dtype
        np.testing.assert_array_equal(now, was)
    for name in FIELDS:
        if name != "provenance":
            assert getattr(after, name) == getattr(before, name), name
    assert after.score == before.score
    assert isinstance(after.parameters["window"], tuple)
    assert after.provenance["seed"] == 7
    np.testing.assert_array_equal(after.provenance["mean"], [0.5, 0.25])
    assert after.tensor is None
    assert (np.asarray(after.figure()) == np.asarray(before.figure())).all()


@pytest.mark.parametrize("error", [None, 0.25, float("nan")])
def test_what_is_absent_stays_absent(make: Any, tmp_path: Path, error: Any) -> None:
    bare = make(np.ones((2, 2)), image=None, prediction=None, layer=None, target_index=None, error=error, score=np.nan)
    after = Explanation.load(bare.save(tmp_path / "a.npz"))
    assert (after.image, after.input, after.prediction, after.layer, after.target_index) == (None,) * 5
    assert np.isnan(after.score)
    assert after.error is None if error is None else np.array_equal(after.error, error, equal_nan=True)


def test_whole_numbers_where_fractions_are_meant(make: Any, tmp_path: Path) -> None:
    certain = Prediction(1, "a", 1, (Guess(1, "a", 1, 12),))
    after = Explanation.load(make(prediction=certain, cost=Cost(seconds=2)).save(tmp_path / "a.npz"))
    assert after.prediction == certain
    assert after.cost == Cost(seconds=2)


def test_never_over_another_file(make: Any, tmp_path: Path) -> None:
    path = make().save(tmp_path / "a.npz")
    with pytest.raises(UsageError, match="--force"):
        make().save(path)
    make(name="new").save(path, force=True)
    assert Explanation.load(path).name == "new"


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


@given(PLAIN)
def test_parameters_survive_json(value: Any) -> None:
    text = json.dumps(encode(value, {}), allow_nan=False)
    assert repr(decode(json.loads(text), {})) == repr(value)


def test_arrays_and_strangers_among_parameters() -> None:
    arrays: dict[str, Any] = {"values": np.zeros(1)}
    coded = json.loads(json.dumps(encode({"w": np.arange(3), "n": np.float32(0.5), "s": {1}, "c": Cost(1)}, arrays)))
    back = decode(coded, arrays)
    assert back["w"].tolist() == [0, 1, 2]
    assert (back["n"], back["s"], back["c"]) == (0.5, "{1}", str(Cost(1)))
    assert sorted(arrays) == ["array_1", "values"]


class Bomb:
    """Runs when unpickled; the file it writes would betray it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (Path.touch, (self.mark,))


def stored(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return json.loads(str(arrays.pop("metadata"))), arrays


def forge(path: Path, meta: Any, arrays: dict[str, Any]) -> None:
    np.savez(path, metadata=np.array(json.dumps(meta)), **arrays)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an archive",
        b"PK\x03\x04broken",
        pickle.dumps({"a": 1}),
        b"\x89PNG\r\n\x1a\n",
        b"\x93NUMPY\x01\x00",
    ],
)
def test_files_of_another_kind(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"a\.npz is not an explanation: [^\n]+ writes$"):
        Explanation.load(path)


def test_other_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", weights=np.zeros(3))
    with pytest.raises(UsageError, match="metadata"):
        Explanation.load(tmp_path / "a.npz")
    with (tmp_path / "b.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(UsageError, match="one array"):
        Explanation.load(tmp_path / "b.npz")
    with pytest.raises(UsageError, match="no file"):
        Explanation.load(tmp_path / "c.npz")


@pytest.mark.parametrize("where", ["values", "metadata", "extra"])
def test_pickles_inside_are_never_run(make: Any, tmp_path: Path, where: str) -> None:
    path, mark = tmp_path / "a.npz", tmp_path / "mark"
    meta, arrays = stored(make().save(path))
    members = {"metadata": np.array(json.dumps(meta)), **arrays}
    members[where] = np.array([Bomb(mark)], dtype=object)
    np.savez(path, **members)
    with pytest.raises(UsageError, match="is not an explanation"):
        Explanation.load(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", "other"),
        ("method", 3),
        ("score", "high"),
        ("score", True),
        ("size", [0, 4]),
        ("size", [10**9, 10**9]),
        ("size", [1.5, 2]),
        ("size", "ab"),
        ("positive", 1),
        ("status", {"$pairs": [["code", "fine"]]}),
        ("status", {"$pairs": [["badly", "named"]]}),
        ("cost", None),
        ("cost", {"$pairs": [["forwards", "many"]]}),
        ("status", {"$pairs": [["cause", 5]]}),
        ("prediction", {"$pairs": [["index", 1], ["label", 2], ["probability", None], ["top", []]]}),
        ("prediction", {"$pairs": [["index", 1], ["label", "a"], ["probability", "b"], ["top", []]]}),
        ("prediction", {"$pairs": []}),
        ("parameters", {"$array": "missing"}),
        ("parameters", {"$run": "rm"}),
        ("error", "large"),
        ("version", "x"),
    ],
)
def test_forged_metadata(make: Any, tmp_path: Path, field: str, value: Any) -> None:
    path = tmp_path / "a.npz"
    meta, arrays = stored(make().save(path))
    forge(path, meta | {field: value}, arrays)
    with pytest.raises(UsageError, match=r"a\.npz"):
        Explanation.load(path)


def test_missing_or_wrong_arrays(make: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    meta, arrays = stored(make().save(path))
    for wrong in (
        {key: value for key, value in arrays.items() if key != "values"},
        arrays | {"values": np.array(["a"])},
        arrays | {"image": np.zeros((2, 2))},
    ):
        forge(path, meta, wrong)
        with pytest.raises(UsageError, match=r"a\.npz"):
            Explanation.load(path)


def test_bottomless_json(make: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    _, arrays = stored(make().save(path))
    np.savez(path, metadata=np.array("[" * 100_000), **arrays)
    with pytest.raises(UsageError, match="is not an explanation"):
        Explanation.load(path)


def test_a_header_that_claims_more_than_there_is(make: Any, tmp_path: Path) -> None:
    path = make().save(tmp_path / "a.npz")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    claim = io.BytesIO()
    np.lib.format.write_array_header_1_0(claim, {"descr": "<f8", "fortran_order": False, "shape": (10**15,)})
    members["values.npy"] = claim.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(UsageError, match="is not an explanation"):
        Explanation.load(path)


def test_truncated_and_bitten_files(make: Any, tmp_path: Path) -> None:
    path = make().save(tmp_path / "a.npz")
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for cut in range(0, len(whole), max(1, len(whole) // 25)):
        path.write_bytes(whole[:cut])
        with pytest.raises(UsageError, match=r"a\.npz is not an explanation"):
            Explanation.load(path)
    survived = 0
    for _ in range(60):
        bitten = bytearray(whole)
        bitten[int(random.integers(len(whole)))] ^= int(random.integers(1, 256))
        path.write_bytes(bytes(bitten))
        try:
            Explanation.load(path)
            survived += 1  # a flag that nobody reads
        except UsageError:
            pass
    assert survived < 20


def test_a_newer_format_says_so(make: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    meta, arrays = stored(make().save(path))
    forge(path, meta | {"version": 99}, arrays)
    with pytest.raises(UsageError, match=r"newer seewhy.*pip install -U seewhy"):
        Explanation.load(path)
