"""Networks with known answers, invariances, and training that stops where it should."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse, stats

from simplechrome_tk import nn
from simplechrome_tk.core.device import resolve_device

REGIONS = [nn.RegionShape(3, 100), nn.RegionShape(3, 20)]
N_COLUMNS = 360
LOG2 = float(np.log10(2))


def network(*, neighbors: bool = False, dropout: float = 0.0, n_latent: int = 6) -> nn.SimpleChromeNet:
    torch.manual_seed(0)
    return nn.build_network(REGIONS, n_latent=n_latent, n_hidden=16, dropout=dropout, neighbors=neighbors).eval()


def ring(n: int) -> nn.Graph:
    """Every gene's neighbours are those before and after it, but gene 0 has none."""
    gene = np.repeat(np.arange(1, n - 1), 2)
    neighbor = gene + np.tile([-1, 1], n - 2)
    shape = (n, n)
    return nn.Graph(
        sparse.csr_matrix((np.ones(len(gene)), (gene, neighbor)), shape=shape),
        sparse.csr_matrix(((neighbor - gene) * 1_000.0, (gene, neighbor)), shape=shape),
    )


def test_kl_is_zero_for_the_prior_and_matches_torch():
    zeros = torch.zeros(2, 3)
    assert nn.Latent(zeros, zeros).kl().sum() == 0
    mean, log_var = torch.randn(5, 3), torch.randn(5, 3)
    normal = torch.distributions.Normal(mean, (0.5 * log_var).exp())
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(nn.Latent(mean, log_var).kl(), expected)


@pytest.mark.parametrize("shape", [(5, 100), (1, 1), (9, 20), (2, 7), (5, 400)])
def test_region_encoder_says_how_many_features_it_gives(shape: tuple[int, int]):
    encoder = nn.RegionEncoder(nn.RegionShape(*shape))
    assert encoder(torch.randn(4, *shape)).shape == (4, encoder.n_features)


def test_encoder_reads_columns_mark_major():
    net = network()
    x = torch.randn(4, N_COLUMNS)
    by_hand = torch.cat(
        [
            net.encoder.regions[0](x[:, :300].reshape(4, 3, 100)),
            net.encoder.regions[1](x[:, 300:].reshape(4, 3, 20)),
        ],
        dim=1,
    )
    expected = net.encoder.to_latent(net.encoder.joint(by_hand))[:, :6]
    torch.testing.assert_close(net.encode(x).mean, expected)


def test_attention_ignores_absent_neighbors_and_their_order():
    torch.manual_seed(0)
    attention = nn.NeighborAttention(n_latent=4, n_edge=2, n_context=8)
    latent, around, edges = torch.randn(3, 4), torch.randn(3, 5, 4), torch.randn(3, 5, 2)
    mask = torch.tensor([[True] * 3 + [False] * 2] * 2 + [[False] * 5])
    context = attention(latent, around, edges, mask)
    assert context.shape == (3, 8)
    changed = torch.where(mask[..., None], around, torch.full_like(around, 99.0))
    torch.testing.assert_close(attention(latent, changed, edges, mask), context)
    order = torch.randperm(5)
    torch.testing.assert_close(attention(latent, around[:, order], edges[:, order], mask[:, order]), context)
    assert torch.equal(context[2], torch.zeros(8)), "a gene without neighbours hears nothing"
    heard = attention(latent, around + 1.0, edges, mask)
    assert not torch.allclose(heard[:2], context[:2])


def test_graph_pads_and_keeps_signed_distances():
    graph = ring(6)
    assert graph.index.shape == (6, 2)
    assert graph.mask.sum(dim=1).tolist() == [0, 2, 2, 2, 2, 0]
    assert graph.index[2].tolist() == [1, 3]
    torch.testing.assert_close(graph.edges[2], torch.tensor([[1.0, -1.0, LOG2], [1.0, 1.0, LOG2]]))


def test_graph_keeps_neighbors_at_distance_zero():
    one = sparse.csr_matrix(np.array([[0, 1], [1, 0]], dtype=float))
    graph = nn.Graph(one, sparse.csr_matrix((2, 2)))
    assert graph.mask.all()
    assert graph.edges[:, 0].tolist() == [[1, 0, 0], [1, 0, 0]]


def test_closure_holds_each_needed_gene_once():
    graph = ring(10)
    genes = torch.tensor([3, 4, 8])
    needed, place, around = graph.closure(genes)
    assert needed.tolist() == [2, 3, 4, 5, 7, 8, 9]
    assert needed[place].tolist() == genes.tolist()
    assert torch.equal(needed[around], graph.index[genes])


def test_shuffle_draws_every_gene_once_and_keeps_groups_together():
    graph = ring(400)
    genes = torch.arange(0, 400, 2)
    torch.manual_seed(0)
    first, second = graph.shuffle(genes), graph.shuffle(genes)
    assert torch.equal(first.sort().values, genes)
    assert not torch.equal(first, second)
    assert (first.diff().abs() <= 4).float().mean() > 0.8


