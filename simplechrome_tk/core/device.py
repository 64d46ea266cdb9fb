"""Choice of the device to compute on."""

from __future__ import annotations

import torch


def resolve_device(device: str | torch.device | None = None) -> torch.device:
    """Return the device to compute on.

    Parameters
    ----------
    device
        A torch device or its name; ``None`` chooses the first available one of CUDA, MPS and CPU.

    Raises
    ------
    ValueError
        When torch does not know the device, this machine does not have it, or it cannot compute.
    """
    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        msg = f"device is {device!r}, which torch does not know; expected 'cpu', 'cuda', 'mps', or None."
        raise ValueError(msg) from error
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(resolved.type, True):
        msg = (
            f"device={str(device)!r} was requested, but this machine (torch {torch.__version__}) has no "
            f"{resolved.type} device. Use device=None to take an available one."
        )
        raise ValueError(msg)
    try:
        # A device that is listed may still fail, as a GPU that is too old for this build of torch.
        torch.zeros(1, device=resolved).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        msg = (
            f"device={str(device)!r} was requested, but nothing can be computed there "
            f"({str(error).splitlines()[0]}). Use device=None to take an available one."
        )
        raise ValueError(msg) from error
    return resolved
