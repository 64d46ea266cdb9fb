"""Look, touch, understand: widgets for JupyterLab, which call ``tl``, ``pl`` and ``get`` and hold no science."""

from simplechrome_tk.widgets._explorer import Explorer
from simplechrome_tk.widgets._gene_browser import GeneBrowser
from simplechrome_tk.widgets._perturbation_lab import PerturbationLab

__all__ = ["Explorer", "GeneBrowser", "PerturbationLab"]
