"""Takes a checkpoint file, gives its tensors or fills a network; never runs its code unless told to."""

from __future__ import annotations

import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor, nn

from seewhy.errors import ModelError, UnknownName, UnsafeModel, one_line, reason
from seewhy.models._missing_files import missing_file

__all__ = ["Weights", "class_counts", "fill", "load_weights", "read_weights"]

#: training scripts save the weights under one of these, beside the epoch and the optimiser; the first that is there
_WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model",
    "network",
    "net",
    "weights",
    "params",
    "model_ema",
    "state_dict_ema",
)
#: what data parallelism, compiling and Lightning put before every name; where several networks are in a file, the one
#: that these speak of is meant
_PREFIXES = ("", "module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "student.")
#: what batch norms count besides, which old files have not
_COUNTED = "num_batches_tracked"
#: how deep a table of weights may lie in what a training script saved
_DEEP = 4
_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".pkl", ".tar")


class Weights(dict[str, Tensor]):
    """The tensors of a checkpoint by name; ``found`` says in words where in the file they were."""

    def __init__(self, tensors: Mapping[str, Tensor], found: Sequence[str] = ()) -> None:
        super().__init__(tensors)
        self.found = tuple(found)


def read_weights(path: str | Path, trust_pickle: bool = False, part: str = "") -> Weights:
    """Every tensor in a checkpoint by name, on the CPU: .safetensors, or what `torch.save` writes.

    Looks inside ``{"state_dict": ...}``, ``{"model": ...}`` and their like; ``part`` names the table, or what the names
    of a network in it begin with, where there are several. Code in a pickle never runs
    unless ``trust_pickle``; then a whole pickled module or a TorchScript archive gives its state dict too.
    Raises `ModelError` for a file that is missing, damaged or no checkpoint, `UnsafeModel` for one that would
    run code, `UnknownName` for a part that is not there.
    """
    path = Path(path).expanduser()
    name = f"weights file {str(path)!r}"
    missing = missing_file(path)
    if missing:
        raise ModelError(f"cannot read {name}: {missing}")
    if not path.is_file():
        raise ModelError(f"cannot read {name}: it is a folder; give one file ({', '.join(_SUFFIXES[:5])})")
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise ModelError(f"cannot read {name}: {reason(error)}") from error
    if not head:
        raise ModelError(f"cannot read {name}: the file is empty (0 bytes)")
    if path.suffix.lower() == ".safetensors":
        return _part(Weights(_read_safetensors(path, name)), part, name)
    if not head.startswith((b"PK\x03\x04", b"\x80")) and not _globals(path):
        raise ModelError(f"cannot read {name}: no checkpoint; it starts with {head[:12]!r}")
    return _unwrap(_read_pickle(path, name, trust_pickle), part, name)


