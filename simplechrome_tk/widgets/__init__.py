"""Look, touch, understand: widgets for JupyterLab that call ``tl``, ``pl`` and ``get`` and compute nothing."""

from simplechrome_tk.widgets._gene_browser import GeneBrowser
from simplechrome_tk.widgets._training_monitor import TrainingMonitor

__all__ = ["GeneBrowser", "TrainingMonitor"]
