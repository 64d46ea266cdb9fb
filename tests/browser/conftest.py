"""A real JupyterLab in a real browser: what a test needs to open a notebook, run it and use what it shows."""

from __future__ import annotations

import itertools
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Locator, Page

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "build" / "browser"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 15
"""How long a widget, or the page, may take for one thing."""
NOTEBOOK_SECONDS = 300
"""How long a notebook may run."""
NO_BROWSER = f"no browser: none of {', '.join(BROWSERS)} is on the PATH; on Debian, apt-get install chromium"

# Software WebGL, and nothing that reaches out of this machine.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Lab:
    """A running JupyterLab and the folder that it serves."""

    url: str
    token: str
    root: Path

    def notebook(self, name: str, cells: list[str]) -> str:
        """Write a notebook of code cells there."""
        code = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
        content = {
            "cells": [code | {"id": f"cell-{i}", "source": source} for i, source in enumerate(cells)],
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        (self.root / name).write_text(json.dumps(content))
        return name

    def copy(self, path: str) -> str:
        """Copy the code cells of a notebook of the repository there."""
        content = json.loads((ROOT / path).read_text())
        sources = ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]
        return self.notebook(Path(path).name, sources)


@dataclass
class Notebook:
    """A notebook that is open in the browser."""

    page: Page
    name: str
    complaints: list[str] = field(default_factory=list)
    """What the console called an error."""

    def command(self, name: str, arguments: dict[str, Any] | None = None, seconds: float = SECONDS) -> None:
        """Run a command of JupyterLab, as its menus do, and wait until it is done."""
        self.page.evaluate(_COMMAND, [name, arguments or {}, seconds])

    def run_all(self) -> None:
        """Choose Run > Run All Cells, and wait until all are done; no cell may have failed."""
        self.command("notebook:run-all-cells", seconds=NOTEBOOK_SECONDS)
        failed = self.page.locator("[data-mime-type='application/vnd.jupyter.error']")
        assert failed.count() == 0, f"{self.name}: {failed.first.inner_text()}"

    def execute(self, code: str) -> None:
        """Run code in the notebook's kernel, without a cell."""
        reply = self.page.evaluate(_EXECUTE, code)
        assert reply["status"] == "ok", reply

    def theme(self, name: str) -> None:
        """Choose JupyterLab's theme, "Light" or "Dark"."""
        self.command("apputils:change-theme", {"theme": f"JupyterLab {name}"})
        self.page.wait_for_selector(
            f"body[data-jp-theme-light='{'true' if name == 'Light' else 'false'}']", state="attached"
        )

    def screenshot(self, title: str) -> None:
        """Keep a picture of the page in ``build/browser``."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{Path(self.name).stem}-{title}.png")

    def changes(self, read: Callable[[], object], act: Callable[[], object], seconds: float = 20) -> object:
        """Return what ``read`` gives once ``act`` has changed it.

        Raises
        ------
        AssertionError
            When it is the same after ``seconds``.
        """
        before = read()
        act()
        stop = time.monotonic() + seconds
        while time.monotonic() < stop:
            self.page.wait_for_timeout(50)
            if (after := read()) != before:
                return after
        msg = f"{self.name}: nothing changed in {seconds} s; it is still {str(before)[:200]!r}."
        raise AssertionError(msg)

    def lasso(self, plot: Locator, corners: list[tuple[float, float]]) -> None:
        """Press the lasso of a scatter plot and draw with the mouse; corners are fractions of the plot's sides.

        The lasso is left open, and closes by itself: one that ends where it began counts as a click too.
        """
        canvas = plot.locator("canvas").first
        canvas.evaluate("element => element.scrollIntoView({block: 'center'})")
        plot.get_by_title("Activate lasso selection").click()
        box = canvas.bounding_box()
        assert box is not None, f"{self.name}: the plot is not to be seen"
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
        mouse = self.page.mouse
        mouse.move(*points[0])
        mouse.down()
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            for step in (0.25, 0.5, 0.75, 1):  # the plot drops points that come too soon after one another
                mouse.move(x0 + (x1 - x0) * step, y0 + (y1 - y0) * step)
                self.page.wait_for_timeout(20)
        mouse.up()

    def contrast(self, text: Locator) -> float:
        """Return how much text stands out from what is behind it, as WCAG counts it: 4.5 is readable."""
        return text.evaluate(_CONTRAST)


_KERNEL_IS_IDLE = "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"

_COMMAND = """([name, options, seconds]) => Promise.race([
  window.jupyterapp.commands.execute(name, options).then(() => null),
  new Promise((_, fail) => setTimeout(() => fail(new Error(`${name} took more than ${seconds} s`)), 1000 * seconds)),
])"""

_EXECUTE = """code => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel
  .requestExecute({code}).done.then(reply => reply.content)"""

_CONTRAST = """element => {
  const numbers = colour => (colour.match(/[\\d.]+/g) || []).map(Number);
  const luminance = rgb => rgb.slice(0, 3)
    .map(value => value / 255)
    .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
  let behind = element;
  const opaque = colour => { const [r, g, b, a = 1] = numbers(colour); return a > 0.99; };
  while (behind.parentElement && !opaque(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
  const pair = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor].map(numbers).map(luminance);
  return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
}"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_up(lab: Lab, process: subprocess.Popen[bytes], log: Path) -> None:
    stop = time.monotonic() + SECONDS
    while time.monotonic() < stop and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{lab.url}/api/status?token={lab.token}", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start within {SECONDS} s:\n{log.read_text()[-3_000:]}")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser; without one tests skip, or fail where SIMPLECHROME_TK_REQUIRE_BROWSER is set."""
    for name in BROWSERS:
        if (path := shutil.which(name)) is not None:
            return path
    if os.environ.get("SIMPLECHROME_TK_REQUIRE_BROWSER", "0") != "0":
        pytest.fail(NO_BROWSER)
    pytest.skip(NO_BROWSER)


@pytest.fixture(scope="session")
def lab(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Serve an empty folder by JupyterLab on loopback, with settings and kernels apart from the user's."""
    home = tmp_path_factory.mktemp("jupyter")
    root = home / "root"
    root.mkdir()
    lab = Lab(f"http://127.0.0.1:{(port := _free_port())}", secrets.token_hex(16), root)
    folders = (
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "JUPYTER_RUNTIME_DIR",
        "JUPYTERLAB_SETTINGS_DIR",
        "JUPYTERLAB_WORKSPACES_DIR",
        "IPYTHONDIR",
    )
    settings = home / "JUPYTERLAB_SETTINGS_DIR" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    environment = (
        os.environ
        | {name: str(home / name) for name in folders}
        | {"JUPYTER_PREFER_ENV_PATH": "1", "SIMPLECHROME_TK_QUICK": "1"}
    )
    environment.pop("MPLBACKEND", None)  # the inline backend, as a user has it
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "ServerApp.root_dir": root,
        "IdentityProvider.token": lab.token,
        "LabApp.expose_app_in_browser": True,
    }
    command = [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())]
    log = home / "log.txt"
    with log.open("wb") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process:
        try:
            _wait_until_up(lab, process, log)
            yield lab
        finally:
            process.terminate()  # takes its kernels along
            try:
                process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Start the browser, for one module: while Playwright runs, no other test could use asyncio."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def opened(lab: Lab, browser: Browser) -> Iterator[Callable[[str], Notebook]]:
    """Open a notebook of the lab's folder, each in a page of its own; their kernels stop after the module."""
    pages: list[Page] = []

    def open_notebook(name: str) -> Notebook:
        context = browser.new_context(viewport={"width": 1_400, "height": 1_000})
        page = context.new_page()
        pages.append(page)
        page.set_default_timeout(SECONDS * 1_000)
        notebook = Notebook(page, name)
        page.on(
            "console", lambda message: notebook.complaints.append(message.text) if message.type == "error" else None
        )
        page.on("pageerror", lambda error: notebook.complaints.append(str(error)))
        page.goto(f"{lab.url}/lab/workspaces/{Path(name).stem}/tree/{name}?token={lab.token}")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        page.wait_for_function(_KERNEL_IS_IDLE)  # JupyterLab's own sign says "idle" before there is a kernel
        return notebook

    yield open_notebook
    for page in pages:
        page.evaluate("window.jupyterapp.serviceManager.sessions.shutdownAll()")
        page.context.close()


@pytest.fixture(scope="module")
def running(opened: Callable[[str], Notebook]) -> Callable[[str], Notebook]:
    """Open a notebook and run all of it."""

    def run(name: str) -> Notebook:
        notebook = opened(name)
        notebook.run_all()
        return notebook

    return run
