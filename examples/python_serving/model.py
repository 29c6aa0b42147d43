"""A small transformer in numpy, with a cache of keys and values: RMS norm, rotary positions, gated MLP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List

import numpy as np

VOCABULARY = 256
"""Tokens are bytes."""
MAX_TOKENS = 512
"""Longest sequence, prompt and output together."""

_WIDTH = 128
_HEADS = 4
_HEAD_WIDTH = _WIDTH // _HEADS
_HIDDEN = 384
LAYERS = 4


@dataclass(frozen=True)
class Layer:
    """Weights of one layer."""

    queries_keys_values: np.ndarray
    output: np.ndarray
    gate_up: np.ndarray
    down: np.ndarray


class Transformer:
    """The model, and the cache of the sequences that it works on: each has a slot."""

    def __init__(self, slots: int, seed: int = 17) -> None:
        random = np.random.default_rng(seed)

        def matrix(rows: int, columns: int) -> np.ndarray:
            return (random.standard_normal((rows, columns)) / np.sqrt(rows)).astype(np.float32)

        self.embedding = matrix(VOCABULARY, _WIDTH) * np.float32(np.sqrt(VOCABULARY))
        self.layers: List[Layer] = [
            Layer(
                matrix(_WIDTH, 3 * _WIDTH),
                matrix(_WIDTH, _WIDTH),
                matrix(_WIDTH, 2 * _HIDDEN),
                matrix(_HIDDEN, _WIDTH),
            )
            for _ in range(LAYERS)
        ]
        self.unembedding = matrix(_WIDTH, VOCABULARY)
        cache = (LAYERS, slots, MAX_TOKENS, _HEADS, _HEAD_WIDTH)
        self._keys = np.zeros(cache, np.float32)
        self._values = np.zeros(cache, np.float32)

    def embed(self, tokens: np.ndarray) -> np.ndarray:
        """The state of tokens [batch, time]: [batch, time, width]."""
        return self.embedding[tokens]

    def layer(self, index: int, state: np.ndarray, slots: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """The state after a layer: of the sequences in `slots` [batch], at their `positions` [batch, time]."""
        layer = self.layers[index]
        state = state + self._attention(index, _normal(state), slots, positions) @ layer.output
        gate, up = np.split(_normal(state) @ layer.gate_up, 2, axis=-1)
        return state + (gate / (1 + np.exp(-gate)) * up) @ layer.down

    def head(self, state: np.ndarray) -> np.ndarray:
        """How well each token would come next, after the last position: [batch, vocabulary]."""
        return _normal(state[:, -1]) @ self.unembedding

    def _attention(self, index: int, state: np.ndarray, slots: np.ndarray, positions: np.ndarray) -> np.ndarray:
        batch, time, _ = state.shape
        projected = (state @ self.layers[index].queries_keys_values).reshape(batch, time, 3, _HEADS, _HEAD_WIDTH)
        queries, keys, values = projected[:, :, 0], projected[:, :, 1], projected[:, :, 2]
        self._keys[index, slots[:, None], positions] = _rotated(keys, positions)
        self._values[index, slots[:, None], positions] = values
        end = int(positions.max()) + 1
        # [batch, heads, time, end]
        scores = _rotated(queries, positions).transpose(0, 2, 1, 3) @ self._keys[index, slots, :end].transpose(0, 2, 3, 1)
        is_past = np.arange(end) <= positions[:, None, :, None]
        scores = np.where(is_past, scores / np.sqrt(np.float32(_HEAD_WIDTH)), np.float32(-np.inf))
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        mixed = weights @ self._values[index, slots, :end].transpose(0, 2, 1, 3)
        return mixed.transpose(0, 2, 1, 3).reshape(batch, time, _WIDTH)


def _normal(state: np.ndarray) -> np.ndarray:
    return state / np.sqrt(np.mean(state * state, axis=-1, keepdims=True) + np.float32(1e-6))


def _rotated(state: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Rotary positions: pairs of elements turn by an angle that grows with the position."""
    half = _HEAD_WIDTH // 2
    rates = np.float32(10_000) ** (-np.arange(half, dtype=np.float32) / half)
    angles = positions[..., None, None].astype(np.float32) * rates
    cosine, sine = np.cos(angles), np.sin(angles)
    left, right = state[..., :half], state[..., half:]
    return np.concatenate([left * cosine - right * sine, left * sine + right * cosine], axis=-1)
