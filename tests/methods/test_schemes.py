"""Schemes that keep something beside the encoder: each against its paper in loops, its state, its resume."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from safetensors.torch import load_model, save_model
from transformers import TrainerCallback, set_seed

from sentemb.embedding import embed
from sentemb.errors import ConfigError
from sentemb.methods.deep_cluster import cluster
from sentemb.methods.momentum import follow, momentum_copy, rising_momentum
from sentemb.recipe import shipped
from sentemb.recipe.arguments import training_arguments
from sentemb.recipe.loader import load_recipe
from sentemb.recipe.schema import Recipe, TrainConfig
from sentemb.training.collate import Collator
from sentemb.training.run_folder import last_checkpoint
from sentemb.training.trainer import MethodTrainer
from sentemb.types import Method
from tests.methods.shipped import ROWS, shipped_method
from tests.methods.test_methods import train
from tests.oracles import schemes as oracles
from tests.tiny import SENTENCES

SMALL = {
    "moco": {"queue_size": 24, "momentum": 0.9},
    "moco-v2": {"queue_size": 24, "momentum": 0.9},
    "mochi": {
        "queue_size": 24,
        "momentum": 0.9,
        "mochi": {"n_hardest": 8, "n_mixed": 4, "n_query_mixed": 2, "from_step": 2},
    },
    "byol": {"hidden": 32, "out": 16},
    "swav": {
        "n_prototypes": 6,
        "projection": {"hidden": 32, "out": 16, "batch_norm": True},
        "freeze_steps": 2,
        "queue_size": 12,
        "queue_from_step": 1,
        "epsilon": 0.5,
    },
    "deep-cluster": {"n_clusters": 4, "n_components": 6, "classifier_learning_rate": 0.5},
    "instance-discrimination": {"n_noise": 2, "temperature": 0.1, "out": 16, "proximal_weight": 0.1},
}
"""The shipped recipes, at the size of eight rows."""


def make(name, **changes):
    method, batch = shipped_method(f"schemes/{name}", **(SMALL[name] | changes))
    method.before_epoch(0, SENTENCES)
    return method, batch


def test_there_is_a_recipe_for_every_scheme():
    own_file = {"gist", "cutoff-softmax", "is-bert", "quick-thought"}  # test_guided.py, test_quick_thought.py
    assert {name.split("/")[1] for name in shipped.files() if name.startswith("schemes/")} == SMALL.keys() | own_file


@pytest.mark.parametrize("name", SMALL)
class TestEachScheme:
    def test_overfits_eight_sentences(self, name):
        """Judged in one state of queue, bank and prototypes: the loss of the encoder before and after."""
        method, batch = make(name)
        untrained = copy.deepcopy({key: value for key, value in method.encoder.state_dict().items()})
        heads = {key: value.clone() for key, value in method.state_dict().items() if key.split(".")[0] in TRAINED}
        train(method, batch, steps=40)
        if name == "instance-discrimination":  # of eight rows, one in eight drawn as noise is the row itself
            method._draw_noise = lambda n: torch.stack([method.bank.roll(1, 0), method.bank.roll(2, 0)], dim=1)
        after = loss_of(method, batch)
        method.encoder.load_state_dict(untrained)
        method.load_state_dict(heads, strict=False)
        assert after < loss_of(method, batch) - 0.05

    def test_nothing_is_learnt_with_the_objective_zeroed(self, name):
        method, batch = make(name)
        start = {key: value.clone() for key, value in method.named_parameters()}
        train(method, batch, steps=3, zeroed=True)
        moved = [key for key, value in method.named_parameters() if not torch.allclose(value, start[key], atol=1e-6)]
        assert moved == []

    def test_what_is_trained_gets_a_gradient_and_nothing_else_does(self, name):
        method, batch = make(name)
        assert isinstance(method, Method)
        method.train()(batch).total.backward()
        frozen = ("key_", "target_")
        for key, value in method.named_parameters():
            is_frozen = key.startswith(frozen) or ".pooler." in key
            assert value.requires_grad != is_frozen and (value.grad is None) == is_frozen, key

    def test_the_whole_state_survives_saving(self, name, tmp_path):
        method, batch = make(name)
        train(method, batch, steps=3)
        save_model(method, str(tmp_path / "x.safetensors"))
        torch.manual_seed(1)
        fresh, _ = shipped_method(f"schemes/{name}", **SMALL[name])
        load_model(fresh, tmp_path / "x.safetensors")
        held = method.state_dict()
        assert all(torch.equal(value, held[key]) for key, value in fresh.state_dict().items())
        method.eval(), fresh.eval()
        torch.manual_seed(2)
        expected = method(batch).total
        torch.manual_seed(2)
        assert torch.equal(fresh(batch).total, expected)

    def test_in_evaluation_the_state_stays_as_it_is(self, name):
        method, batch = make(name)
        before = {key: value.clone() for key, value in method.state_dict().items()}
        method.eval()(batch)
        assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items())

    def test_a_run_cut_short_and_resumed_is_bit_equal(self, name, tmp_path):
        """Cut in the middle of an epoch; deep-cluster also between two epochs, where the clusters are made."""
        whole = trainer(name, tmp_path / "whole")
        whole.train()
        with pytest.raises(KeyboardInterrupt):
            trainer(name, tmp_path / "cut", Stop(7 if name == "deep-cluster" else 5)).train()
        torch.manual_seed(999)
        resumed = trainer(name, tmp_path / "cut")
        resumed.train(resume_from_checkpoint=str(last_checkpoint(tmp_path / "cut")))
        expected, got = whole.model.state_dict(), resumed.model.state_dict()
        assert all(torch.equal(got[key], expected[key]) for key in expected)


TRAINED = ("head", "projector", "predictor", "prototypes")


def loss_of(method, batch):
    torch.manual_seed(0)
    with torch.no_grad():
        return method.eval()(batch).total.item()


class Stop(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_begin(self, args, state, control, **_):
        if state.global_step == self.step:
            raise KeyboardInterrupt


def trainer(name, output, *callbacks):
    """Batches of 4 of 8 rows, 5 epochs, a checkpoint every 3 steps: epochs and checkpoints fall apart."""
    config = TrainConfig(batch_size=4, epochs=5, learning_rate=1e-3, eval_steps=3)
    set_seed(config.seed)
    method, _ = shipped_method(f"schemes/{name}", **SMALL[name])
    return MethodTrainer(
        method,
        training_arguments(config, output, "score"),
        ROWS["sentences"],
        collator=Collator(method.encoder, 12),
        evaluator=lambda embedder: {"score": float(abs(embedder(SENTENCES)).sum())},
        best_dir=output / "encoder",
        callbacks=callbacks,
    )


# ------------------------------------------------------------------------------- momentum
class TestMomentum:
    def test_the_follower_moves_by_1_minus_m_and_copies_buffers(self):
        leader = torch.nn.BatchNorm1d(2)
        follower = momentum_copy(leader)
        leader.weight.data, leader.running_mean = torch.tensor([2.0, 5.0]), torch.tensor([7.0, 8.0])
        follow(follower, leader, 0.75)
        assert follower.weight.tolist() == [1.25, 2.0] and follower.running_mean.tolist() == [7.0, 8.0]
        assert not follower.weight.requires_grad and leader.weight.requires_grad

    def test_the_momentum_rises_to_1(self):
        values = [rising_momentum(0.99, step, 10) for step in range(11)]
        assert values == sorted(values) and values[0] == 0.99 and values[-1] == 1.0
        assert_allclose(values[5], 0.995)


# ------------------------------------------------------------------------------- MoCo, MoCHi
class TestMoCo:
    def test_objective_is_the_paper_s_without_a_row_s_own_earlier_keys(self):
        method, batch = make("moco", queue_size=11)
        train(method, batch, steps=3)
        method.eval()
        embeddings = method.encode(batch)
        queries, keys = method.head(embeddings[0]), method.key_head(embeddings[1])
        own = batch.numbers[:, None] == method.queue_numbers
        assert own.any(1).all()
        arrays = (x.detach().double().numpy() for x in (queries, keys, method.queue))
        expected = oracles.queue_info_nce(*arrays, method.temperature, excluded=own.numpy())
        assert_allclose(method.objective(embeddings, batch).total.item(), np.mean(expected), rtol=1e-4)

    def test_keys_join_the_queue_in_order_and_the_oldest_leave(self):
        """The released code of CERT queues the temperature in their place."""
        method, batch = make("moco", queue_size=20)
        method.train()
        method.key_encoder.eval()
        start = method.queue.clone()
        keys = torch.nn.functional.normalize(method.key_head(method.encode(batch)[1]), dim=-1).detach()
        for n in range(3):
            method(batch)
            assert int(method.pointer) == 8 * (n + 1) % 20
        numbers = [4, 5, 6, 7, *range(4, 8), *range(8), *range(4)]  # the third batch went round the end
        assert method.queue_numbers.tolist() == numbers
        assert_allclose(method.queue, keys[numbers], atol=1e-6)
        assert not torch.allclose(method.queue, start)

    def test_the_first_loss_is_against_a_queue_of_unit_vectors_at_random(self):
        method, batch = make("moco")
        assert_allclose(method.queue.norm(dim=1), np.ones(24), atol=1e-6)
        assert (method.queue_numbers == -1).all()
        assert math.isfinite(method(batch).total.item())

    def test_the_key_encoder_follows_after_the_step(self):
        method, _ = make("moco", momentum=0.75)
        name, slow = next((n, p) for n, p in method.key_encoder.named_parameters() if "word_embeddings" in n)
        fast = dict(method.encoder.named_parameters())[name]
        with torch.no_grad():
            fast += 1.0
        expected = 0.75 * slow + 0.25 * fast
        method.after_step(1, 10)
        assert_allclose(slow.detach(), expected.detach(), atol=1e-6)

    def test_mochi_makes_further_negatives_from_its_step_on(self):
        method, batch = make("mochi")
        method.eval()
        plain, _ = make("moco-v2")
        assert_allclose(method(batch).total.item(), plain.eval()(batch).total.item(), rtol=1e-6)
        method.after_step(2, 10)
        assert method(batch).total > plain(batch).total + 0.01

    def test_pairs_bring_their_own_second_view(self):
        method, _ = make("moco")
        pairs = Collator(method.encoder)(ROWS["pairs"])
        _, keys = method.eval().encode(pairs)
        assert_allclose(keys.detach(), embed(method.key_encoder, [row.texts[1] for row in ROWS["pairs"]]), atol=1e-5)

    def test_a_queue_smaller_than_the_batch_is_refused(self):
        block = {"method": {"kind": "moco", "queue_size": 32}, "data": {"source": "x"}, "train": {"batch_size": 64}}
        with pytest.raises(ValueError, match=r"method\.queue_size is 32, fewer keys than the 64 of a batch"):
            Recipe.model_validate(block)
        method, batch = make("moco", queue_size=4)
        with pytest.raises(ValueError, match="the queue holds 4 keys, fewer than the 8 of a batch"):
            method.train()(batch)

    def test_rows_without_numbers_are_refused(self):
        method, batch = make("moco")
        with pytest.raises(ValueError, match="these rows have no number"):
            method(type(batch)(batch.columns))

    def test_more_hardest_rows_than_keys_are_refused(self):
        with pytest.raises(ValueError, match=r"mochi\.n_hardest is 9, but queue_size is 8"):
            Recipe.model_validate(
                {"method": {"kind": "moco", "queue_size": 8, "mochi": {"n_hardest": 9}}, "data": {"source": "x"}}
            )


# ------------------------------------------------------------------------------- BYOL
class TestBYOL:
    def test_objective_is_the_paper_s_in_both_directions(self):
        method, batch = make("byol")
        train(method, batch, steps=2)
        method.eval()
        embeddings = method.encode(batch)
        predictions = [method.predictor(method.projector(view)).detach().double().numpy() for view in embeddings[:2]]
        targets = [method.target_projector(view).detach().double().numpy() for view in embeddings[2:]]
        expected = np.add(oracles.byol(predictions[0], targets[1]), oracles.byol(predictions[1], targets[0]))
        assert_allclose(method.objective(embeddings, batch).total.item(), expected.mean(), rtol=1e-4)

    def test_the_target_starts_as_the_online_side_and_stands_still_at_the_last_step(self):
        method, batch = make("byol")
        method.eval()
        online, _, target, _ = method.encode(batch)
        assert_allclose(online.detach(), target.detach(), atol=1e-6)
        before = {key: value.clone() for key, value in method.target_encoder.named_parameters()}
        with torch.no_grad():
            for value in method.encoder.parameters():
                value += 1.0
        method.after_step(10, 10)
        assert all(torch.equal(value, before[key]) for key, value in method.target_encoder.named_parameters())
        method.after_step(1, 10)
        assert not all(torch.equal(value, before[key]) for key, value in method.target_encoder.named_parameters())


# ------------------------------------------------------------------------------- SwAV
class TestSwAV:
    def test_objective_is_the_paper_s(self):
        method, batch = make("swav")
        method.eval()
        embeddings = method.encode(batch)
        rows = torch.nn.functional.normalize(method.head(embeddings.flatten(0, 1)), dim=-1).view(2, 8, -1)
        scores = (rows @ method.prototypes.T).detach().double().numpy()
        codes = np.stack([oracles.sinkhorn(view, 0.5, 3) for view in scores])
        expected = np.mean(oracles.swapped_prediction(scores, codes, method.temperature))
        assert_allclose(method.objective(embeddings, batch).total.item(), expected, rtol=1e-4)

    def test_the_queue_shares_in_the_codes_from_its_step_on(self):
        method, batch = make("swav")
        method.train()
        method.encoder.eval(), method.head.eval()
        method(batch)
        assert int(method.n_queued) == 8
        method(batch)
        assert int(method.n_queued) == 12
        rows = method._project(method.encode(batch)).detach()
        assert_allclose(method.queue[:, :8], rows, atol=1e-6)
        assert_allclose(method.queue[:, 8:], rows[:, :4], atol=1e-6)
        alone = method._codes(rows[0], 0)
        method.after_step(1, 10)
        scores = torch.cat([rows[0], method.queue[0]]) @ method.prototypes.T
        expected = oracles.sinkhorn(scores.detach().double().numpy(), 0.5, 3)[:8]
        assert_allclose(method._codes(rows[0], 0), expected, rtol=1e-4)
        assert abs(alone - torch.tensor(expected)).max() > 1e-3

    def test_prototypes_are_frozen_at_first_and_of_length_1_always(self):
        method, batch = make("swav")
        optimizer = torch.optim.SGD(method.parameters(), lr=1.0)
        start = method.prototypes.detach().clone()
        for step in range(1, 4):
            method.train()(batch).total.backward()
            optimizer.step()
            optimizer.zero_grad()
            method.after_step(step, 10)
            assert_allclose(method.prototypes.detach().norm(dim=1), np.ones(6), atol=1e-6)
            assert torch.allclose(method.prototypes, start, atol=1e-6) == (step <= 2)

    def test_more_than_two_views(self):
        recipe = load_recipe("schemes/swav").recipe.model_dump(exclude_none=True)
        recipe["views"] = [[], [], [{"kind": "token_cutoff", "ratio": 0.3}]]
        assert len(Recipe.model_validate(recipe).all_stages()[0].views) == 3
        recipe["views"] = [[]]
        with pytest.raises(ValueError, match="views has 1 lists, but swav on sentences takes 2 or more"):
            Recipe.model_validate(recipe)


# ------------------------------------------------------------------------------- DeepCluster
class TestDeepCluster:
    def blobs(self, rng):
        centres = 10 * np.eye(6)[:3]
        truth = np.arange(60) % 3
        return (centres[truth] + rng.normal(size=(60, 6))).astype(np.float32), truth

    def test_clusters_are_the_blobs_and_the_seed_decides_their_numbers(self, rng):
        vectors, truth = self.blobs(rng)
        found = cluster(vectors, 3, 4, 20, seed=1)
        assert found.dtype == np.int64 and len(set(zip(found, truth, strict=True))) == 3
        assert np.array_equal(found, cluster(vectors, 3, 4, 20, seed=1))
        assert any(not np.array_equal(found, cluster(vectors, 3, 4, 20, seed=s)) for s in range(2, 9))

    def test_whitening_brings_out_a_direction_of_little_variance(self, rng):
        vectors = rng.normal(size=(200, 2)).astype(np.float32) * (100.0, 0.01)
        vectors[:, 1] = np.where(np.arange(200) % 2, 0.01, -0.01) + rng.normal(size=200) * 1e-4
        found = cluster(vectors.astype(np.float32), 2, 2, 20, seed=1)
        agreement = np.mean(found == np.arange(200) % 2)
        assert max(agreement, 1 - agreement) > 0.95

    def test_a_direction_without_variance_is_no_noise(self, rng):
        vectors, _ = self.blobs(rng)
        flat = np.concatenate([vectors, vectors.sum(1, keepdims=True)], axis=1).astype(np.float32)
        assert np.array_equal(cluster(flat, 3, 7, 20, seed=1), cluster(flat, 3, 6, 20, seed=1))
        assert set(cluster(np.repeat(vectors[:1], 9, axis=0), 3, 4, 20, seed=1)) <= {0, 1, 2}

    def test_a_cluster_weighs_the_same_however_large_it_is(self):
        method, batch = make("deep-cluster")
        method.assignments.copy_(torch.tensor([0, 0, 0, 0, 0, 1, 1, 3]))  # cluster 2 is empty
        labels, weights = method._labels_and_weights(batch)
        assert labels.tolist() == [0, 0, 0, 0, 0, 1, 1, 3]
        assert_allclose([weights[:5].sum(), weights[5:7].sum(), weights[7]], [8 / 3] * 3, rtol=1e-6)

    def test_the_classifier_s_step_is_sgd_on_the_loss(self):
        method, batch = make("deep-cluster")
        method.eval()
        embeddings = method.encode(batch).detach()
        weight, bias = (value.clone().requires_grad_() for value in (method.weight, method.bias))
        old_weight, old_bias = method.weight, method.bias
        method.weight, method.bias = weight.detach(), bias.detach()
        labels, weights = method._labels_and_weights(batch)
        losses = torch.nn.functional.cross_entropy(embeddings[0] @ weight.T + bias, labels, reduction="none")
        (losses * weights).mean().backward()
        assert_allclose(method.objective(embeddings, batch).total.item(), (losses * weights).mean().item(), rtol=1e-5)
        method._step_classifier(embeddings[0], batch)
        assert_allclose(method.weight, old_weight - 0.5 * weight.grad, atol=1e-6)
        assert_allclose(method.bias, old_bias - 0.5 * bias.grad, atol=1e-6)

    def test_an_epoch_clusters_anew_and_starts_the_classifier_anew_but_once(self):
        method, batch = make("deep-cluster")
        train(method, batch, steps=3)
        kept = method.weight.clone(), method.assignments.clone()
        method.before_epoch(0, SENTENCES)
        assert torch.equal(method.weight, kept[0]) and torch.equal(method.assignments, kept[1])
        method.before_epoch(1, SENTENCES)
        assert int(method.clustered_epoch) == 1 and not torch.equal(method.weight, kept[0])
        assert 0.005 < method.weight.std() < 0.02 and (method.bias == 0).all()

    def test_without_clusters_there_is_no_loss_and_more_clusters_than_rows_are_refused(self):
        method, batch = shipped_method("schemes/deep-cluster", **SMALL["deep-cluster"])
        with pytest.raises(ValueError, match="there are no clusters yet"):
            method(batch)
        with pytest.raises(ConfigError, match=r"method\.n_clusters: 9 clusters, but there are 8 training rows"):
            shipped_method("schemes/deep-cluster", n_clusters=9)


# ------------------------------------------------------------------------------- instance discrimination
class TestInstanceDiscrimination:
    def test_objective_is_the_paper_s(self, monkeypatch):
        method, batch = make("instance-discrimination")
        train(method, batch, steps=2)
        method.eval()
        drawn = torch.randint(8, (8, 2), generator=torch.Generator().manual_seed(0))
        monkeypatch.setattr(method, "_draw_noise", lambda n: method.bank[drawn])
        embeddings = method.encode(batch)
        features = torch.nn.functional.normalize(method.head(embeddings[0]), dim=-1).detach().double().numpy()
        bank = method.bank.double().numpy()
        z = math.exp(method.log_normaliser.item())
        nce = oracles.memory_bank_nce(features, bank, bank[drawn.numpy()], method.temperature, 8, z)
        step = np.square(features - bank).sum(1)
        assert_allclose(method.objective(embeddings, batch).total.item(), np.mean(nce + 0.1 * step), rtol=1e-4)

    def test_the_normaliser_is_estimated_on_the_first_batch_and_kept(self):
        method, batch = make("instance-discrimination")
        assert not method.is_estimated and math.isclose(method.log_normaliser.item(), math.log(8), rel_tol=1e-6)
        method.train()(batch)
        estimated = method.log_normaliser.clone()
        assert method.is_estimated and abs(estimated - math.log(8)) > 1e-3
        method(batch)
        assert torch.equal(method.log_normaliser, estimated)

    def test_the_bank_moves_towards_what_was_seen_and_only_there(self):
        method, batch = make("instance-discrimination", bank_momentum=0.25)
        method.train()
        method.encoder.eval()
        half = type(batch)(tuple(c for c in batch.columns), None, torch.tensor([7, 6, 5, 4, 3, 2, 1, 0]))
        old = method.bank.clone()
        features = torch.nn.functional.normalize(method.head(method.encode(half)[0]), dim=-1).detach()
        method(half)
        expected = 0.25 * old.flip(0) + 0.75 * features
        assert_allclose(method.bank.flip(0), expected / expected.norm(dim=1, keepdim=True), atol=1e-6)

    def test_noise_is_drawn_from_the_whole_bank_uniformly(self):
        method, _ = make("instance-discrimination", n_noise=4000)
        noise = method._draw_noise(2)
        counts = torch.stack([(noise == entry).all(-1).sum() for entry in method.bank]).double()
        assert counts.sum() == 8000 and ((counts - 1000).square() / 1000).sum() < 24.3  # χ²(7) at 0.001
