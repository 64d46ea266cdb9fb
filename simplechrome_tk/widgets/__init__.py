"""Widgets for JupyterLab, which show what ``tl``, ``pl`` and ``get`` compute."""

from simplechrome_tk.widgets._contrast_browser import ContrastBrowser
from simplechrome_tk.widgets._explorer import Explorer
from simplechrome_tk.widgets._gene_browser import GeneBrowser
from simplechrome_tk.widgets._perturbation_lab import PerturbationLab
from simplechrome_tk.widgets._training_monitor import TrainingMonitor

__all__ = ["ContrastBrowser", "Explorer", "GeneBrowser", "PerturbationLab", "TrainingMonitor"]
