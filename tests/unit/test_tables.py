"""Tables that other packages add to: who is asked when, what is refused with which words, and what then goes on."""

from __future__ import annotations

import functools
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import seewhy.methods  # noqa: F401 - the table of methods is full before a test lends it
from installing import install
from seewhy.errors import ModelError, UnknownName, UsageError
from seewhy.models import Model, loader
from seewhy.models._scheme import Scheme
from seewhy.registry import methods, registered_by
from seewhy.tables import Registry


class Thing(NamedTuple):
    name: str


@functools.cache
def things(found: Any) -> list[Thing]:
    """An entry point names the name of one thing: the same one whenever it is asked."""
    if not isinstance(found, str):
        raise UsageError(f"it names a {type(found).__name__}")
    return [Thing(found)]


GROUP = "seewhy.things"
Add = Callable[..., None]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Add]:
    """Install a package ``name`` whose entry point ``value`` names something in its one module ``text``: each in a folder
    of its own, and the last is found first."""
    allowed: list[str] = []

    def install_one(name: str, text: str, value: str = "{}:name", group: str = GROUP) -> None:
        module = f"{name.replace('-', '_')}_module"
        folder = install(tmp_path / name, name, {group: {"first": value.format(module)}}, "2.0", **{module: text})
        monkeypatch.syspath_prepend(folder)
        allowed.append(name)
        monkeypatch.setenv("SEEWHY_EXTENSIONS", ",".join(allowed))

    yield install_one
    for name in allowed:
        sys.modules.pop(f"{name.replace('-', '_')}_module", None)


@pytest.fixture
def table() -> Registry[Thing]:
    made: Registry[Thing] = Registry("thing", "list things")
    made.add(Thing("own"))
    made.open_to(GROUP, things)
    return made


def test_packages_are_asked_when_the_table_is_first_read_and_never_again(
    add: Add, table: Registry[Thing], tmp_path: Path
) -> None:
    add("good-one", "from pathlib import Path\nPath(__file__).with_name('log').touch()\nname = 'theirs'")
    log = tmp_path / "good-one" / "log"
    table.add(Thing("another"))
    assert not log.exists(), "adding is not reading"
    assert table["own"] == Thing("own")
    assert log.exists()
    log.unlink()
    assert table.keys() == {"own", "another", "theirs"}
    assert len(table) == 3
    assert [each.name for each in table] == ["another", "own", "theirs"]
    assert (table.package("theirs"), table.package("own"), table.package("nobody")) == ("good-one 2.0", "", "")
    assert not log.exists()


@pytest.mark.parametrize("read", [len, list, Registry.keys, lambda table: "theirs" in table])
def test_every_way_of_reading_asks_them(add: Add, table: Registry[Thing], read: Callable[[Any], Any]) -> None:
    add("good-one", "name = 'theirs'")
    read(table)
    assert "theirs" in table._entries


