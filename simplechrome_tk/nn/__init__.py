"""The networks and how they are trained: plain torch, no AnnData."""

from simplechrome_tk.nn import baselines
from simplechrome_tk.nn._attention import NeighborAttention
from simplechrome_tk.nn._build import PAPER_RECIPE, build_network, build_paper_network
from simplechrome_tk.nn._fit import (
    Phase,
    Recipe,
    Targets,
    expression_loss,
    fit_expression,
    fit_latent,
    fit_network,
    latent_loss,
)
from simplechrome_tk.nn._graph import N_EDGE_FEATURES, Graph
from simplechrome_tk.nn._network import Neighbors, Output, SimpleChromeNet
from simplechrome_tk.nn._paper import PaperDecoder, PaperEncoder
from simplechrome_tk.nn._predict import encode, evaluating, predict, predict_network
from simplechrome_tk.nn._vae import Decoder, Encoder, Latent, RegionEncoder, RegionShape

__all__ = [
    "N_EDGE_FEATURES",
    "PAPER_RECIPE",
    "Decoder",
    "Encoder",
    "Graph",
    "Latent",
    "NeighborAttention",
    "Neighbors",
    "Output",
    "PaperDecoder",
    "PaperEncoder",
    "Phase",
    "Recipe",
    "RegionEncoder",
    "RegionShape",
    "SimpleChromeNet",
    "Targets",
    "baselines",
    "build_network",
    "build_paper_network",
    "encode",
    "evaluating",
    "expression_loss",
    "fit_expression",
    "fit_latent",
    "fit_network",
    "latent_loss",
    "predict",
    "predict_network",
]
