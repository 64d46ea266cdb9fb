"""Look, touch, understand: widgets for JupyterLab that call ``tl``, ``pl`` and ``get`` and compute nothing."""
