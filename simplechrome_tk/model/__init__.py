"""The SimpleChrome model: settings, training, calibration, storage, and the model that comes with the package."""

from simplechrome_tk.model._pretrained import load_pretrained
from simplechrome_tk.model._simplechrome import SimpleChrome

__all__ = [
    "SimpleChrome",
    "load_pretrained",
]
