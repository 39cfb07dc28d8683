"""Fits the jam model: a logistic regression of "is in a jam now" on what the engine would have seen at each fix."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.traffic.drive import FEATURES

Floats = NDArray[np.float64]

LEAST_SLOW_SECONDS = 45.0
"""Fixes of a younger slow run are not fitted: nothing is claimed on them, and they would outweigh the rest."""
THIN_SHARE = 0.3
"""A recording is fitted whole, and with so many of its phones only."""
RIDGE = 3.0
ROUNDS = 50
SETTLED = 1e-8


class Example(NamedTuple):
    """One fix: what the model weighs, and whether the phone was in a jam."""

    features: tuple[float, ...]
    stuck: bool


def fit(towns: Sequence[Sequence[Example]]) -> Mapping[str, float]:
    """The weights, by feature. Every town counts the same, however many fixes it has. Newton's method on the
    penalised likelihood (iteratively reweighted least squares; Hosmer & Lemeshow, 2000).
    """
    features = np.array([each.features for town in towns for each in town])
    stuck = np.array([each.stuck for town in towns for each in town], dtype=float)
    counts = np.concatenate([np.full(len(town), 1e4 / len(town)) for town in towns])
    weights = np.zeros(features.shape[1])
    penalty = np.diag([0.0] + [RIDGE] * (features.shape[1] - 1))
    for _ in range(ROUNDS):
        chance = 1 / (1 + np.exp(-features @ weights))
        slope = features.T @ (counts * (stuck - chance)) - penalty @ weights
        bend = (features * (counts * chance * (1 - chance))[:, None]).T @ features + penalty
        change: Floats = np.linalg.solve(bend, slope)
        weights = weights + change
        if np.abs(change).max() < SETTLED:
            break
    return dict(zip(FEATURES, weights.round(3).tolist(), strict=True))
