"""A live network, borrowed: takes a module or callable, gives calls that leave it bit for bit as it was; knows no
method."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from seewhy.core.network.devices import made_here
from seewhy.core.network.fitting import does_not_fit, of_input, of_kinds, of_shapes
from seewhy.core.network.foreign import Foreign, program_of
from seewhy.core.network.inputs import Inputs
from seewhy.core.network.locks import locked
from seewhy.core.network.parts import Parts, tensors_of
from seewhy.core.network.uncompiled import uncompiled, unrepeated
from seewhy.errors import CapabilityError, SeewhyError, reason

__all__ = ["Network", "mode_matters", "unwrap", "warning_once"]


def unwrap(module: nn.Module) -> nn.Module:
    """The network inside ``DataParallel``, ``DistributedDataParallel`` and ``torch.compile`` wrappers."""
    while True:
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            module = module.module
        elif isinstance(inner := getattr(module, "_orig_mod", None), nn.Module):
            module = inner
        else:
            return module


@contextmanager
def _eval_flags(parts: Parts) -> Iterator[list[nn.Module]]:
    """Every submodule in eval mode; each flag put back as it was. Gives those that were in train mode."""
    flags = parts.seen.of("training")
    training = []
    if any(flags) or len(flags) != len(parts):  # scripts keep it elsewhere, frozen ones have lost it
        training = [part for part in parts if getattr(part, "training", False)]
    try:
        for part in training:
            part.training = False
        yield training
    finally:
        for part in training:
            part.training = True


def _trained(root: nn.Module, training: Sequence[nn.Module]) -> str:
    """What is to be said of a network of which parts were in train mode; '' where none does something else then."""
    matter = {id(part) for part in training if mode_matters(part)}
    if not matter:
        return ""
    if any(part is root for part in training):
        return f"{type(root).__name__} is in train mode; it is explained as in eval mode"
    names = [name for name, part in root.named_modules() if id(part) in matter]
    layers = f"layer {names[0]!r} is" if len(names) == 1 else f"{len(names)} layers, of which {names[0]!r} is one, are"
    return f"{layers} in train mode, though {type(root).__name__} is not; it is explained as in eval mode"


def mode_matters(part: nn.Module) -> bool:
    """Whether a layer does something else in train mode."""
    name = type(part).__name__
    return any(word in name for word in ("Dropout", "BatchNorm", "InstanceNorm", "DropPath", "StochasticDepth"))


#: inputs from which on a forward is one of several
_SEVERAL = 2

#: what a forward raises that was given something else than it expects
_NOT_ONE_TENSOR = (TypeError, AttributeError, LookupError)


def _not_taken(root: nn.Module, x: Tensor, error: Exception, inputs: Inputs | None = None) -> CapabilityError:
    if inputs is not None:
        held = str(inputs)
        rows = ". A held tensor of one row, [1, ...], has a row for each image; others stay as they are" if held else ""
        return CapabilityError(
            f"{type(root).__name__} was given {inputs.shown(x)}{f', with {held},' * bool(held)} and raised "
            f"{reason(error)}{rows}"
        )
    return CapabilityError(
        f"{type(root).__name__} was given one tensor {tuple(x.shape)} and raised {reason(error)}. If it takes several, "
        "hold the others, wrap(model, inputs={name: value}); if in one tuple or dictionary, wrap it in a module whose "
        "forward(self, x) puts them together"
    )


def _takes_one(root: nn.Module, x: Tensor, error: Exception) -> bool:
    """Whether a forward of several inputs failed for their shape, and one of a single one does not."""
    if len(x) < _SEVERAL or not of_shapes(error):
        return False
    try:
        with torch.no_grad(), torch._C.DisableTorchFunction():
            root(x[:1].clone())
    except Exception:
        return False
    return True


class TakesOne(CapabilityError):
    """A forward was given several inputs and takes one; ``words`` say so."""

    def __init__(self, root: nn.Module, x: Tensor, error: Exception) -> None:
        self.words = (
            f"{type(root).__name__} takes one input at a time: of {len(x)} together it raised {reason(error, 120)}"
        )
        super().__init__(
            f"{self.words}. Have its forward take any number, as y.view(len(y), -1) does and y.view(1, -1) does not"
        )


@contextmanager
def _differentiable(root: nn.Module) -> Iterator[None]:
    """Say in a line what torch says of a forward that its backward pass does not stand."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, SeewhyError) or "modified by an inplace operation" not in str(error):
            raise
        raise CapabilityError(
            f"{type(root).__name__} has no gradient: its forward rewrites in place what the backward pass needs "
            "(y[...] += 1 behind a tanh). Write that line without it, or use a method that needs scores alone, such as "
            "--method occlusion or rise"
        ) from error


