from __future__ import annotations

import json

import pytest

from seewhy.errors import UnknownName, UsageError
from seewhy.models.labels import find_label, imagenet_labels, read_labels, shown

PETS = ("tabby, tabby cat", "tiger cat", "Cardigan, Welsh corgi", "cardigan", "crane", "crane", "3", "red_panda, panda")


def find(text, labels=PETS, synonyms=True):
    return find_label(text, labels, synonyms, "seewhy labels --model builtin")


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("tiger cat", 1),
        ("tabby", 0),
        ("tabby cat", 0),
        ("Tabby Cat", 0),
        (" tiger_cat ", 1),
        ("cardigan", 3),  # the whole label as written beats the part of another
        ("Cardigan", 2),
        ("welsh corgi", 2),
        ("red panda", 7),
        ("3", 6),  # a label that is a number comes before the number
        ("5", 5),
    ],
)
def test_what_a_word_means(text, index):
    assert find(text) == index


def test_what_is_shown_wins_over_a_later_synonym_of_another_class():
    labels = ("skunk, polecat", "polecat, fitch", "weasel")
    assert (find("polecat", labels), find("skunk", labels)) == (1, 0)


def test_a_word_for_several_classes_lists_them():
    with pytest.raises(UsageError, match=r"'crane' means 2 classes: 4 'crane'; 5 'crane'; give the number"):
        find("crane")


def test_a_word_for_none_names_the_nearest():
    with pytest.raises(UnknownName) as caught:
        find("tigr cat")
    wanted = "no label 'tigr cat'; nearest: 'tiger cat'. List them: seewhy labels --model builtin"
    assert str(caught.value) == wanted


def test_numbers_out_of_range():
    for text in ("8", "-1", "99999999999999999999"):
        with pytest.raises(UsageError, match="the last is 7"):
            find(text)
    assert find("8", None) == 8
    with pytest.raises(UsageError, match=r"no class -1; classes are numbered from 0\. "):
        find("-1", None)
    with pytest.raises(UsageError, match="has no labels"):
        find("cat", None)


def test_what_is_shown():
    assert shown(PETS, True)[:4] == ("tabby", "tiger cat", "Cardigan", "cardigan")
    assert shown(("Paris, France", "Rome, Italy"), False) == ("Paris, France", "Rome, Italy")
    assert shown(("maillot", "maillot, tank suit"), True) == ("maillot", "maillot, tank suit")


def test_every_imagenet_label_shown_means_its_class():
    pytest.importorskip("timm")
    labels = imagenet_labels()
    assert len(labels) == 1000
    assert (labels[281], labels[967]) == ("tabby, tabby cat", "espresso")
    names = shown(labels, True)
    assert names[281] == "tabby"
    wrong = [k for k in range(0, 1000, 7) if names[k] != "crane" and find(names[k], labels) != k]
    assert wrong == []


def test_labels_from_everything(tmp_path):
    expected = ("cat", "dog", "owl")
    (tmp_path / "a.txt").write_text("\ufeffcat\r\ndog \nowl\n\n", encoding="utf-8")
    (tmp_path / "a.json").write_text(json.dumps(expected))
    (tmp_path / "b.json").write_text(json.dumps({"2": "owl", "0": "cat", "1": "dog"}))
    (tmp_path / "keras.json").write_text(json.dumps({str(k): ["n0", name] for k, name in enumerate(expected)}))
    (tmp_path / "class_to_idx.json").write_text(json.dumps({"owl": 2, "cat": 0, "dog": 1}))
    for given in (list(expected), {1: "dog", 0: "cat", 2: "owl"}, {"dog": 1, "cat": 0, "owl": 2}):
        assert read_labels(given) == expected
    for name in ("a.txt", "a.json", "b.json", "keras.json", "class_to_idx.json"):
        assert read_labels(tmp_path / name) == expected, name
        assert read_labels(str(tmp_path / name)) == expected


@pytest.mark.parametrize(
    ("text", "suffix", "words"),
    [
        ("cat\n\nowl\n", "txt", "class 1 has no name"),
        ("", "txt", "no names in it"),
        ("{not json", "json", "must be UTF-8 text"),
        ("3", "json", "holds a int"),
        ('{"0": "cat", "2": "owl"}', "json", "from 0 to 1 once each; missing: 1"),
        ('{"cat": "owl"}', "json", "keys must be class numbers"),
        ('["cat", 3]', "json", "class 1 has no name but 3"),
    ],
)
def test_label_files_that_cannot_be_meant(tmp_path, text, suffix, words):
    path = tmp_path / f"labels.{suffix}"
    path.write_text(text)
    with pytest.raises(UsageError, match=words):
        read_labels(path)


def test_missing_and_binary_label_files(tmp_path):
    (tmp_path / "labels.txt").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(UsageError, match="UnicodeDecodeError"):
        read_labels(tmp_path / "labels.txt")
    with pytest.raises(UsageError, match=r"nearest: .*labels\.txt"):
        read_labels(tmp_path / "label.txt")
