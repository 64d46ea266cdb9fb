"""Models on disk: weights as safetensors beside a readable config.

A folder holds one model: ``config.json``, and ``model-<hash>.safetensors``, named by the first digits of the SHA-256 of
its content, which the config states in full. A model is replaced by replacing ``config.json``, one step of the file
system: before it the folder holds the old model, after it the new one. Weights that no config names are removed
afterwards, or by the next call.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import reprlib
from collections import Counter
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from simplechrome_tk.core.files import PART, locked, put
from simplechrome_tk.core.values import fields
from simplechrome_tk.model._state import ModelState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from simplechrome_tk.nn._ensemble import Ensemble

logger = logging.getLogger(__name__)

# Raised whenever a saved model needs other fields, or its weights mean something else.
FORMAT = 6
_CONFIG, _LOCK = "config.json", ".save.lock"
_WEIGHTS_OF_FORMAT_2 = "model.safetensors"
# Sizes in bytes above which files are refused unread: of a config, and of the header of a safetensors file.
_LARGEST_CONFIG = 32 << 20
_LARGEST_HEADER = 100 << 20
_NAME = r"model-[0-9a-f]{16}\.safetensors"
_OURS = re.compile(rf"{_NAME}|\.(config\.json|{_NAME}){PART}|{re.escape(_LOCK)}")


def write_model(
    path: str | os.PathLike[str], weights: Mapping[str, torch.Tensor], state: ModelState, *, overwrite: bool
) -> None:
    """Write a model to a folder, which holds a whole model at every moment: the old one, then the new one.

    Raises
    ------
    FileExistsError
        When a model is there and ``overwrite`` is false, or something that this function has not written.
    ValueError
        When :func:`read_model` would refuse the model, such as one with weights that are not finite.
    """
    folder = _folder(path)
    _weights_to_replace(folder, overwrite=overwrite)
    try:
        _check_weights(weights, state.weights_of_one(), state.settings.n_models)
        content = save({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()})
        config = _config(state, hashlib.sha256(content).hexdigest())
    except ValueError as error:
        msg = f"the model cannot be saved: {error}"
        raise ValueError(msg) from error
    # Everything was checked before the first change of the folder. Inside the lock the folder is looked at again, since
    # another process may have written to it. Weights come first: until the config names them nothing has changed.
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / _LOCK) as alone:
        old = _weights_to_replace(folder, overwrite=overwrite)
        new = _weights_name(hashlib.sha256(content).hexdigest())
        put(folder / new, content)
        put(folder / _CONFIG, config)
        _sweep(folder, keep=new, old=old, alone=alone)


def read_model(path: str | os.PathLike[str]) -> tuple[ModelState, Ensemble]:
    """Return a model and its networks, on CPU.

    Raises
    ------
    FileNotFoundError
        When the folder holds no model.
    ValueError
        When a file is damaged, was changed after it was written, is of another format, or does not fit the other.
    """
    folder = _folder(path)
    config = _read_config(folder)
    while True:
        with _name_file(folder / _CONFIG):
            state = ModelState.from_config(config)
            file = folder / _weights_name(config["weights_sha256"])
        try:
            with _name_file(file):
                return state, state.networks(_read_weights(file, config["weights_sha256"], state))
        except FileNotFoundError:
            # Between the two reads another process may have replaced the model, and removed the old weights.
            now = _read_config(folder)
            if now == config:
                raise
            config = now


def _folder(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path of a folder, with links followed; it stays right if the process changes directory."""
    return Path(os.path.expanduser(path)).resolve()


def _weights_name(sha256: object) -> str:
    if not isinstance(sha256, str) or not re.fullmatch("[0-9a-f]{64}", sha256):
        msg = f"weights_sha256 is {reprlib.repr(sha256)}; expected 64 hexadecimal digits."
        raise ValueError(msg)
    return f"model-{sha256[:16]}.safetensors"


def _weights_to_replace(folder: Path, *, overwrite: bool) -> str | None:
    """Return the name of the weights that saving replaces, if there is a model, or raise ``FileExistsError``."""
    if not folder.exists():
        return None
    if not folder.is_dir():
        msg = f"{folder} is a file, which is never replaced by a model: choose another folder."
        raise FileExistsError(msg)
    names = sorted(entry.name for entry in folder.iterdir())
    others = [name for name in names if name != _CONFIG and not _OURS.fullmatch(name)]
    listed = f"{', '.join(others[:3])}{', ...' if len(others) > 3 else ''}"
    if _CONFIG not in names:
        if others:
            msg = f"{folder} holds no model, but other files ({listed}): choose another folder for the model."
            raise FileExistsError(msg)
        return None
    weights = _weights_of(folder / _CONFIG)
    if weights is None:
        msg = (
            f"{folder / _CONFIG} was not written by SimpleChrome.save(), or is damaged, and stays as it is: choose "
            "another folder, or remove the file by hand."
        )
        raise FileExistsError(msg)
    if not overwrite:
        msg = f"{folder} exists: choose another folder, or overwrite=True to replace the model in it."
        raise FileExistsError(msg)
    if set(others) - {weights}:
        logger.info("%s also holds %s: left as they are.", folder, listed)
    return weights


def _weights_of(config: Path) -> str | None:
    """Return the name of the weights that a config of this or an older format names; ``None`` for other files."""
    if config.is_symlink() or not config.is_file():
        return None
    try:
        found = fields("the config", _parse(config), required=("format", "versions"), optional=None)
        fields("versions", found["versions"], required=("simplechrome-tk",), optional=None)
        if found["format"] == 2:
            return _WEIGHTS_OF_FORMAT_2
        return _weights_name(found.get("weights_sha256"))
    except (ValueError, RecursionError):
        return None


