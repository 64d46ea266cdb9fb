"""Give the PNG outputs of notebooks a palette: a third of the bytes, and nothing that shows. Part of `make publish`."""

import base64
import io
import sys

import nbformat
from PIL import Image

COLORS = 128

for path in sys.argv[1:]:
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                figure = Image.open(io.BytesIO(base64.b64decode(output["data"]["image/png"])))
                small = io.BytesIO()
                figure.convert("RGB").quantize(COLORS).save(small, "PNG", optimize=True)
                output["data"]["image/png"] = base64.b64encode(small.getvalue()).decode()
    nbformat.write(notebook, path)
