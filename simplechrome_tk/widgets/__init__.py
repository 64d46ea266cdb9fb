"""Look, touch, understand: widgets for JupyterLab, which call ``tl``, ``pl`` and ``get`` and hold no science."""

from simplechrome_tk.widgets._explorer import Explorer

__all__ = ["Explorer"]
