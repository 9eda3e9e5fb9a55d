"""The package's own rules: who imports whom, what is public, what no file may hold."""

from __future__ import annotations

import ast
import importlib
import inspect
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

import seewhy

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "seewhy"
FILES = sorted(SOURCE.rglob("*.py"))
MODULES = sorted(
    ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__") for path in FILES
)

PUBLIC = [
    "Attack",
    "Audit",
    "Boundary",
    "Card",
    "Classification",
    "Cost",
    "Curves",
    "Diagnosis",
    "Evaluation",
    "Evidence",
    "Explanation",
    "Explanations",
    "Finding",
    "Gallery",
    "GridProof",
    "Guess",
    "Intervention",
    "LayerInfo",
    "MethodCheck",
    "Mistake",
    "Model",
    "Noise",
    "Prediction",
    "Preparation",
    "Preprocess",
    "Ranking",
    "Recommendation",
    "Repair",
    "Run",
    "Segmentation",
    "Status",
    "Tile",
    "Trust",
    "__version__",
    "attack",
    "attack_all",
    "attention",
    "attention_all",
    "audit",
    "boundary",
    "conformance",
    "diagnose",
    "errors",
    "evaluate",
    "evaluate_model",
    "evidence_penalty",
    "explain",
    "explain_all",
    "explain_batches",
    "explain_func",
    "extend",
    "factors",
    "feature_maps",
    "feature_maps_all",
    "filters",
    "intervene",
    "layers",
    "load",
    "maximise",
    "methods",
    "metrics",
    "open_run",
    "prepare",
    "principal_components",
    "recommend",
    "repair",
    "report",
    "run",
    "segment",
    "segment_all",
    "targets",
    "training_curves",
    "trust",
    "view",
    "wrap",
]


def _name(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def _imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{each.name}" for each in node.names}
    return found


def _words(path: Path) -> list[tuple[str, int]]:
    """The code of a file without strings and comments: names and signs with their lines."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    skipped = (tokenize.STRING, tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    return [(token.string, token.start[0]) for token in tokens if token.type not in skipped]


def _calls(path: Path, *signs: str) -> list[int]:
    words = _words(path)
    return [line for n, (_, line) in enumerate(words) if tuple(word for word, _ in words[n : n + len(signs)]) == signs]


def test_rooms_import_only_lower_rooms() -> None:
    pytest.importorskip("importlinter")
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 kept, 0 broken" in done.stdout


def test_the_public_names_are_these() -> None:
    assert seewhy.__all__ == PUBLIC
    for name in PUBLIC:
        assert getattr(seewhy, name) is not None
    assert dir(seewhy) == sorted(PUBLIC)
    with pytest.raises(AttributeError, match="no attribute 'saliency'"):
        seewhy.saliency


def _imported(code: str, before: str = "") -> set[str]:
    """Names of the modules that ``code`` imports in a fresh process, beside what ``before`` has imported there."""
    program = f"import sys\n{before}\nknown = set(sys.modules)\n{code}\nprint(*(set(sys.modules) - known))"
    argv = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_the_package_costs_next_to_nothing() -> None:
    found = {name for name in _imported("import seewhy") if name.partition(".")[0] not in sys.stdlib_module_names}
    assert found == {"seewhy", "seewhy._version", "seewhy.errors"}


def test_explaining_imports_only_what_every_explanation_needs() -> None:
    found = {name.partition(".")[0] for name in _imported("import seewhy; seewhy.load; seewhy.explain", "import torch")}
    # what some models, pictures or methods need is imported by those; what torch imports is not counted
    heavy = {"timm", "torchvision", "transformers", "keras", "onnx", "onnxruntime", "safetensors"}
    heavy |= {"matplotlib", "skimage", "scipy", "cv2", "pandas", "typer", "rich"}
    assert not heavy & found


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_is_documented(name: str) -> None:
    if name == "seewhy.__main__":
        return
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    for public in getattr(module, "__all__", []):
        thing = getattr(module, public)  # every name of __all__ resolves
        if not (inspect.isclass(thing) or inspect.isfunction(thing)) or not thing.__module__.startswith("seewhy"):
            continue
        assert inspect.getdoc(thing), f"{name}.{public} has no docstring"
        if inspect.isclass(thing):
            for key, value in vars(thing).items():
                plain = inspect.isfunction(value) or isinstance(value, property | classmethod | staticmethod)
                # a function without a name is a field's default, which the class describes
                if plain and not key.startswith("_") and getattr(value, "__name__", "") != "<lambda>":
                    assert inspect.getdoc(getattr(thing, key)), f"{name}.{public}.{key} has no docstring"


def test_the_list_of_modules_is_the_whole_package() -> None:
    assert {
        "seewhy",
        "seewhy.errors",
        "seewhy.methods.grad_cam",
        "seewhy.cli.app",
        "seewhy.core.network.capture",
    } <= set(MODULES)
    assert len(MODULES) > 80


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_no_file_is_long_or_unfinished(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 500
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", text)
    assert text == "" or ast.get_docstring(ast.parse(text)), "a module begins with what it takes and gives"


def test_nothing_prints_but_the_command_line() -> None:
    talking = [f"{_name(path)}:{_calls(path, 'print', '(')}" for path in FILES if _calls(path, "print", "(")]
    assert [each for each in talking if not each.startswith("cli/")] == []


def test_hooks_live_in_the_tape_and_nowhere_else() -> None:
    on_modules, any_room = set(), set()
    for path in FILES:
        found = {word for word, _ in _words(path) if re.fullmatch(r"register_\w*hook", word)}
        if found - {"register_hook"}:
            on_modules.add(_name(path))
        if found:  # one on a tensor of the pass ends with the pass
            any_room.add(_name(path).partition("/")[0])
    assert on_modules == {"core/network/capture.py"}
    assert any_room == {"core"}


def test_nothing_runs_backward_into_the_parameters() -> None:
    assert {_name(path): lines for path in FILES if (lines := _calls(path, ".", "backward", "("))} == {}


@pytest.mark.parametrize("room", ["render", "explanation", "reports"])
def test_pictures_and_results_know_no_torch(room: str) -> None:
    files = sorted((SOURCE / room).rglob("*.py"))
    assert files
    for path in files:
        assert not {name.split(".")[0] for name in _imports(path)} & {"torch", "torchvision", "timm"}, path


def test_pictures_and_results_load_without_torch() -> None:
    code = "import sys, seewhy.render, seewhy.explanation, seewhy.reports; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_methods_are_formulas() -> None:
    for path in sorted((SOURCE / "methods").glob("*.py")):
        imported = _imports(path)
        assert not any(name == "torch.nn" or name == "torch.nn.Module" for name in imported), path
        assert not any(name.startswith(("seewhy.models", "seewhy.render")) for name in imported), path


def test_nobody_outside_the_command_line_imports_typer_or_rich() -> None:
    for path in FILES:
        if not _name(path).startswith("cli/"):
            assert not {name.split(".")[0] for name in _imports(path)} & {"typer", "rich", "click"}, path
