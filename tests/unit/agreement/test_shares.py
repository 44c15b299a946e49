"""The shares of the images sum to the difference that they explain."""

from __future__ import annotations

import numpy as np
import pytest

from methods.agreement import metrics
from methods.agreement.shares import shares
from methods.errors import InputError


@pytest.mark.parametrize("metric", list(metrics.METRICS))
@pytest.mark.parametrize("ties", [False, True])
def test_shares_sum_to_the_difference(metric, ties):
    rng = np.random.default_rng(4)
    mos = rng.uniform(1, 5, 80)
    a, b = mos + 0.4 * rng.normal(size=80), 6 - mos + 2 * rng.normal(size=80)
    if ties:
        mos, a, b = np.round(mos), np.round(a), np.round(b)
    gap = metrics.paired_difference(a, b, mos, metric, samples=10)
    assert shares(a, b, mos, metric).sum() == pytest.approx(gap.value, abs=1e-9)


def test_the_image_that_one_scorer_misplaces_decides():
    mos = np.arange(30.0)
    wrong = mos.copy()
    wrong[7] = 29.5
    share = shares(mos, wrong, mos)
    assert int(np.argmax(share)) == 7
    assert share[7] > 10 * np.delete(np.abs(share), 7).max()
    assert shares(mos, mos, mos) == pytest.approx(np.zeros(30))
    assert int(np.argmin(shares(mos, wrong, mos, "rmse"))) == 7, "of an error A has less on it"


def test_an_unknown_metric_is_refused():
    with pytest.raises(InputError, match="There is no metric 'acc'"):
        shares([1, 2], [1, 2], [1, 2], "acc")