def _config(state: ModelState, weights_sha256: str) -> bytes:
    """Return the content of ``config.json``, after reading it as :func:`read_model` will read it."""
    versions = {name: version(name) for name in ("simplechrome-tk", "torch", "anndata", "numpy")}
    config = {"format": FORMAT, "versions": versions, "weights_sha256": weights_sha256, **state.config()}
    content = json.dumps({"checksum": _checksum(config), **config}, indent=1).encode("ascii")
    ModelState.from_config(fields("the config", _decode(content), required=ModelState.field_names(), optional=None))
    return content


def _checksum(config: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all values but the checksum itself, independent of the layout of the file."""
    values = {name: value for name, value in config.items() if name != "checksum"}
    return hashlib.sha256(
        json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    ).hexdigest()


def _read_config(folder: Path) -> dict[str, Any]:
    """Return the config in a folder after checking that it is of this format and was not changed."""
    file = folder / _CONFIG
    if not file.is_file():
        msg = f"{folder} holds no {_CONFIG}; expected a folder written by SimpleChrome.save()."
        raise FileNotFoundError(msg)
    with _name_file(file):
        config = fields("the file", _parse(file), required=(), optional=None)
    if config.get("format") != FORMAT:
        versions = config.get("versions")
        written = versions.get("simplechrome-tk", "unknown") if isinstance(versions, dict) else "unknown"
        found = config.get("format")
        is_newer = isinstance(found, int) and found > FORMAT
        fix = "Upgrade simplechrome-tk" if is_newer else "Train the model again with this version, and save it"
        msg = (
            f"{file} is in format {reprlib.repr(found)} (written by simplechrome-tk {written}); this version reads "
            f"format {FORMAT}. {fix}."
        )
        raise ValueError(msg)
    with _name_file(file):
        own = ("format", "versions", "checksum", "weights_sha256")
        fields("the file", config, required=(*own, *ModelState.field_names()))
        if config["checksum"] != _checksum(config):
            msg = "it was changed after it was written (its checksum differs)."
            raise ValueError(msg)
    return config


def _parse(file: Path) -> object:
    """Read strict JSON: UTF-8, without repeated keys, and without NaN or infinity."""
    if file.stat().st_size > _LARGEST_CONFIG:
        msg = f"it holds {file.stat().st_size:,} bytes; expected {_LARGEST_CONFIG:,} at most."
        raise ValueError(msg)
    return _decode(file.read_bytes())


def _decode(content: bytes) -> object:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        repeated = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
        if repeated:
            msg = f"a field is there twice: {', '.join(sorted(repeated)[:10])}."
            raise ValueError(msg)
        return dict(pairs)

    def refuse(constant: str) -> None:
        msg = f"it holds {constant}, which is not a number."
        raise ValueError(msg)

    return json.loads(content.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)


def _read_weights(file: Path, sha256: str, state: ModelState) -> dict[str, torch.Tensor]:
    """Read weights after checking the size of the file, before memory is allocated for them."""
    if not file.is_file():
        msg = f"{file} is missing, which config.json names. Restore it from a copy, or save the model again."
        raise FileNotFoundError(msg)
    # The config states how many bytes of weights there are; safetensors adds a header.
    one, n_models = state.weights_of_one(), state.settings.n_models
    needed = n_models * sum(tensor.nbytes for tensor in one.values())
    with file.open("rb") as handle:
        size = os.fstat(handle.fileno()).st_size
        if not needed < size <= needed + _LARGEST_HEADER:
            msg = f"it holds {size:,} bytes; the model that config.json describes has {needed:,} bytes of weights."
            raise ValueError(msg)
        content = handle.read()
    if hashlib.sha256(content).hexdigest() != sha256:
        msg = "it was changed after it was written, or is of another model (its SHA-256 is not that in config.json)."
        raise ValueError(msg)
    weights = load(content)
    _check_weights(weights, one, n_models)
    return weights


def _check_weights(weights: Mapping[str, torch.Tensor], one: Mapping[str, torch.Tensor], n_models: int) -> None:
    """Raise ``ValueError`` unless names, shapes and types are those of each network, and all weights are finite."""
    expected = {f"members.{i}.{name}": tensor for i in range(n_models) for name, tensor in one.items()}
    fields("the weights", weights, required=expected)
    for name, tensor in weights.items():
        if tensor.shape != expected[name].shape or tensor.dtype != expected[name].dtype:
            msg = (
                f"{name} is {tensor.dtype} of shape {tuple(tensor.shape)}; expected {expected[name].dtype} of shape "
                f"{tuple(expected[name].shape)}."
            )
            raise ValueError(msg)
        if not torch.isfinite(tensor).all():
            msg = f"{name} holds {int((~torch.isfinite(tensor)).sum()):,} weights that are not finite."
            raise ValueError(msg)


def _sweep(folder: Path, *, keep: str, old: str | None, alone: bool) -> None:
    """Remove the weights that were replaced, and the files of interrupted calls.

    The latter are removed only if ``alone``: if it is certain that no other call is writing them now.
    """
    for entry in folder.iterdir():
        leftover = alone and entry.name != _LOCK and _OURS.fullmatch(entry.name)
        if entry.name == keep or not (entry.name == old or leftover) or entry.is_symlink() or not entry.is_file():
            continue
        try:
            entry.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("The model is saved, but %s of the replaced model cannot be removed: %s.", entry, error)


@contextmanager
def _name_file(file: Path) -> Iterator[None]:
    """Turn every error about the content of a file into a ``ValueError`` that names it."""
    try:
        yield
    except (ValueError, RecursionError, SafetensorError) as error:
        msg = f"{file}: {str(error).rstrip('.')}. Restore the file from a copy, or save the model again."
        raise ValueError(msg) from error