class _Buffers:
    """Buffers that a forward changes or replaces, put back as they were when they were first kept."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        self._parts = parts
        self._before: list[tuple[nn.Module, str, Tensor, Tensor, int | None]] | None = None

    def keep(self) -> None:
        """Copy them all, unless that is done."""
        if self._before is None:
            parts = [part for part in self._parts if part._buffers]
            held = [(part, n, v) for part in parts for n, v in part._buffers.items() if v is not None]
            copies = _copies([value for _, _, value in held])
            self._before = [(*entry, copy, _version(entry[2])) for entry, copy in zip(held, copies, strict=True)]

    def put_back(self) -> None:
        """As they were; nothing to do where they were never kept."""
        before, self._before = self._before or [], None
        with torch.no_grad():
            for part, name, value, copy, version in before:
                # TorchScript keeps its buffers in something that is no dictionary
                if name not in part._buffers or part._buffers[name] is not value:
                    part._buffers[name] = value
                if _version(value) != version or (version is None and not _same(value, copy)):
                    value.copy_(copy)


def _copies(values: Sequence[Tensor]) -> list[Tensor]:
    """A copy of each; those of a kind are copied at once, since there are many and they are small."""
    groups: dict[object, list[int]] = {}
    for n, value in enumerate(values):
        plain = value.layout == torch.strided and value.is_contiguous() and not value.is_quantized
        groups.setdefault((value.dtype, value.device, value.is_inference()) if plain else n, []).append(n)
    copies = list(values)
    for members in groups.values():
        if len(members) == 1:
            copies[members[0]] = values[members[0]].detach().clone()
            continue
        together = torch.cat([values[n].detach().reshape(-1) for n in members])
        parts = torch.split(together, [values[n].numel() for n in members])
        for n, copy in zip(members, parts, strict=True):
            copies[n] = copy.view(values[n].shape)
    return copies


def _version(value: Tensor) -> int | None:
    """How often ``value`` was changed in place; None for inference tensors, which do not count."""
    return None if value.is_inference() else value._version


def _same(value: Tensor, copy: Tensor) -> bool:
    return torch.equal(value, copy) or (
        value.is_floating_point()
        and torch.equal(value.nan_to_num(), copy.nan_to_num())
        and torch.equal(value.isnan(), copy.isnan())
    )


#: what was warned of in the call under way, where that borrows a network, and copies of it, many times
_SAID: ContextVar[set[str] | None] = ContextVar("said", default=None)


@contextmanager
def warning_once() -> Iterator[None]:
    """Have every warning about a network given once in all that runs inside, however often it is borrowed there."""
    before = _SAID.set(set()) if _SAID.get() is None else None
    try:
        yield
    finally:
        if before is not None:
            _SAID.reset(before)


#: types that networks compute in; smaller ones are ways of keeping weights
_COMPUTING = frozenset((torch.float16, torch.bfloat16, torch.float32, torch.float64))


@dataclass
class Network:
    """A module (or any callable from a batch to scores) that can be called without a trace.

    ``root`` is the module with wrappers taken off, or None for a callable; ``warned`` collects what the user ought to
    know about the model's state. ``program`` is what gives the scores where the module only stands for a network that
    runs outside torch, unless the module is looked at ``alone``. ``inputs`` say how it is called where it has several
    of them, or its axes in another order.
    """

    model: nn.Module | Callable[[Tensor], Any]
    warned: list[str] = field(default_factory=list)
    alone: bool = False
    inputs: Inputs | None = None

    def __post_init__(self) -> None:
        self.root = unwrap(self.model) if isinstance(self.model, nn.Module) else None
        #: whether the layers' own layout is channels last
        self.channels_last = isinstance(self.root, Foreign) and self.root.channels_last
        self.program = None if self.alone else program_of(self.model if self.root is None else self.root)
        self.warned = [*self.warned, *(() if self.program is None else self.program.caveats)]
        #: every submodule and tensor, for the length of a call: on a small network walks through it are what a call
        #: costs
        self.parts = Parts()
        self.held: list[Tensor] = []
        #: types that its parameters have
        self.kinds: set[torch.dtype] = set()
        #: whether the user has put backward hooks of their own on some module, and whether some tensor was made in
        #: inference mode and so can take part in no graph, as found when the network was last borrowed
        self.hooked_backward = self.frozen = False
        self._buffers = _Buffers(())

    @property
    def hides(self) -> bool:
        """Whether TorchScript runs some of it, whose functions nobody sees."""
        return any(issubclass(kind, torch.jit.ScriptModule) for kind in self.walked.types)

    @property
    def walked(self) -> Parts:
        """Every submodule: as found when the network was borrowed, or else gone through now."""
        return self.parts or Parts(self.root)

    @property
    def module(self) -> nn.Module:
        """The network itself; raises `CapabilityError` for a plain callable, which has no layers."""
        if self.root is None:
            why = self.program.why if self.program else "this model is a plain callable"
            raise CapabilityError(f"{why}: it has scores, but no gradients and no layers")
        return self.root

    @property
    def key(self) -> Any:
        """What things are remembered of, as long as it lives: the network, or how it is called."""
        return self.root if self.inputs is None else self.inputs

    @property
    def tensors(self) -> Iterator[Tensor]:
        """Parameters and buffers."""
        if self.root is None:
            return iter(())
        return itertools.chain(self.root.parameters(), self.root.buffers())

    def like(self, x: Tensor) -> Tensor:
        """``x`` on the network's device and in its floating-point type."""
        for tensor in self.tensors:
            if tensor.is_floating_point():
                return x.to(tensor.device, tensor.dtype)
        return x

    def computes_in(self, x: Tensor) -> torch.dtype:
        """The coarsest floating-point type of ``x`` and the parameters: what it gives may have another, and is no more
        exact."""
        kinds = (*self.kinds, *((x.dtype,) if x.is_floating_point() else ()))
        return max(kinds, key=lambda kind: torch.finfo(kind).eps, default=torch.float64)

    @property
    def classes(self) -> int | None:
        """How many classes the network's own configuration counts, as Hugging Face's do; None where it has none: an
        output with one more has a class for nothing."""
        count = getattr(getattr(self.root, "config", None), "num_labels", None)
        return count if isinstance(count, int) else None

    @property
    def makeup(self) -> int:
        """What the network is made of, in a number: what is remembered of it holds as long as that is the same."""
        return self.walked.makeup

    @contextmanager
    def borrowed(self) -> Iterator[Callable[[Tensor], Any]]:
        """A callable that runs the network; when the context ends everything about it is as it was.

        Covered, on success, failure and interruption alike: train/eval flags of each submodule, buffers, random state,
        grad mode, inference mode. `.grad` and `requires_grad` are never touched. Buffers are looked after from the
        first call on, or from `keep_buffers` on: where a prepared program runs instead, nothing touches them.
        """
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            parts = self.parts = Parts(self.root)
            stack.callback(parts.clear)
            if self.root is not None:
                stack.enter_context(locked(self.root, parts))
            # looked at under the locks only: while another call exports the network it holds other tensors
            held = self.held = tensors_of(parts)
            stack.callback(held.clear)
            parameters = filter(None, parts.seen.of("_parameters"))
            self.kinds = {tensor.dtype for kind in parameters for tensor in kind.values() if tensor is not None}
            self.kinds &= _COMPUTING
            devices = {tensor.device for tensor in held}
            if any(device.type == "meta" for device in devices):
                raise CapabilityError(
                    f"{type(self.root).__name__} has weights on the meta device, which hold no numbers; load them "
                    "(module.to_empty(device='cpu'), then load_state_dict)"
                )
            self.hooked_backward = any(parts.seen.of("_backward_hooks", "_backward_pre_hooks"))
            self.frozen = any(map(Tensor.is_inference, held))
            cards = (device.index for device in devices if device.type == "cuda")
            stack.enter_context(torch.random.fork_rng(sorted(n for n in cards if n is not None)))
            inputs = self.inputs
            if self.root is None:
                yield self.model if inputs is None else partial(inputs.call, self.model)
                return
            root = self.root
            stack.enter_context(_differentiable(root))
            buffers = self._buffers = _Buffers(parts)
            stack.callback(buffers.put_back)
            message = _trained(root, stack.enter_context(_eval_flags(parts)))
            if message and message not in self.warned:
                self.warned.append(message)
                said = _SAID.get()
                if said is None or message not in said:
                    warnings.warn(message, UserWarning, stacklevel=2)
                if said is not None:
                    said.add(message)
            if any(issubclass(kind, nn.RNNBase) for kind in parts.types):
                # cuDNN differentiates recurrent layers in train mode only
                stack.enter_context(torch.backends.cudnn.flags(enabled=False))
            stack.enter_context(uncompiled(parts))
            stack.enter_context(unrepeated())
            clones = {}
            if self.frozen:
                named = itertools.chain(root.named_parameters(), root.named_buffers())
                clones = {name: tensor.clone() for name, tensor in named}

            places = stack.enter_context(made_here())

            refused: list[tuple[Exception, tuple[int, ...]]] = []

            def run(*given: Any, **named: Any) -> Any:
                return torch.func.functional_call(root, clones, given, named) if clones else root(*given, **named)

            def call(x: Tensor) -> Any:
                self.keep_buffers()
                try:
                    with places():
                        return run(x) if inputs is None else inputs.call(run, x)
                except (RuntimeError, AssertionError) as error:
                    own = isinstance(error, SeewhyError | torch.OutOfMemoryError)
                    if inputs is not None and not own and (of_shapes(error) or (inputs.held and of_kinds(error))):
                        raise _not_taken(root, x, error, inputs) from error
                    refused[:] = [] if own else [(error, tuple(x.shape))]
                    if own or self.alone or inputs is not None or not _takes_one(root, x, error):
                        raise
                    raise TakesOne(root, x, error) from error
                except (*_NOT_ONE_TENSOR, ValueError) as error:
                    if "more than 1 value per channel" in str(error):
                        raise CapabilityError(
                            f"{type(root).__name__} has a batch norm without statistics of its own, which says nothing "
                            "of one picture: what it gives depends on those beside it. Give it statistics "
                            "(track_running_stats=True, and train it), or use a norm of each sample's own"
                        ) from error
                    own = isinstance(error, ValueError) and "to unpack" not in str(error)
                    refused[:] = [] if isinstance(error, SeewhyError) else [(error, tuple(x.shape))]
                    if isinstance(error, SeewhyError) or own:
                        raise
                    raise _not_taken(root, x, error, inputs) from error

            try:
                yield call
            except (RuntimeError, AssertionError, ValueError) as error:
                # only what nobody inside knew what to do with: many try another batch
                known = refused and refused[0][0] is error and of_input(error)
                if known and (unfit := does_not_fit(root, refused[0][1], error)) is not None:
                    raise unfit from error
                raise

    def note(self, words: str) -> None:
        """Say something about this network beside every map of it, once."""
        if words not in self.warned:
            self.warned.append(words)

    def keep_buffers(self) -> None:
        """Have the buffers put back when the network is given back, and its parts looked at anew. For whoever runs
        anything in the module other than by the borrowed callable, and for what sees every call of torch's functions,
        which sees the copying, too."""
        self._buffers.keep()
        self.parts.forget()

    def put_back_buffers(self) -> None:
        """Have the buffers as they were when they were first kept, now, and look after them again from here on."""
        self._buffers.put_back()
        self._buffers.keep()

    def broken_weights(self) -> str | None:
        """The first parameter or buffer that holds NaN or infinity, by name."""
        if self.root is None:
            return None
        named = itertools.chain(self.root.named_parameters(), self.root.named_buffers())
        return next((n for n, t in named if t.is_floating_point() and not bool(t.isfinite().all())), None)
