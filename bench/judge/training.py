"""One training loop for both judges: batches of like length, AdamW, a warm-up and a decay."""

import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bench.judge.encoder import Params, Shape, forward
from bench.judge.report import say


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Tokens, their types, the target and its weight."""

    ids: list[int]
    types: list[int]
    target: int
    weight: float = 1.0


def batches(
    examples: list[Example], size: int, buckets: tuple[int, ...], seed: int
) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield padded batches in random order, each of texts of about one length."""
    random = np.random.default_rng(seed)
    groups: dict[int, list[int]] = {b: [] for b in buckets}
    for i in random.permutation(len(examples)):
        length = len(examples[i].ids)
        groups[next(b for b in buckets if length <= b)].append(int(i))
    chunks = []
    for bucket, members in groups.items():
        rows = max(8, size * buckets[0] // bucket) if bucket > buckets[0] else size
        chunks += [(bucket, members[i : i + rows], rows) for i in range(0, len(members), rows)]
    for i in random.permutation(len(chunks)):
        yield padded([examples[j] for j in chunks[i][1]], *chunks[i][::2])


def padded(examples: list[Example], length: int, rows: int) -> tuple[np.ndarray, ...]:
    """Return ids, types, mask, targets and weights, filled up to `rows` with weight 0."""
    ids = np.zeros((rows, length), np.int32)
    types, mask = np.zeros_like(ids), np.zeros((rows, length), np.float32)
    targets, weights = np.zeros(rows, np.int32), np.zeros(rows, np.float32)
    mask[:, 0] = 1
    for row, example in enumerate(examples):
        n = len(example.ids)
        ids[row, :n], types[row, :n], mask[row, :n] = example.ids, example.types, 1
        targets[row], weights[row] = example.target, example.weight
    return ids, types, mask, targets, weights


def train(
    frozen: Params,
    trained: Params,
    examples: list[Example],
    shape: Shape,
    *,
    out: Path,
    epochs: float,
    size: int,
    buckets: tuple[int, ...],
    rate: float,
    head_rate: float = 10.0,
    dropout: float = 0.1,
    smoothing: float = 0.02,
    seed: int = 20261128,
    every: int = 100,
    check: Callable[[Params], str] | None = None,
) -> Params:
    """Train and keep the parameters in `out`; stops after `epochs` passes."""
    frozen, trained = jax.tree.map(jnp.asarray, (frozen, trained))
    per_epoch = sum(1 for _ in batches(examples, size, buckets, seed))
    steps = int(per_epoch * epochs)
    schedule = optax.warmup_cosine_decay_schedule(0.0, rate, max(steps // 15, 1), steps, rate / 50)
    adam = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=0.01))
    fresh = optax.chain(adam, optax.scale(head_rate))
    labels = {key: jax.tree.map(lambda _, k=key: kind(k), value) for key, value in trained.items()}
    optimiser = optax.multi_transform({"old": adam, "new": fresh}, labels)
    state = optimiser.init(trained)

    def loss(p: Params, batch: tuple[Any, ...], key: Any) -> jax.Array:
        ids, types, mask, targets, weights = batch
        logits = forward(frozen, p, ids, types, mask, shape, key, dropout)
        wanted = optax.smooth_labels(jax.nn.one_hot(targets, logits.shape[-1]), smoothing)
        each = optax.softmax_cross_entropy(logits, wanted)
        return (each * weights).sum() / jnp.maximum(weights.sum(), 1.0)

    @jax.jit
    def step(p: Params, s: Any, batch: tuple[Any, ...], key: Any) -> Any:
        value, gradient = jax.value_and_grad(loss)(p, batch, key)
        updates, s = optimiser.update(gradient, s, p)
        return optax.apply_updates(p, updates), s, value

    done, begin, mean, epoch = 0, time.monotonic(), 0.0, 0
    while done < steps:
        for batch in batches(examples, size, buckets, seed + epoch):
            key = jax.random.fold_in(jax.random.key(seed), done)
            trained, state, value = step(trained, state, batch, key)
            mean += (float(value) - mean) / min(done + 1, 100)
            done += 1
            if done % every == 0 or done == steps:
                line = f"{done}/{steps} loss {mean:.4f} {time.monotonic() - begin:.0f} s"
                if check and (done % (every * 8) == 0 or done == steps):
                    line += " " + check(trained)
                    out.write_bytes(pickle.dumps(jax.tree.map(np.asarray, trained)))
                say(line)
            if done == steps:
                break
        epoch += 1
    out.write_bytes(pickle.dumps(jax.tree.map(np.asarray, trained)))
    return trained


def kind(name: str) -> str:
    """Say whether a group of parameters starts from base weights or from chance."""
    return "new" if name.startswith(("pool", "head", "conv")) else "old"


def predict(
    frozen: Params, trained: Params, examples: list[Example], shape: Shape, buckets: tuple[int, ...]
) -> np.ndarray:
    """Return the probabilities [examples, outputs]."""
    frozen, trained = jax.tree.map(jnp.asarray, (frozen, trained))
    run = jax.jit(lambda p, i, t, m: jax.nn.softmax(forward(frozen, p, i, t, m, shape)))
    out: list[Any] = [None] * len(examples)
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].ids))
    for bucket in buckets:
        low = max([b for b in buckets if b < bucket], default=0)
        members = [i for i in order if low < len(examples[i].ids) <= bucket]
        for at in range(0, len(members), 64):
            part = members[at : at + 64]
            ids, types, mask, _, _ = padded([examples[i] for i in part], bucket, 64)
            for i, row in zip(part, np.asarray(run(trained, ids, types, mask)), strict=False):
                out[i] = row
    return np.stack(out)
