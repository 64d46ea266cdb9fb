"""Networks and their training: plain torch, without AnnData."""

from simplechrome_tk.nn._ensemble import Ensemble
from simplechrome_tk.nn._fit import fit_latent
from simplechrome_tk.nn._graph import Graph
from simplechrome_tk.nn._integrated_gradients import integrated_gradients
from simplechrome_tk.nn._network import Output, SimpleChromeNet
from simplechrome_tk.nn._predict import encode
from simplechrome_tk.nn._recipe import Phase, Recipe

__all__ = [
    "Ensemble",
    "Graph",
    "Output",
    "Phase",
    "Recipe",
    "SimpleChromeNet",
    "encode",
    "fit_latent",
    "integrated_gradients",
]
