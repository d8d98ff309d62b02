"""A BERT encoder in JAX, small enough to train on two CPU cores.

Parameters are a plain dictionary of arrays. `patch` above 1 merges that many neighbouring tokens
into one position before the layers, which makes a text of 256 tokens cost as much as one of 64.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

Params = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of an encoder."""

    hidden: int = 384
    heads: int = 12
    patch: int = 1
    epsilon: float = 1e-12
    held: int = 0
    """Layers from below that stay as they are, which saves their backward pass."""


def layer_norm(x: jax.Array, gain: jax.Array, bias: jax.Array, epsilon: float) -> jax.Array:
    """Normalise the last axis."""
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + epsilon) * gain + bias


def embed(frozen: Params, trained: Params, ids: jax.Array, types: jax.Array, shape: Shape) -> Any:
    """Return the embedded tokens [batch, length, hidden]; padding is id 0 or 1 by the mask."""
    x = frozen["word"][ids] + frozen["position"][: ids.shape[1]] + frozen["type"][types]
    return layer_norm(x, trained["ln_g"], trained["ln_b"], shape.epsilon)


def merge(trained: Params, x: jax.Array, mask: jax.Array, shape: Shape) -> Any:
    """Merge each `patch` tokens: their mean plus a convolution that sees as many neighbours."""
    batch, length, hidden = x.shape
    x = x * mask[..., None]
    groups = x.reshape(batch, length // shape.patch, shape.patch, hidden)
    counts = mask.reshape(batch, -1, shape.patch).sum(-1)
    mean = groups.sum(2) / jnp.maximum(counts, 1.0)[..., None]
    own = groups.reshape(batch, length // shape.patch, shape.patch * hidden)
    half = shape.patch * hidden // 2
    left = jnp.pad(own[:, :-1, half:], ((0, 0), (1, 0), (0, 0)))
    right = jnp.pad(own[:, 1:, :half], ((0, 0), (0, 1), (0, 0)))
    wide = jnp.concatenate([left, own, right], -1)
    y = mean + wide @ trained["conv_w"] + trained["conv_b"]
    y = layer_norm(y, trained["conv_ln_g"], trained["conv_ln_b"], shape.epsilon)
    return y, (counts > 0).astype(x.dtype)


def block(p: Params, x: jax.Array, mask: jax.Array, shape: Shape, key: Any, rate: float) -> Any:
    """Run one transformer layer (post-norm, as BERT has it)."""
    batch, length, hidden = x.shape
    size = hidden // shape.heads
    qkv = (x @ p["qkv_w"] + p["qkv_b"]).reshape(batch, length, 3, shape.heads, size)
    q, k, v = (qkv[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
    scores = q @ k.transpose(0, 1, 3, 2) / jnp.sqrt(1.0 * size)
    scores = jax.nn.softmax(scores + (1.0 - mask[:, None, None, :]) * -1e9, -1)
    y = (scores @ v).transpose(0, 2, 1, 3).reshape(batch, length, hidden) @ p["o_w"] + p["o_b"]
    first, second = jax.random.split(key)
    x = layer_norm(x + dropped(y, first, rate), p["ln1_g"], p["ln1_b"], shape.epsilon)
    y = jax.nn.gelu(x @ p["up_w"] + p["up_b"], approximate=False) @ p["down_w"] + p["down_b"]
    return layer_norm(x + dropped(y, second, rate), p["ln2_g"], p["ln2_b"], shape.epsilon)


def dropped(x: jax.Array, key: Any, rate: float) -> jax.Array:
    """Drop a share of the last axis, scaled; none where `rate` is 0."""
    if rate == 0.0:
        return x
    keep = jax.random.bernoulli(key, 1.0 - rate, x.shape)
    return jnp.where(keep, x / (1.0 - rate), 0.0)


def forward(
    frozen: Params,
    trained: Params,
    ids: jax.Array,
    types: jax.Array,
    mask: jax.Array,
    shape: Shape,
    key: Any = None,
    rate: float = 0.0,
) -> jax.Array:
    """Return the logits [batch, outputs] from the mean and the first position of the last layer."""
    x = embed(frozen, trained, ids, types, shape)
    mask = mask.astype(x.dtype)
    if shape.patch > 1:
        x, mask = merge(trained, x, mask, shape)
    keys = jax.random.split(jax.random.key(0) if key is None else key, len(trained["layers"]))
    for at, (p, own) in enumerate(zip(trained["layers"], keys, strict=True)):
        x = block(p, x, mask, shape, own, rate if at >= shape.held else 0.0)
        if at + 1 == shape.held:
            x = jax.lax.stop_gradient(x)
    mean = (x * mask[..., None]).sum(1) / jnp.maximum(mask.sum(1), 1.0)[:, None]
    top = (x + (mask[..., None] - 1.0) * 1e4).max(1)
    pooled = jnp.concatenate([x[:, 0], mean, top], -1)
    hidden = jnp.tanh(pooled @ trained["pool_w"] + trained["pool_b"])
    return hidden @ trained["head_w"] + trained["head_b"]


def head(key: Any, hidden: int, outputs: int) -> Params:
    """Return fresh parameters of the head."""
    return {
        "pool_w": jax.random.normal(key, (3 * hidden, hidden)) * 0.03,
        "pool_b": jnp.zeros(hidden),
        "head_w": jax.random.normal(key, (hidden, outputs)) * 0.02,
        "head_b": jnp.zeros(outputs),
    }
