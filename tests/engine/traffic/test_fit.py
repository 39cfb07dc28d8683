import numpy as np

from engine.traffic.drive import FEATURES
from engine.traffic.fit import Example, fit


def town(seed: int, count: int, weights: np.ndarray) -> list[Example]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, len(FEATURES)))
    features[:, 0] = 1.0
    stuck = rng.random(count) < 1 / (1 + np.exp(-features @ weights))
    return [
        Example(tuple(row), bool(was)) for row, was in zip(features.tolist(), stuck.tolist(), strict=True)
    ]


def test_the_weights_that_made_the_examples_are_found_again():
    weights = np.linspace(-2, 2, len(FEATURES))
    found = fit([town(1, 20_000, weights), town(2, 20_000, weights)])
    assert tuple(found) == FEATURES
    assert np.allclose(list(found.values()), weights, atol=0.15)


def test_every_town_counts_the_same_however_many_fixes_it_has():
    one, other = np.zeros(len(FEATURES)), np.zeros(len(FEATURES))
    one[0], other[0] = 1.0, -1.0
    found = fit([town(1, 30_000, one), town(2, 3_000, other)])
    assert abs(found["bias"]) < 0.15
