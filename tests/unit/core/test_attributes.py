"""What modules keep of their own: found again as long as it is the same, and held by nobody for having been looked
at."""

import gc
import weakref

import pytest
from torch import nn

from seewhy.core.compile.attributes import attributes_of
from seewhy.core.network.parts import submodules


class Kept:
    """Something that a module has."""


def network() -> nn.Module:
    """Two layers, and one attribute each that is plain, is not, and has plain ones in it."""
    root = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    root.gain, root.held, root.sizes = 3, Kept(), (1, 2)
    return root


def test_what_is_the_same_is_the_same_object():
    parts = submodules(network())
    first, values = attributes_of(parts)
    again, now = attributes_of(parts)
    assert again is first
    assert now == values
    assert first.own[first.split.rest[0]] == "held"


@pytest.mark.parametrize(
    "change",
    [
        lambda root: setattr(root, "gain", 3.0),
        lambda root: setattr(root, "gain", None),
        lambda root: setattr(root, "sizes", (1, True)),
        lambda root: setattr(root, "gain", Kept()),
        lambda root: setattr(root, "held", 1),
        lambda root: setattr(root[1], "another", 1),
        lambda root: delattr(root, "gain"),
        lambda root: setattr(root[0], "in_features", -0.0),
    ],
)
def test_what_is_another_is_seen(change):
    root = network()
    first, _ = attributes_of(submodules(root))
    change(root)
    assert attributes_of(submodules(root))[0] != first


def test_equal_values_that_are_other_objects_are_equal():
    root = network()
    root.gain = float("1e300")
    first, _ = attributes_of(submodules(root))
    root.gain = float("1e300")
    again, _ = attributes_of(submodules(root))
    assert again is not first
    assert again == first


def test_another_object_at_the_same_place_is_looked_at_anew():
    root = network()
    first, values = attributes_of(submodules(root))
    root.held = Kept()
    again, now = attributes_of(submodules(root))
    place = first.split.rest[0]
    assert again is first  # which of them is not asked here
    assert now[place] is root.held is not values[place]


def test_nothing_of_the_users_is_kept():
    root = network()
    held, gone = weakref.ref(root.held), weakref.ref(root)
    attributes_of(submodules(root))
    root.held = None
    gc.collect()
    assert held() is None
    del root
    gc.collect()
    assert gone() is None
