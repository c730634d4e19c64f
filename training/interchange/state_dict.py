"""PyTorch state dicts: the weights of a module by name.

An ``mlp`` is ``torch.nn.Sequential(Linear, ReLU or Tanh, Linear, ...)``, so its layers are called
"0", "2", "4", ...; layers of a convolutional network have the names that its graph gives them.
PyTorch is imported on first use.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zerohm._arrays import Array
from zerohm._errors import InputError, choose
from zerohm._files import whole

from .steps import (
    Exchangeable,
    optional,
    parameters_of,
    single_precision,
    steps,
    weight_shapes,
)

StateDict = dict[str, Any]
"""Tensors by name: ``torch.Tensor``, which is not imported for the sake of its type."""


def to_state_dict(network: Exchangeable, parameters: Array) -> StateDict:
    """The weights of a network as a state dict of float32 tensors on the CPU.

    Parameters
    ----------
    network : of ``mlp``, or a convolutional ``FloatNetwork``.
    parameters : (d,), of this network.

    Raises
    ------
    InputError : PyTorch is not installed, another kind of network, or parameters that are not
        (d,) finite numbers of single precision.

    Examples
    --------
    >>> import zerohm as zo
    >>> network = zo.training.mlp([4, 3, 2], hardware=zo.mapping.digital())
    >>> state = to_state_dict(network, np.zeros(network.parameters))
    >>> {name: tuple(tensor.shape) for name, tensor in state.items()}
    {'0.weight': (3, 4), '0.bias': (3,), '2.weight': (2, 3), '2.bias': (2,)}
    """
    torch = optional("torch", "torch")
    state: StateDict = {}
    for step in steps(network, parameters):
        if step.weights is not None:
            state[f"{step.name}.weight"] = torch.tensor(step.weights)
            state[f"{step.name}.bias"] = torch.tensor(step.biases)
    return state


def from_state_dict(
    network: Exchangeable, state: Mapping[str, Any], *, names: Mapping[str, str] | None = None
) -> Array:
    """Parameters (d,) of a network, float32, from a state dict.

    Parameters
    ----------
    network : of ``mlp``, or a convolutional ``FloatNetwork``.
    state : tensors by name. A layer without a bias has biases of zero.
    names : the state dict's name of every layer whose name differs, such as ``{"0": "fc1"}``.
        Without them, layers have their own names if the state dict has those; otherwise they
        are taken in the order of the state dict, which is that in which its module made them.

    Raises
    ------
    InputError : PyTorch is not installed; tensors that are no weights or biases, that are too
        many or missing, or that have another shape or type; NaN; a weight beyond what the
        hardware stores.

    Examples
    --------
    >>> import zerohm as zo
    >>> network = zo.training.mlp([4, 3, 2], hardware=zo.mapping.digital())
    >>> state = to_state_dict(network, np.arange(network.parameters))
    >>> bool(np.all(from_state_dict(network, state) == np.arange(network.parameters)))
    True
    """
    shapes = weight_shapes(network)
    modules = _modules(state)
    sources = dict(zip(shapes, _sources(list(shapes), modules, names), strict=True))
    return parameters_of(
        network,
        [_weights(layer, shapes[layer], name, modules[name]) for layer, name in sources.items()],
    )


def save_state_dict(network: Exchangeable, parameters: Array, path: str | os.PathLike[str]) -> None:
    """Write the state dict of a network with ``torch.save``; the file is whole or absent.

    Raises
    ------
    InputError : as for :func:`to_state_dict`, or the file cannot be written.
    """
    torch, state = optional("torch", "torch"), to_state_dict(network, parameters)
    with whole(Path(path)) as temporary, temporary.open("wb") as file:
        torch.save(state, file)


def load_state_dict(
    network: Exchangeable,
    path: str | os.PathLike[str],
    *,
    names: Mapping[str, str] | None = None,
) -> Array:
    """Parameters (d,) of a network from a file of ``torch.save``, of which no code is run.

    Raises
    ------
    InputError : as for :func:`from_state_dict`; a file that cannot be read, or that holds
        anything but tensors and plain values (``weights_only`` of ``torch.load``).
    """
    torch = optional("torch", "torch")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise anything
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(
            f"cannot read weights from {path}: {reason}; it must be a file of "
            "torch.save(module.state_dict(), path)"
        ) from None
    try:
        return from_state_dict(network, state, names=names)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _modules(state: Any) -> dict[str, dict[str, Array]]:
    """Weights and biases of every module of a state dict, in its order."""
    if not isinstance(state, Mapping):
        raise InputError(
            f"a state dict holds tensors by name, this is {type(state).__name__}: use "
            "module.state_dict()"
        )
    modules: dict[str, dict[str, Array]] = {}
    for key, value in state.items():
        if isinstance(value, Mapping):
            raise InputError(f"the entry {key!r} holds a dict, not a tensor: give that one alone")
        name, _, part = str(key).rpartition(".")
        if part not in ("weight", "bias"):
            raise InputError(
                f"the entry {key!r} is neither a weight nor a bias; batch normalisation must be "
                "folded into the convolutions first (torch.nn.utils.fusion.fuse_conv_bn_eval)"
            )
        modules.setdefault(name, {})[part] = _array(value, str(key))
    return modules


def _array(tensor: Any, key: str) -> Array:
    torch = optional("torch", "torch")
    if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
        kind = getattr(tensor, "dtype", type(tensor).__name__)
        raise InputError(f"the entry {key!r} is {kind}, it must be a tensor of floating point")
    if tensor.layout != torch.strided or tensor.device.type == "meta":
        raise InputError(f"the entry {key!r} must be a dense tensor with values")
    return single_precision(tensor.detach().cpu().double().numpy(), repr(key))


def _sources(
    layers: list[str], modules: Mapping[str, Any], names: Mapping[str, str] | None
) -> list[str]:
    """The module that each layer has its weights from."""
    if names is not None:
        for layer, module in names.items():
            choose("layer of the network", layer, layers)
            choose(f"module for layer {layer!r}", module, modules)
        layers = [names.get(layer, layer) for layer in layers]
    elif not set(layers) <= modules.keys():
        layers = list(modules) if len(modules) == len(layers) else layers
    if missing := [layer for layer in layers if layer not in modules]:
        raise InputError(
            f"the state dict has no {missing[0]!r}, one of {len(layers)} layers with weights; it "
            f"has {', '.join(map(repr, modules)) or 'nothing'}: give names= of the layers"
        )
    if left := [module for module in modules if module not in layers]:
        raise InputError(
            f"the state dict has {left[0]!r}, which is none of the {len(layers)} layers with "
            "weights of the network"
        )
    return layers


def _weights(
    layer: str, shape: tuple[int, ...], name: str, tensors: Mapping[str, Array]
) -> tuple[Array, Array]:
    """Weights and biases of a module for a layer whose weights have this shape."""
    weights = tensors.get("weight", np.empty(0, np.float32))
    biases = tensors.get("bias", np.zeros(shape[:1], np.float32))
    if (weights.shape, biases.shape) != (shape, shape[:1]):
        raise InputError(
            f"{name!r} has weights of shape {weights.shape} and biases of shape {biases.shape}, "
            f"layer {layer!r} has {shape} and {shape[:1]}"
        )
    return weights, biases
