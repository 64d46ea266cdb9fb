"""Networks and their training: plain torch, without AnnData."""

from simplechrome_tk.nn import baselines
from simplechrome_tk.nn._ensemble import Ensemble
from simplechrome_tk.nn._fit import fit_latent
from simplechrome_tk.nn._graph import Graph
from simplechrome_tk.nn._integrated_gradients import integrated_gradients
from simplechrome_tk.nn._network import Neighbors, Output, SimpleChromeNet
from simplechrome_tk.nn._predict import encode
from simplechrome_tk.nn._recipe import Phase, Recipe
from simplechrome_tk.nn._vae import RegionShape

__all__ = [
    "Ensemble",
    "Graph",
    "Neighbors",
    "Output",
    "Phase",
    "Recipe",
    "RegionShape",
    "SimpleChromeNet",
    "baselines",
    "encode",
    "fit_latent",
    "integrated_gradients",
]