@pytest.mark.parametrize(
    ("text", "value", "why"),
    [
        ("import no_such_module_anywhere", "{}:name", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("raise ValueError('two\\nlines')", "{}:name", "ValueError: two lines"),
        ("import sys; sys.exit('at once')", "{}:name", "SystemExit: at once"),
        ("name = (", "{}:name", "SyntaxError: '(' was never closed"),
        ("other = 1", "{}:name", "AttributeError: module 'bad_one_module' has no attribute 'name'"),
        ("name = 3", "{}:name", "it names a int"),
        ("name = 'own'", "{}:name", "thing 'own' is registered twice; rename one of them"),
        ("name = 'good'", "no module at all!", "AttributeError: "),
    ],
)
def test_what_fails_is_left_out_with_one_line_and_the_others_go_on(
    add: Add, table: Registry[Thing], text: str, value: str, why: str
) -> None:
    add("a-good-one", "name = 'first'")
    add("bad-one", text, value)
    add("c-good-one", "name = 'last'")
    own = table._entries["own"]
    with pytest.warns(UserWarning, match="bad-one") as caught:
        assert table.keys() == {"own", "first", "last"}
    assert table["own"] is own
    (line,) = [str(each.message) for each in caught]
    assert "\n" not in line
    entry = f"first = {value.format('bad_one_module')} ({GROUP})"
    assert line.startswith(f"bad-one 2.0 is left out: its entry point {entry} cannot be used: {why}")
    assert line.endswith(". To get rid of it: pip uninstall bad-one")


def test_of_two_packages_with_one_name_the_first_by_the_alphabet_has_it(add: Add, table: Registry[Thing]) -> None:
    table.open_to(GROUP, lambda found: [Thing(found)])
    add("a-early", "name = 'wanted'")
    add("z-late", "name = 'wanted'")
    with pytest.warns(UserWarning, match=r"z-late .*'wanted' is registered twice .there is one of a-early 2.0."):
        assert table["wanted"] == Thing("wanted")
    assert table.package("wanted") == "a-early 2.0"


def test_an_entry_point_brings_all_or_nothing(add: Add) -> None:
    add("half-one", "name = ['new', 'own']")
    made: Registry[Thing] = Registry("thing", "list things")
    made.add(Thing("own"))
    made.open_to(GROUP, lambda found: [Thing(each) for each in found])
    with pytest.warns(UserWarning, match="half-one"):
        assert made.keys() == {"own"}
    assert made.package("new") == ""


def test_the_environment_says_who_is_let_in(add: Add, table: Registry[Thing], monkeypatch: pytest.MonkeyPatch) -> None:
    add("good-one", "name = 'one'")
    add("good-two", "name = 'two'")
    add("bad-one", "1 / 0")
    monkeypatch.setenv("SEEWHY_EXTENSIONS", " Good_Two, nobody")
    assert table.keys() == {"own", "two"}
    monkeypatch.setenv("SEEWHY_EXTENSIONS", "")
    table.open_to(GROUP, things)
    assert table.keys() == {"own", "two"}
    monkeypatch.delenv("SEEWHY_EXTENSIONS")
    table.open_to(GROUP, things)
    with pytest.warns(UserWarning, match="ZeroDivisionError"):
        assert table.keys() == {"own", "one", "two"}


def test_an_interrupt_goes_through_and_the_next_reader_begins_anew(
    add: Add, table: Registry[Thing], monkeypatch: pytest.MonkeyPatch
) -> None:
    add("a-good-one", "name = 'first'")
    add("b-slow-one", "import builtins\nif not hasattr(builtins, 'calm'): raise KeyboardInterrupt\nname = 'second'")
    with pytest.raises(KeyboardInterrupt):
        len(table)
    monkeypatch.setattr("builtins.calm", True, raising=False)
    assert table.keys() == {"own", "first", "second"}


def test_where_warnings_are_errors_they_are_raised_every_time(add: Add, table: Registry[Thing]) -> None:
    add("bad-one", "1 / 0")
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(UserWarning, match="bad-one"):
                len(table)


def test_metadata_that_cannot_be_read_is_said_and_stops_nothing(
    table: Registry[Thing], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**asked: str) -> Any:
        raise TypeError("Pair.__new__() missing 1 required positional argument")

    monkeypatch.setattr("seewhy.tables.entry_points", broken)
    monkeypatch.delenv("SEEWHY_EXTENSIONS")
    with pytest.warns(
        UserWarning, match=r"no package adds to seewhy.things: entry points cannot be read: TypeError: Pair"
    ):
        assert table.keys() == {"own"}


def test_a_package_may_read_the_table_while_it_is_imported(add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    made: Registry[Thing] = Registry("thing", "list things")
    made.add(Thing("own"))
    made.open_to(GROUP, things)
    monkeypatch.setattr("builtins.the_table", made, raising=False)
    add("good-one", "import builtins\nname = 'after ' + ' '.join(sorted(builtins.the_table.keys()))")
    assert made.keys() == {"own", "after own"}


def test_a_second_thread_waits_for_the_first(add: Add, table: Registry[Thing]) -> None:
    add("slow-one", "import time; time.sleep(0.3)\nname = 'theirs'")
    first = threading.Thread(target=table.keys)
    first.start()
    while table._opened is not None:
        time.sleep(0.001)
    assert "theirs" in table
    first.join()


def test_an_unknown_name_is_compared_with_those_of_other_packages(add: Add, table: Registry[Thing]) -> None:
    add("good-one", "name = 'theirs'")
    with pytest.raises(UnknownName, match=r"no thing 'their'; nearest: 'theirs'. List them: list things"):
        table["their"]


# what is entered when it is first looked up


@pytest.fixture
def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry[Thing]]:
    """A table that waits for two things of two modules, which tell that they were imported."""
    table: Registry[Thing] = Registry("thing", "list things")
    monkeypatch.setitem(sys.modules, "the_table", table)  # type: ignore[arg-type]
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("first", "second"):
        (tmp_path / f"waiting_{name}.py").write_text(
            f"import the_table\nfrom test_tables import Thing\nthe_table.add(Thing({name!r}))\n"
        )
    table.wait_for({name: f"waiting_{name}" for name in ("first", "second")}, lambda thing: f"waiting_{thing.name}")
    monkeypatch.setitem(sys.modules, "test_tables", sys.modules[__name__])
    yield table
    for name in ("first", "second"):
        sys.modules.pop(f"waiting_{name}", None)


def test_looking_one_thing_up_imports_no_other(waiting: Registry[Thing]) -> None:
    assert waiting.keys() == {"first", "second"}
    assert "first" in waiting
    assert len(waiting) == 2
    assert not {"waiting_first", "waiting_second"} & set(sys.modules)
    assert waiting["second"] == Thing("second")
    assert [thing.name for thing in waiting.entered()] == ["second"]
    assert "waiting_first" not in sys.modules
    with pytest.raises(UnknownName, match="no thing 'frist'; nearest: 'first'"):
        _ = waiting["frist"]
    assert "waiting_first" not in sys.modules
    assert [thing.name for thing in waiting] == ["first", "second"]


def test_a_name_that_is_waited_for_is_nobody_elses(waiting: Registry[Thing], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_home", lambda thing: "another_module")
    with pytest.raises(UsageError, match="thing 'first' is registered twice; rename one of them"):
        waiting.add(Thing("first"))
    assert [*waiting.entered()] == []
    waiting.add(Thing("third"))
    assert waiting.keys() == {"first", "second", "third"}


def test_a_package_that_fails_takes_nothing_of_ours_with_it(add: Add, waiting: Registry[Thing]) -> None:
    """While it is loaded, things of ours may be looked up for the first time."""
    add("bad-one", "import the_table\nthe_table['first']\n1 / 0")
    waiting.open_to(GROUP, things)
    with pytest.warns(UserWarning, match="ZeroDivisionError"):
        assert waiting["first"] == Thing("first")
    assert waiting.keys() == {"first", "second"}


def test_a_file_of_another_name_is_imported_once(waiting: Registry[Thing], tmp_path: Path) -> None:
    (tmp_path / "waiting_second.py").write_text("x = 1")
    with pytest.raises(UnknownName, match="no thing 'second'"):
        _ = waiting["second"]
    assert waiting.keys() == {"first"}


FORMULA = """
from seewhy.extend import Card, method

def card(name):
    return Card(name=name, family="gradient", paper="nobody 2020", formula="f", cost="1 forward")

@method(card("{0}"))
def first(gradient):
    return gradient
"""


@pytest.fixture
def of_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of methods, about to be read for the first time; afterwards what it was."""
    entries, packages = dict(methods._all()), dict(methods._packages)
    monkeypatch.setattr(methods, "_entries", dict(entries))
    monkeypatch.setattr(methods, "_packages", dict(packages))
    monkeypatch.setattr(methods, "_opened", ("seewhy.methods", registered_by))


@pytest.mark.usefixtures("of_methods")
def test_a_module_brings_its_methods(add: Add) -> None:
    add("good-one", FORMULA.format("trial-a"), "{}", "seewhy.methods")
    assert methods["trial-a"].formula.__module__ == "good_one_module"
    assert methods.package("trial-a") == "good-one 2.0"
    assert methods.package("saliency") == ""


@pytest.mark.usefixtures("of_methods")
def test_a_module_that_was_imported_before_has_its_methods_as_well(add: Add) -> None:
    add("good-one", FORMULA.format("trial-b"), "{}", "seewhy.methods")
    __import__("good_one_module")
    assert methods.package("trial-b") == "", "nobody has read the table yet"
    assert "trial-b" in methods
    assert methods.package("trial-b") == "good-one 2.0"


@pytest.mark.usefixtures("of_methods")
@pytest.mark.parametrize(
    ("text", "value", "why"),
    [
        (FORMULA.format("trial-c"), "{}:first", "it names a function, where a module is needed whose import registers"),
        (FORMULA.format("trial-c"), "{}:card", "it names a function"),
        ("x = 1", "{}", "bad_one_module registers no method: decorate a formula with seewhy.extend.method"),
        (FORMULA.format("saliency"), "{}", "method 'saliency' is registered twice; rename one of them"),
        (FORMULA.format("trial-c") + "\n1 / 0", "{}", "ZeroDivisionError"),
        (FORMULA.format("trial-c").replace("(gradient)", "(photo)"), "{}", "nothing fills argument 'photo'"),
    ],
)
def test_a_package_whose_methods_cannot_be_used_brings_none(add: Add, text: str, value: str, why: str) -> None:
    before, saliency = set(methods._entries), methods._entries["saliency"]
    add("bad-one", text, value, "seewhy.methods")
    with pytest.warns(UserWarning, match=r"bad-one 2.0 is left out: .*" + why.replace("(", r"\(")):
        assert methods.keys() == before
    assert methods["saliency"] is saliency


SCHEME = """
import sys, torch
from seewhy.extend import Model, Scheme, UnknownName

def load(request):
    if request.name == "crash":
        return {}["the\\nkey"]
    if request.name == "exit":
        sys.exit(1)
    if request.name == "bare":
        return torch.nn.Flatten()
    if request.name != "flat":
        raise UnknownName("trial model", request.name, ["flat"], "look it up")
    return Model(torch.nn.Flatten(), name="flat " + str(request.weights))

name = Scheme("trial", "trial:NAME", load, lambda: ["flat"], "look it up")
"""


@pytest.fixture
def of_schemes(add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of schemes with one of another package."""
    own = dict(loader.schemes._all())
    add("good-one", SCHEME, group="seewhy.models")
    monkeypatch.setattr(loader.schemes, "_entries", own)
    monkeypatch.setattr(loader.schemes, "_packages", {})
    loader.schemes.open_to("seewhy.models", loader._scheme)


@pytest.mark.usefixtures("of_schemes")
def test_a_package_loads_models() -> None:
    model = loader.load("trial:flat", labels=["cat", "dog"])
    assert isinstance(model, Model)
    assert (model.name, model.spec, model.labels) == ("flat auto", "trial:flat", ("cat", "dog"))
    assert not model.module.training
    assert loader.load("trial:flat", weights="random").name == "flat random"
    with pytest.raises(UnknownName, match=r"no trial model 'flta'; nearest: 'flat'. List them: look it up"):
        loader.load("trial:flta")
    with pytest.raises(UsageError, match=r"'trial:' names no model; type trial:NAME. List them: look it up"):
        loader.load("trial:")
    with pytest.raises(UnknownName, match="no model scheme 'trail'; nearest: 'trial'"):
        loader.load("trail:flat")


@pytest.mark.usefixtures("of_schemes")
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("crash", "the loader of good-one 2.0 fails: KeyError: 'the\\nkey'"),
        ("exit", "the loader of good-one 2.0 fails: SystemExit: 1"),
        ("bare", "the loader of good-one 2.0 gives a Flatten, not a Model"),
    ],
)
def test_a_loader_that_fails_is_named(name: str, why: str) -> None:
    with pytest.raises(ModelError) as caught:
        loader.load(f"trial:{name}")
    assert str(caught.value) == f"cannot load trial:{name}: {why}"


def test_a_scheme_that_seewhy_has_is_its_own(add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    own = dict(loader.schemes._all())
    add("bad-one", SCHEME.replace('"trial",', '"timm",'), group="seewhy.models")
    add("worse-one", "name = 'no scheme'", group="seewhy.models")
    monkeypatch.setattr(loader.schemes, "_entries", dict(own))
    loader.schemes.open_to("seewhy.models", loader._scheme)
    with pytest.warns(UserWarning, match="is left out") as caught:
        assert loader.schemes["timm"] is own["timm"]
    one, two = (str(each.message) for each in caught)
    assert "model scheme 'timm' is registered twice" in one
    assert "worse-one 2.0 is left out" in two
    assert "it names a str, where a seewhy.extend.Scheme is needed" in two
    assert isinstance(loader.schemes["timm"], Scheme)
