"""The networks and how they are trained: plain torch, no AnnData."""

from simplechrome_tk.nn import baselines
from simplechrome_tk.nn._adapt import adapt
from simplechrome_tk.nn._attention import NeighborAttention
from simplechrome_tk.nn._build import build_network, build_paper_network
from simplechrome_tk.nn._compute import one_thread, seeded
from simplechrome_tk.nn._ensemble import Ensemble, mean_output
from simplechrome_tk.nn._fit import fit_expression, fit_latent, fit_neighbors, fit_network
from simplechrome_tk.nn._graph import N_EDGE_FEATURES, Graph
from simplechrome_tk.nn._integrated_gradients import Effects, integrated_gradients
from simplechrome_tk.nn._likelihood import GaussianLikelihood, NegativeBinomialLikelihood
from simplechrome_tk.nn._loss import Targets, expression_loss, latent_loss
from simplechrome_tk.nn._network import Correction, Neighbors, Output, SimpleChromeNet
from simplechrome_tk.nn._paper import PaperDecoder, PaperEncoder
from simplechrome_tk.nn._predict import decode, encode, evaluating, predict, predict_network
from simplechrome_tk.nn._recipe import PAPER_RECIPE, Phase, Recipe
from simplechrome_tk.nn._vae import Decoder, Encoder, Latent, LatentEncoder, RegionEncoder, RegionShape

__all__ = [
    "N_EDGE_FEATURES",
    "PAPER_RECIPE",
    "Correction",
    "Decoder",
    "Effects",
    "Encoder",
    "Ensemble",
    "GaussianLikelihood",
    "Graph",
    "Latent",
    "LatentEncoder",
    "NegativeBinomialLikelihood",
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
    "adapt",
    "baselines",
    "build_network",
    "build_paper_network",
    "decode",
    "encode",
    "evaluating",
    "expression_loss",
    "fit_expression",
    "fit_latent",
    "fit_neighbors",
    "fit_network",
    "integrated_gradients",
    "latent_loss",
    "mean_output",
    "one_thread",
    "predict",
    "predict_network",
    "seeded",
]