def test_predict_is_the_forward_pass_whatever_the_chunks(monkeypatch: pytest.MonkeyPatch):
    net, graph, x = network(neighbors=True), ring(50), torch.randn(50, N_COLUMNS)
    whole = nn.predict(net, x, graph=graph)
    with torch.no_grad():
        direct = net(x, nn.Neighbors(x[graph.index], graph.edges, graph.mask))
    torch.testing.assert_close(whole, direct)
    monkeypatch.setattr("simplechrome_tk.nn._predict._CHUNK", 7)
    torch.testing.assert_close(nn.predict(net, x, graph=graph), whole)
    some = torch.tensor([40, 3, 3])
    torch.testing.assert_close(nn.predict(net, x, graph=graph, genes=some).logit, whole.logit[some])


def test_predict_leaves_the_network_in_its_mode():
    net = network(dropout=0.5).train()
    nn.predict(net, torch.randn(5, N_COLUMNS))
    assert net.training
    assert net.encoder.joint.training


def test_network_with_attention_asks_for_neighbors():
    with pytest.raises(ValueError, match="attends to neighbours"):
        network(neighbors=True)(torch.randn(2, N_COLUMNS))


def test_latent_loss_is_the_evidence_lower_bound():
    net, x = network(), torch.randn(8, N_COLUMNS)
    latent = net.encode(x)
    torch.manual_seed(1)
    loss = nn.latent_loss(net, x, latent, kl_weight=None)
    torch.manual_seed(1)
    log_likelihood = torch.distributions.Normal(net.decoder(latent.sample()), 1.0).log_prob(x).sum(dim=1)
    constant = 0.5 * N_COLUMNS * np.log(2 * np.pi)
    bound = (log_likelihood + constant - latent.kl().sum(dim=1)).mean()
    torch.testing.assert_close(loss.total * N_COLUMNS / 2, -bound)


def test_expression_loss_counts_only_what_is_known():
    output = nn.Output(torch.tensor([0.3, -2.0, 5.0]), torch.tensor([1.0, 0.0, 7.0]))
    nan = torch.nan
    targets = nn.Targets(torch.tensor([1.0, 0.0, nan]), torch.tensor([nan, 0.5, nan]))
    loss = nn.expression_loss(output, targets, regression_weight=2.0)
    entropy = -(torch.sigmoid(torch.tensor(0.3)).log() + torch.sigmoid(torch.tensor(2.0)).log()) / 2
    torch.testing.assert_close(loss, entropy + 2.0 * 0.25)


def toy(n: int = 300) -> tuple[torch.Tensor, nn.Targets]:
    """Expression is the mean of the first mark in the first region."""
    generator = torch.Generator().manual_seed(0)
    level = torch.randn(n, 3, 1, generator=generator)
    x = (level + 0.5 * torch.randn(n, 3, 120, generator=generator)).reshape(n, -1)
    expression = (level[:, 0, 0] - level[:, 0, 0].mean()) / level[:, 0, 0].std()
    return x, nn.Targets((expression > 0).float(), expression)


def test_training_learns_and_keeps_the_best_epoch():
    x, targets = toy()
    net = network(n_latent=4)
    rows = torch.arange(300)
    recipe = nn.Recipe(latent=nn.Phase(8, 32, 3e-3, one_cycle=True), expression=nn.Phase(12, 32, 3e-3, patience=3))
    latent = list(nn.fit_latent(net, x, held_out=rows[200:], recipe=recipe))
    assert latent[-1]["reconstruction"] < 0.8 * latent[0]["reconstruction"]
    history = list(nn.fit_expression(net, x, targets, train=rows[:200], valid=rows[200:], graph=None, recipe=recipe))
    scores = [(row["valid_auroc"] + row["valid_pearson"]) / 2 for row in history]
    assert max(scores) > 0.9
    output = nn.predict(net, x, genes=rows[200:])
    kept = torch.corrcoef(torch.stack([output.log_expression, targets.log_expression[200:]]))[0, 1]
    assert float(kept) == pytest.approx(history[int(np.argmax(scores))]["valid_pearson"], abs=1e-5)


def test_patience_ends_training():
    x, targets = toy()
    rows = torch.arange(300)
    noise = nn.Targets(targets.label[torch.randperm(300)], torch.full((300,), torch.nan))
    recipe = nn.Recipe(expression=nn.Phase(50, 64, 1e-6, patience=2))
    history = list(
        nn.fit_expression(network(), x, noise, train=rows[:200], valid=rows[200:], graph=None, recipe=recipe)
    )
    assert len(history) < 50


