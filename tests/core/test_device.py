"""Devices to compute on."""

from __future__ import annotations

import pytest
import torch

from simplechrome_tk.core.device import resolve_device


def test_the_device_that_is_named_is_used():
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device on this machine")
def test_a_device_that_is_absent_is_an_error():
    with pytest.raises(ValueError, match="cuda"):
        resolve_device("cuda")
