"""How well scores agree with opinions: SRCC, PLCC, KRCC, RMSE, the logistic fit, and bootstrap intervals."""

from methods.agreement.metrics import (
    CONFIDENCE,
    METRICS,
    SAMPLES,
    Difference,
    Estimate,
    Interval,
    Metric,
    bootstrap_ci,
    fit_logistic4,
    krcc,
    logistic4,
    paired_difference,
    plcc,
    plcc_logistic4,
    rmse,
    rmse_logistic4,
    srcc,
    summary,
)

__all__ = [
    "CONFIDENCE", "METRICS", "SAMPLES", "Difference", "Estimate", "Interval", "Metric", "bootstrap_ci",
    "fit_logistic4", "krcc", "logistic4", "paired_difference", "plcc", "plcc_logistic4", "rmse", "rmse_logistic4",
    "srcc", "summary",
]