def _read_safetensors(path: Path, name: str) -> dict[str, Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise ModelError(f"cannot read {name}: safetensors is missing; pip install 'seewhy[models]'") from error
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except Exception as error:  # the library's own error type is not public under one name
        raise ModelError(f"cannot read {name}: damaged or no safetensors file ({reason(error)})") from error
    return tensors


def _read_pickle(path: Path, name: str, trust: bool) -> Any:
    """What the file holds. Unpickling code runs only with ``trust``."""
    script = _is_torchscript(path)
    if script and not trust:
        raise UnsafeModel(f"{name} is a TorchScript program, not a table of tensors; {_ADVICE}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # protocol remarks and deprecations: the caller cannot act on them
            if script:
                read: Any = torch.jit.load
                return read(str(path), map_location="cpu")
            return torch.load(path, map_location="cpu", weights_only=not trust)
    except Exception as error:  # a damaged archive raises anything from EOFError to KeyError
        refused = None if trust else _refused(path, error)
        if refused:
            raise UnsafeModel(f"{name} {refused}; {_ADVICE}") from error
        raise ModelError(f"cannot read {name}: damaged or no checkpoint ({reason(error, 120)})") from error


_ADVICE = (
    "save its state_dict() instead, or, only for a file you made yourself, --trust-pickle (Python: trust_pickle=True)"
)


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(entry.count("/") == 1 and entry.endswith("/constants.pkl") for entry in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError):  # an older format, or damage that torch.load will name
        return False


def _refused(path: Path, error: Exception) -> str | None:
    """What torch would not do, in words; None if the file is simply no good."""
    if not isinstance(error, pickle.UnpicklingError):
        return None
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    wanted = [named[1]] if named else _globals(path)
    if not wanted:
        return None
    foreign = wanted if named else _unsafe(path, wanted)
    if foreign:
        return f"would run code when read: it asks for {foreign[0]!r}"
    return "has a pickle protocol that torch does not read safely: leave pickle_protocol out of torch.save"


def _unsafe(path: Path, wanted: list[str]) -> list[str]:
    """Those of ``wanted`` that no table of tensors needs."""
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except (ValueError, EOFError, pickle.UnpicklingError):  # torch looks into archives of protocol 2, no others
        return [name for name in wanted if not name.startswith(("torch.", "collections."))]


def _globals(path: Path) -> list[str]:
    """The functions and classes that the first pickle in a file imports, read without running anything."""
    imported: list[str] = []
    strings: list[str] = []
    memo: list[str] = []
    fresh = False
    try:
        with ExitStack() as stack:
            file: IO[bytes] = stack.enter_context(path.open("rb"))
            if zipfile.is_zipfile(path):
                archive = stack.enter_context(zipfile.ZipFile(path))
                inner = next(name for name in archive.namelist() if name.endswith("data.pkl"))
                file = stack.enter_context(archive.open(inner))
            for opcode, argument, _ in pickletools.genops(file):
                if opcode.name in {"GLOBAL", "INST"}:
                    imported.append(str(argument).replace(" ", "."))
                elif opcode.name == "STACK_GLOBAL":
                    imported.append(".".join(strings[-2:]))
                elif opcode.name == "MEMOIZE":
                    memo.append(strings[-1] if fresh else "")
                elif opcode.name in {"BINGET", "LONG_BINGET"} and int(argument or 0) < len(memo):
                    strings.append(memo[int(argument or 0)])
                elif isinstance(argument, str):
                    strings.append(argument)
                fresh = isinstance(argument, str)
    except Exception:  # no pickle, or damaged further on: what was found so far is the answer
        pass
    return [name for name in imported if re.fullmatch(r"\w+(\.\w+)+", name)]  # prose may look like opcodes


def _unwrap(saved: Any, part: str, name: str) -> Weights:
    """The state dict inside what a training script saved, and where it was."""
    found: list[str] = []
    wanted = part
    for _ in range(_DEEP):
        if isinstance(saved, nn.Module):
            saved = saved.state_dict()
        if not isinstance(saved, Mapping) or _is_state(saved):
            break
        tables = [key for key, value in saved.items() if isinstance(value, nn.Module) or _is_state(value)]
        nested = [key for key in _WRAPPERS if isinstance(saved.get(key), Mapping) and key not in tables]
        chosen = wanted if wanted in tables else next((key for key in (*_WRAPPERS, *tables) if key in tables), None)
        if chosen is None and nested:
            chosen = nested[0]
        if chosen is None:
            break
        wanted = "" if chosen == wanted else wanted
        unnamed = chosen not in _WRAPPERS and chosen != part
        if unnamed and len(tables) > 1:
            raise ModelError(f"{name} holds {len(tables)} tables of weights: {_words(tables)}; --weights-part NAME")
        others = [key for key in tables if key != chosen]
        found.append(f"{chosen!r} of it" + (f" (it also holds {_words(others)}: --weights-part)" if others else ""))
        if isinstance(epoch := saved.get("epoch"), int):
            found.append(f"epoch {epoch}")
        saved = saved[chosen]
    if isinstance(saved, nn.Module):
        saved = saved.state_dict()
    if not isinstance(saved, Mapping):
        raise ModelError(f"{name} holds a {type(saved).__name__}, not a state dict; save module.state_dict()")
    if not _is_state(saved):
        keys = one_line([str(key) for key in saved][:6], 120)
        raise ModelError(f"{name} holds no state dict; its keys: {keys}; save module.state_dict()")
    return _part(Weights(saved, found), wanted, name)


def _is_state(value: Any) -> bool:
    """Whether a value is a table of tensors by name."""
    if not isinstance(value, Mapping) or not value:
        return False
    return all(isinstance(key, str) and isinstance(tensor, Tensor) for key, tensor in value.items())


def _words(keys: Sequence[str]) -> str:
    return _few([*map(repr, keys)], most=4)


def _part(state: Weights, part: str, name: str) -> Weights:
    """The network in a table of several whose names begin with ``part``; all of it for ''."""
    if not part:
        return state
    before = part.rstrip(".") + "."
    inner = {key.removeprefix(before): value for key, value in state.items() if key.startswith(before)}
    if not inner:
        known = list(dict.fromkeys(key.partition(".")[0] for key in state if "." in key))
        raise UnknownName("part", part, known, "what its names begin with", f" of {name}")
    return Weights(inner, (*state.found, f"{before}* of its names"))


def load_weights(module: nn.Module, path: str | Path, trust_pickle: bool = False, part: str = "") -> str:
    """Fill every parameter and buffer of ``module`` from a checkpoint, all or nothing; gives in words what of the file
    was taken, '' where it is nothing but the network's state dict.

    Raises what `read_weights` raises, and `ModelError` where names or shapes differ; the module then keeps
    its values.
    """
    return fill(module, read_weights(path, trust_pickle, part), f"weights file {str(path)!r}")


def fill(module: nn.Module, state: Mapping[str, Tensor], name: str) -> str:
    """`load_weights` for tensors already read; ``name`` is what the error calls them."""
    fitted, words = _fitted(module, state, name)
    differs = _mismatch(module, fitted, name)
    before = {key: value.clone() for key, value in module.state_dict().items()} if differs else {}
    try:
        # tried even where names differ: modules may know how to read those of older releases
        module.load_state_dict(dict(fitted), strict=True)
    except RuntimeError as error:
        module.load_state_dict(before, strict=False)
        raise ModelError(differs or f"{name} does not fit {type(module).__name__}: {reason(error)}") from error
    return "; ".join([*getattr(state, "found", ()), *words])


def _fitted(module: nn.Module, state: Mapping[str, Tensor], name: str = "") -> tuple[Mapping[str, Tensor], list[str]]:
    """What of ``state`` is the network, under the module's own names, and in words what was done for that.

    Every name that ends as the module's first one does may be its beginning: with what comes before taken off, all of
    the module's names have to be there, and no others. What does not begin so belongs to something else in the file (a
    loss, a metric, another network).
    """
    own = list(module.state_dict())
    if not own:
        return state, []
    for names in (state, {key.replace("_orig_mod.", ""): value for key, value in state.items()}):
        first = next((key for key in own if not key.endswith(_COUNTED)), own[0])
        befores = [key.removesuffix(first) for key in names if key == first or key.endswith(f".{first}")]
        whole = [before for before in befores if _is_all(own, names, before)]
        if not whole:
            continue
        best = next((before for before in _PREFIXES if before in whole), whole[0])
        if best not in _PREFIXES and len(whole) > 1:
            raise ModelError(
                f"{name} holds {len(whole)} networks that fit: {_words([before.rstrip('.') for before in whole])}; "
                "--weights-part NAME says which"
            )
        inner = {key.removeprefix(best): value for key, value in names.items() if key.startswith(best)}
        rest = [key for key in names if not key.startswith(best)]
        words = [f"names without {best!r}"] if best else []
        others = [before.rstrip(".") for before in whole if before != best]
        if others:
            words.append(f"it also holds {_words(others)} (--weights-part)")
        elif rest:
            words.append(f"{len(rest)} other tensor{'s' if len(rest) > 1 else ''} left out ({_few(rest)})")
        return inner, words
    return _stripped(own, state), []


def _is_all(own: Sequence[str], names: Mapping[str, Tensor], before: str) -> bool:
    """Whether what begins with ``before`` in ``names`` is a whole module with these ``own`` names, and nothing else."""
    inner = {key.removeprefix(before) for key in names if key.startswith(before)}
    missing = set(own) - inner
    return inner <= set(own) and all(key.endswith(_COUNTED) for key in missing)


def _stripped(own: Sequence[str], state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """``state`` without the prefixes that keep most of its names from matching the module's: so errors can say what is
    missing, and what is there too many."""
    wanted, best = set(own), state
    for _ in range(_DEEP):
        longer = [before for before in _PREFIXES if before and all(key.startswith(before) for key in state)]
        if not longer:
            break
        state = {key.removeprefix(longer[0]): value for key, value in state.items()}
        if len(wanted & set(state)) > len(wanted & set(best)):
            best = state
    inner = {key.replace("_orig_mod.", ""): value for key, value in best.items()}  # one compiled part of a network
    return inner if len(inner) == len(best) and len(wanted & set(inner)) > len(wanted & set(best)) else best


def _shapes(module: nn.Module, state: Mapping[str, Tensor]) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    """(name, shape in the file, shape in the network) wherever the two differ."""
    own = module.state_dict()
    return [
        (key, tuple(value.shape), tuple(own[key].shape))
        for key, value in state.items()
        if key in own and isinstance(own[key], Tensor) and value.shape != own[key].shape
    ]


def class_counts(module: nn.Module, state: Mapping[str, Tensor]) -> tuple[int, int] | None:
    """(classes in the file, classes in the network) if that is all in which the shapes differ, else None."""
    differ = _shapes(module, _fitted(module, state)[0])
    pairs = {(theirs[:1], ours[:1]) for _, theirs, ours in differ}
    if len(pairs) != 1 or any(theirs[1:] != ours[1:] for _, theirs, ours in differ):
        return None
    theirs, ours = pairs.pop()
    return (theirs[0], ours[0]) if theirs and ours else None


def _few(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _mismatch(module: nn.Module, state: Mapping[str, Tensor], name: str) -> str:
    """One line on how the file and the network differ; '' if names and shapes agree."""
    own = module.state_dict()
    missing = [key for key in own if key not in state]
    extra = [key for key in state if key not in own]
    differ = _shapes(module, state)
    parts = []
    counts = class_counts(module, state)
    if counts and not missing and not extra:
        parts.append(f"it has {counts[0]} classes, the network {counts[1]}")
    if missing:
        parts.append(f"{len(missing)} of the network's {len(own)} tensors are missing ({_few(missing)})")
    if extra:
        parts.append(f"{len(extra)} of the file's {len(state)} are unexpected ({_few(extra)})")
    if differ:
        shapes = [f"{key} {list(theirs)} instead of {list(ours)}" for key, theirs, ours in differ]
        parts.append(f"{len(differ)} differ in shape ({_few(shapes)})")
    return f"{name} does not fit {type(module).__name__}: {'; '.join(parts)}" if parts else ""
