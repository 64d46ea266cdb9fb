"""Tools: evaluate predictions, fit baselines."""

from simplechrome_tk.tl._baseline import Baseline, fit_baseline, gradient_boosting, logistic_regression
from simplechrome_tk.tl._evaluate import evaluate

__all__ = ["Baseline", "evaluate", "fit_baseline", "gradient_boosting", "logistic_regression"]