def test_frozen_latent_trains_the_head_alone():
    x, targets = toy()
    net, rows = network(), torch.arange(300)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    recipe = nn.Recipe(expression=nn.Phase(2, 64, 1e-2), freeze_latent=True)
    list(nn.fit_expression(net, x, targets, train=rows[:200], valid=rows[200:], graph=None, recipe=recipe))
    changed = {name.split(".")[0] for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"head"}


def test_training_end_to_end_moves_attention_and_encoder():
    x, targets = toy()
    net, rows = network(neighbors=True), torch.arange(300)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    recipe = nn.Recipe(expression=nn.Phase(1, 64, 1e-2))
    list(nn.fit_expression(net, x, targets, train=rows[:200], valid=rows[200:], graph=ring(300), recipe=recipe))
    changed = {name.split(".")[0] for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"attention", "decoder", "encoder", "head"}


def in_two_passes(net: nn.SimpleChromeNet, x: torch.Tensor) -> tuple[nn.Latent, nn.Latent]:
    """Encode with dropout, then all of it again without."""
    latent = net.train().encode(x)
    whole = net.eval().encode(x)
    net.train()
    return latent, whole


@pytest.mark.parametrize("published", [False, True])
def test_one_pass_gives_the_losses_and_gradients_of_two(published: bool):
    torch.manual_seed(0)
    net = network(dropout=0.5)
    if published:
        net = nn.build_paper_network(REGIONS[:1], n_latent=6, neighbors=False)
    x = torch.randn(20, 300 if published else N_COLUMNS)
    found = []
    for encode in (nn.SimpleChromeNet.encode_twice, in_two_passes):
        net.train().zero_grad()
        torch.manual_seed(1)
        latent, whole = encode(net, x)
        assert torch.equal(latent.mean, whole.mean) == published, "the published encoder drops nothing"
        own = nn.latent_loss(net, x, whole, kl_weight=None, noise=0.01).total
        (own + net.express(latent.mean).log_expression.square().mean()).backward()
        found.append((own.detach(), *(value.grad for value in net.parameters() if value.grad is not None)))
        assert all(module.training for module in net.modules())
    torch.testing.assert_close(*found)


