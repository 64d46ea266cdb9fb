"""Predictions of many genes, in chunks, on any device."""

from __future__ import annotations

import pytest
import torch
from toy_networks import N_COLUMNS, network, ring, with_random_context

from simplechrome_tk.nn._network import Neighbors
from simplechrome_tk.nn._predict import predict


def test_predict_is_the_forward_pass_whatever_the_chunks(monkeypatch: pytest.MonkeyPatch):
    net, graph, x = with_random_context(network(n_graphs=1)), ring(50), torch.randn(50, N_COLUMNS)
    whole = predict(net, x, graph=graph)
    with torch.no_grad():
        direct = net(x, Neighbors(x[graph.index], graph.edges, graph.mask))
    torch.testing.assert_close(whole, direct)
    monkeypatch.setattr("simplechrome_tk.nn._predict._CHUNK", 7)
    torch.testing.assert_close(predict(net, x, graph=graph), whole)
    some = torch.tensor([40, 3, 3])
    torch.testing.assert_close(predict(net, x, graph=graph, genes=some).logit, whole.logit[some])


def test_predict_leaves_the_network_in_its_mode():
    net = network(dropout=0.5).train()
    predict(net, torch.randn(5, N_COLUMNS))
    assert net.training
    assert net.encoder.joint.training


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_cuda_predicts_as_cpu_does():
    net, graph, x = with_random_context(network(n_graphs=1)), ring(50), torch.randn(50, N_COLUMNS)
    expected = predict(net, x, graph=graph)
    found = predict(net.to("cuda"), x.to("cuda"), graph=graph.to(torch.device("cuda")))
    torch.testing.assert_close(found.log_expression.cpu(), expected.log_expression, rtol=1e-3, atol=1e-4)
