"""Constants of statistics."""

from __future__ import annotations

NORMAL_95 = 1.959963984540054
"""Half width of the central 95 % of a normal distribution, in standard deviations: its quantile .975."""