def test_the_latent_loss_of_the_second_phase_reads_genes_without_dropout():
    x, targets = toy()
    net, rows = network(dropout=0.5), torch.arange(300)
    recipe = nn.Recipe(expression=nn.Phase(1, 300, 1e-3))
    torch.manual_seed(1)
    train = rows[torch.randperm(200)]
    latent, whole = in_two_passes(net, x[train])
    known = nn.Targets(targets.label[train], targets.log_expression[train])
    own = nn.latent_loss(net, x[train], whole, kl_weight=None, noise=recipe.noise)
    predicted = nn.expression_loss(net.express(latent.mean), known, regression_weight=1.5)
    expected = predicted + recipe.latent_weight * own.total
    torch.manual_seed(1)
    fit = nn.fit_expression(net, x, targets, train=rows[:200], valid=rows[200:], graph=None, recipe=recipe)
    assert next(fit)["train_loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_attention_finds_a_neighbour_that_acts_by_its_side():
    x, own = toy(600)
    level = own.log_expression
    acting = torch.zeros(600)
    acting[1:-1] = level[:-2] - level[2:]  # upstream raises, downstream lowers
    targets = nn.Targets(torch.full((600,), torch.nan), acting / acting.std())
    rows = torch.arange(600)
    recipe = nn.Recipe(latent=nn.Phase(3, 32, 3e-3), expression=nn.Phase(25, 32, 3e-3, one_cycle=True))
    found = {}
    for graph in (None, ring(600)):
        net = network(neighbors=graph is not None)
        list(nn.fit_latent(net, x, held_out=rows[400:], recipe=recipe))
        fit = nn.fit_expression(net, x, targets, train=rows[:400], valid=rows[400:], graph=graph, recipe=recipe)
        found[graph is not None] = max(row["valid_pearson"] for row in fit)
    assert found[False] < 0.4
    assert found[True] > 0.8


def test_the_third_phase_trains_attention_and_head_alone_and_never_harms():
    x, targets = toy(300)
    net, rows = network(neighbors=True), torch.arange(300)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    rest = {"train": rows[:200], "valid": rows[200:], "graph": ring(300)}

    def phase(learning_rate: float, targets: nn.Targets) -> tuple[set[str], list[dict[str, float]]]:
        recipe = nn.Recipe(neighbors=nn.Phase(3, 64, learning_rate))
        history = list(nn.fit_neighbors(net, x, targets, recipe=recipe, **rest))
        state = net.state_dict()
        return {name.split(".")[0] for name in state if not torch.equal(state[name], before[name])}, history

    changed, history = phase(1e-2, targets)
    assert changed == {"attention", "head"}
    assert len(history) == 3
    before = {name: value.clone() for name, value in net.state_dict().items()}
    turned = nn.Targets(torch.where(rows < 200, 1 - targets.label, targets.label), targets.log_expression * torch.nan)
    changed, _ = phase(1e-2, turned)
    assert not changed, "what does worse on validation genes is thrown away"


def test_paper_encoder_treats_every_bin_alone_and_slides_over_marks():
    torch.manual_seed(0)
    encoder = nn.PaperEncoder(nn.RegionShape(5, 100), n_latent=10)
    assert sum(p.numel() for p in encoder.convolutions.parameters()) == (5 * 1 * 32 + 32) + (5 * 32 * 64 + 64)
    assert encoder.to_latent.in_features == 64 * 5 * 100
    x = torch.randn(1, 5, 100)
    features = encoder.convolutions(x.transpose(1, 2).reshape(-1, 1, 5))
    swapped = x.clone()
    swapped[..., [3, 70]] = x[..., [70, 3]]
    again = encoder.convolutions(swapped.transpose(1, 2).reshape(-1, 1, 5))
    torch.testing.assert_close(again[3], features[70])
    expected = encoder.to_latent(features.reshape(1, -1))[:, :10]
    torch.testing.assert_close(encoder(x.flatten(1)).mean, expected)


def test_paper_network_decodes_into_minus_one_to_one_and_reads_one_region():
    net = nn.build_paper_network([nn.RegionShape(5, 100)], n_latent=10, neighbors=False)
    decoded = net.decoder(torch.randn(3, 10) * 100)
    assert decoded.shape == (3, 500)
    assert decoded.abs().max() <= 1
    with pytest.raises(ValueError, match=r"reads one region, found 2.*TSS_WINDOW"):
        nn.build_paper_network(REGIONS, n_latent=10, neighbors=False)


def test_device_asked_for_but_absent_is_an_error():
    assert resolve_device("cpu") == torch.device("cpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no cuda device"):
            resolve_device("cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_cuda_predicts_as_cpu_does():
    net, graph, x = network(neighbors=True), ring(50), torch.randn(50, N_COLUMNS)
    expected = nn.predict(net, x, graph=graph)
    found = nn.predict(net.to("cuda"), x.to("cuda"), graph=graph.to(torch.device("cuda")))
    torch.testing.assert_close(found.log_expression.cpu(), expected.log_expression, rtol=1e-3, atol=1e-4)


def test_negative_binomial_likelihood_is_that_of_scipy():
    center, scale = torch.tensor([0.5, 1.0]), torch.tensor([2.0, 0.7])
    likelihood = nn.NegativeBinomialLikelihood(center, scale)
    with torch.no_grad():
        likelihood.log_dispersion.copy_(torch.tensor([0.3, -1.0]))
    counts = torch.tensor([[0.0, 3.0], [250.0, 1.0], [7.0, 0.0]])
    decoded = torch.randn(3, 2)
    loss = likelihood(decoded, (torch.log1p(counts) - center) / scale)
    mean = np.expm1(np.logaddexp(0, (decoded * scale + center).numpy()))
    dispersion = np.exp([0.3, -1.0])
    expected = -stats.nbinom.logpmf(counts.numpy(), dispersion, dispersion / (dispersion + mean)).mean(axis=1)
    np.testing.assert_allclose(loss.detach(), expected, rtol=1e-4)


def test_covariates_reach_the_latent_and_are_not_reconstructed():
    torch.manual_seed(0)
    net = nn.build_network(REGIONS, n_latent=6, n_hidden=16, dropout=0.0, neighbors=False, n_covariates=1).eval()
    x = torch.randn(4, N_COLUMNS + 1)
    other = x.clone()
    other[:, -1] += 1
    latent = net.encode(x)
    assert not torch.allclose(net.encode(other).mean, latent.mean)
    assert net.decoder(latent.mean).shape == (4, N_COLUMNS)
    torch.manual_seed(0)
    loss = nn.latent_loss(net, x, latent, kl_weight=None)
    torch.manual_seed(0)
    torch.testing.assert_close(nn.latent_loss(net, other, latent, kl_weight=None), loss)


def test_region_encoder_tells_no_signal_from_little():
    center, scale = torch.tensor([1.0, 2.0]), torch.tensor([0.5, 4.0])
    encoder = nn.RegionEncoder(nn.RegionShape(2, 8), center=center, scale=scale)
    log_signal = torch.zeros(1, 2, 8)
    log_signal[0, 1, 3] = 0.5
    features = encoder((log_signal - center[:, None]) / scale[:, None])
    there = features[0, encoder.convolutions(torch.zeros(1, 4, 8)).shape[1] :][:16].reshape(4, 4)[2:]
    expected = torch.zeros(2, 4)
    expected[1, 1] = 0.25  # half there in one of the stretch's two bins
    torch.testing.assert_close(there, expected)
