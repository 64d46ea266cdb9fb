"""Read results and data as arrays and tidy tables; nothing here writes."""

from simplechrome_tk.get._profiles import mark_profiles
from simplechrome_tk.get._region import region

__all__ = ["mark_profiles", "region"]
