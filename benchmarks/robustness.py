"""Robustness of saved models: damaged files, interrupted saving, and two writers and a reader in one folder.

A changed file must be refused by a `ValueError` that names it, or change nothing, within 5 s and 1 GB. After a kill or
an interrupt the folder must hold a whole model, and after the next save nothing else. The table counts the outcomes;
the exit status is 1 if there was any other outcome.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

import simplechrome_tk as sct
from simplechrome_tk.model import _store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import anndata as ad

SECONDS, MEMORY = 5, 1 << 30
SAME, REFUSED, OTHERWISE, ERROR = "the same predictions", "refused by name", "other predictions", "another error"
UNFIT = "refused with the data"
ODD: list[Any] = [None, True, -1, 0, 3, 10**9, 10**30, 1e308, -0.5, 4.5, "", "x", "../../x", [], [1], {}, {"a": 1}]
TOKENS = [b"NaN", b"-Infinity", b"1e999", b"9" * 5_000, b"[" * 100_000, b"\xff\xfe", b"\x00", b'"\\ud800"']


class Trial(NamedTuple):
    """Outcomes of one kind of trial: counts, the longest time, the most memory in bytes, and wrong outcomes."""

    name: str
    counts: Counter[str]
    slowest: float
    memory: int
    wrong: list[str]


def models(adata: ad.AnnData) -> list[sct.SimpleChrome]:
    """Train two small models for one epoch; the second has two networks."""
    made = []
    for n_models in (1, 2):
        model = sct.SimpleChrome(adata, n_latent=3, n_hidden=8, n_models=n_models, device="cpu")
        model.train(latent_epochs=1, expression_epochs=1, progress=False)
        made.append(model)
    return made


def data() -> ad.AnnData:
    """Return 800 simulated genes with five marks around the TSS."""
    window = sct.pp.Window("tss", anchor="tss", upstream=2_000, downstream=2_000, n_bins=8)
    adata = sct.datasets.simulate(800, windows=[window])
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    return adata


def bits(model: sct.SimpleChrome, adata: ad.AnnData) -> bytes:
    """Return predictions and latents as bytes."""
    return model.predict(adata).to_numpy().tobytes() + model.get_latent_representation(adata).tobytes()


# --- changed files


def change_bytes(content: bytes, rng: random.Random) -> bytes:
    """Flip, remove, insert, repeat or cut off bytes."""
    at = rng.randrange(len(content))
    length = rng.choice([1, 1, 1, 2, 8, 100])
    match rng.randrange(6):
        case 0:
            return content[:at] + rng.randbytes(length) + content[at + length :]
        case 1:
            return content[:at] + content[at + length :]
        case 2:
            return content[:at] + rng.randbytes(length) + content[at:]
        case 3:
            return content[: at + length] + content[at:]
        case 4:
            return content[:at]
        case _:
            return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to each value in a config."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def change_value(content: bytes, rng: random.Random) -> dict[str, Any]:
    """Replace, remove, add or swap a value of a config."""
    config = json.loads(content)
    *path, key = rng.choice(list(places(config)))
    inner = functools.reduce(lambda value, name: value[name], path, config)
    match rng.randrange(5):
        case 0:
            del inner[key]
        case 1 if isinstance(inner, list):
            inner.insert(key, rng.choice(ODD))
        case 1:
            inner["another"] = rng.choice(ODD)
        case 2 if isinstance(inner[key], int | float) and not isinstance(inner[key], bool):
            inner[key] = rng.choice([inner[key] * 1.01, inner[key] + 1, -inner[key], inner[key] * 1e7])
        case _:
            inner[key] = rng.choice(ODD)
    return config


def change_config(content: bytes, rng: random.Random) -> bytes:
    """Change bytes, a token or a value."""
    match rng.randrange(4):
        case 0:
            return change_bytes(content, rng)
        case 1:
            at = rng.choice([i for i, byte in enumerate(content) if byte in b" :,["])
            return content[:at] + rng.choice(TOKENS) + content[at:]
        case 2:
            line = rng.choice(content.splitlines(keepends=True))
            return content.replace(line, line * 2, 1)
        case _:
            return json.dumps(change_value(content, rng), indent=1).encode()


def change_weights(content: bytes, rng: random.Random) -> bytes:
    """Change bytes anywhere, in the header, or the length that the header states."""
    (length,) = struct.unpack("<Q", content[:8])
    match rng.randrange(4):
        case 0:
            return change_bytes(content, rng)
        case 1:
            return content[:8] + change_bytes(content[8 : 8 + length], rng) + content[8 + length :]
        case 2:
            return struct.pack("<Q", rng.choice([0, length - 1, length * 2, 1 << 40, (1 << 64) - 1])) + content[8:]
        case _:
            number = struct.pack("<f", rng.choice([float("nan"), float("inf"), 0.0, 1e30]))
            at = rng.randrange(8 + length, len(content) - 4)
            return content[:at] + number + content[at + 4 :]


def seal(folder: Path, config: dict[str, Any], weights: bytes) -> None:
    """Write a model whose hashes fit, as an attacker would."""
    digest = hashlib.sha256(weights).hexdigest()
    for file in folder.glob("model-*"):
        file.unlink()
    (folder / f"model-{digest[:16]}.safetensors").write_bytes(weights)
    if "weights_sha256" in config:
        config["weights_sha256"] = digest
    with contextlib.suppress(ValueError):
        config["checksum"] = _store._checksum(config)
    (folder / "config.json").write_text(json.dumps(config))


def outcome(folder: Path, adata: ad.AnnData, expected: bytes) -> str:
    """Load a model, predict, and return the outcome in words."""
    loaded = False
    try:
        model = sct.SimpleChrome.load(folder, device="cpu")
        loaded = True
        found = bits(model, adata)
    except ValueError as error:
        if loaded:
            return UNFIT
        return REFUSED if str(folder.resolve()) in str(error) else f"{ERROR}: {error!r:.300}"
    except BaseException as error:  # noqa: BLE001 - any other error is a finding
        return f"{ERROR}: {error!r:.300}"
    return SAME if found == expected else OTHERWISE


def within_limits(call: Callable[[], str]) -> tuple[str, float, int]:
    """Call a function in a process with limits of time and memory; return its answer, seconds and bytes."""
    start = time.perf_counter()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        size, before = (
            int(pages) * resource.getpagesize() for pages in Path("/proc/self/statm").read_text().split()[:2]
        )
        limit = size + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(SECONDS)
        answer = call().encode("utf-8", "replace")[:2_000]
        taken = max(0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before)
        os.write(write, f"{taken}\n".encode() + answer)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        taken, _, answer = pipe.read().decode().partition("\n")
    _, status = os.waitpid(pid, 0)
    seconds = time.perf_counter() - start
    return (f"{ERROR}: ended by signal {os.WTERMSIG(status)}", seconds, 0) if status else (answer, seconds, int(taken))


def damage(name: str, model: sct.SimpleChrome, adata: ad.AnnData, *, count: int, seed: int = 0) -> Trial:
    """Change `config`, `weights`, or either with hashes that fit (`sealed`), `count` times, and load each model."""
    counts, slowest, memory, wrong = Counter[str](), 0.0, 0, []
    expected = bits(model, adata)
    with tempfile.TemporaryDirectory() as scratch:
        good = Path(scratch) / "good"
        model.save(good)
        config = (good / "config.json").read_bytes()
        weights = next(good.glob("model-*")).read_bytes()
        for number in range(count):
            rng = random.Random(f"{name} {seed} {number}")
            folder = Path(scratch) / f"{name}{number}"
            shutil.copytree(good, folder)
            if name == "config":
                (folder / "config.json").write_bytes(change_config(config, rng))
            elif name == "weights":
                next(folder.glob("model-*")).write_bytes(change_weights(weights, rng))
            elif number % 2:
                seal(folder, change_value(config, rng), weights)
            else:
                seal(folder, json.loads(config), change_weights(weights, rng))
            answer, seconds, taken = within_limits(functools.partial(outcome, folder, adata, expected))
            counts[answer.partition(":")[0]] += 1
            slowest, memory = max(slowest, seconds), max(memory, taken)
            # Values whose hashes fit may be another valid model.
            if answer not in {SAME, REFUSED, *({OTHERWISE, UNFIT} if name == "sealed" else ())} or seconds > SECONDS:
                wrong.append(f"{name} {seed} {number}: {answer}, {seconds:.1f} s")
            shutil.rmtree(folder)
    return Trial(f"changed: {name}", counts, slowest, memory, wrong)


# --- killed, interrupted, at once


def content(model: sct.SimpleChrome) -> bytes:
    """Return weights, settings, units and history of a model as bytes."""
    weights = b"".join(tensor.numpy().tobytes() for tensor in model.module.state_dict().values())
    return weights + repr((model.settings, model.output_units, model.history.to_csv())).encode()


def whole(folder: Path, known: dict[bytes, str]) -> str:
    """Return the name of the known model that a folder holds."""
    try:
        return known.get(content(sct.SimpleChrome.load(folder, device="cpu")), "a mixture")
    except FileNotFoundError:
        return "none"
    except Exception as error:  # noqa: BLE001 - any other error is a finding
        return f"{error!r:.300}"


def debris(folder: Path) -> list[str]:
    """Return the names of files in a folder and beside it, other than a config and one file of weights."""
    names = sorted(path.name for path in folder.iterdir())
    fits = len(names) == 2 and names[0] == "config.json" and names[1].startswith("model-")
    return [*([] if fits else names), *(path.name for path in folder.parent.iterdir() if path != folder)]


def save_for_ever(folder: Path, saved: list[sct.SimpleChrome]) -> None:
    while True:
        for model in saved:
            model.save(folder, overwrite=True)


def killed(folder: Path, saved: list[sct.SimpleChrome], wait: float) -> None:
    """Kill a process that saves one model after the other."""
    pid = os.fork()
    if pid == 0:
        try:
            save_for_ever(folder, saved)
        finally:
            os._exit(1)
    time.sleep(wait)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if os.WTERMSIG(status) != signal.SIGKILL:
        msg = "the saving process ended before it was killed."
        raise RuntimeError(msg)


def interrupted(folder: Path, saved: list[sct.SimpleChrome], wait: float) -> None:
    """Interrupt this process, which saves one model after the other, as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, wait)
        save_for_ever(folder, saved)
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGALRM, before)


def break_off(
    name: str,
    break_one: Callable[[Path, list[sct.SimpleChrome], float], None],
    saved: list[sct.SimpleChrome],
    *,
    count: int,
) -> Trial:
    """Break off `save(overwrite=True)` at random moments; every fourth time in a folder without a model."""
    known = {content(model): f"model {number}" for number, model in enumerate(saved)}
    counts, wrong, rng = Counter[str](), [], random.Random(0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        saved[0].save(folder)
        start = time.perf_counter()
        for _ in range(10):
            saved[0].save(folder, overwrite=True)
        usual = (time.perf_counter() - start) / 10
        for number in range(count):
            if number % 4 == 0:
                shutil.rmtree(folder)
            break_one(folder, saved, rng.uniform(1e-4, 3 * usual))
            left = len(list(folder.iterdir())) > 2 if folder.exists() else False
            found = whole(folder, known)
            saved[number % 2].save(folder, overwrite=True)
            counts[found] += 1
            counts["leftovers, then none"] += left
            allowed = {*known.values(), *({"none"} if number % 4 == 0 else ())}
            if found not in allowed or debris(folder) or torch.empty(0).device.type != "cpu":
                wrong.append(f"{name} {number}: {found}, then {debris(folder)}")
    return Trial(name, counts, 3 * usual, 0, wrong)


def at_once(saved: list[sct.SimpleChrome], *, seconds: float) -> Trial:
    """Let two processes save to one folder while this one loads from it."""
    known = {content(model): f"model {number}" for number, model in enumerate(saved)}
    counts, wrong, slowest = Counter[str](), [], 0.0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        saved[0].save(folder)
        writers = []
        for order in (saved, saved[::-1]):
            pid = os.fork()
            if pid == 0:
                try:
                    save_for_ever(folder, order)
                finally:
                    os._exit(1)
            writers.append(pid)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            start = time.perf_counter()
            found = whole(folder, known)
            slowest = max(slowest, time.perf_counter() - start)
            counts[found] += 1
            if found not in known.values():
                wrong.append(f"two writers: {found}")
        for pid in writers:
            if os.waitpid(pid, os.WNOHANG) != (0, 0):
                wrong.append("two writers: one has failed")
                continue
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        saved[0].save(folder, overwrite=True)
        if whole(folder, known) != "model 0" or debris(folder):
            wrong.append(f"two writers: {debris(folder)} are left")
    return Trial("two writers, one reader", counts, slowest, 0, wrong)


def run(*, config: int, weights: int, sealed: int, kills: int, interrupts: int, seconds: float) -> Iterator[Trial]:
    """Run all trials, the given number of each kind."""
    torch.set_num_threads(1)
    adata = data()
    saved = models(adata)
    yield damage("config", saved[0], adata, count=config)
    yield damage("weights", saved[1], adata, count=weights)
    yield damage("sealed", saved[1], adata, count=sealed)
    yield break_off("killed", killed, saved, count=kills)
    yield break_off("interrupted", interrupted, saved, count=interrupts)
    yield at_once(saved, seconds=seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, count in (("config", 1_000), ("weights", 500), ("sealed", 500), ("kills", 1_000), ("interrupts", 1_000)):
        parser.add_argument(f"--{name}", type=int, default=count, help=f"how many ({count:,})")
    parser.add_argument("--seconds", type=float, default=30, help="of two writers and a reader (30)")
    print("| trial | tried | outcomes | slowest | memory | wrong |\n|---|---|---|---|---|---|")
    wrong = []
    for trial in run(**vars(parser.parse_args())):
        outcomes = ", ".join(f"{count:,} {what}" for what, count in trial.counts.most_common())
        tried = sum(count for what, count in trial.counts.items() if what != "leftovers, then none")
        print(
            f"| {trial.name} | {tried:,} | {outcomes} | {trial.slowest:.2f} s | {trial.memory / 1e6:.0f} MB | "
            f"{len(trial.wrong)} |",
            flush=True,
        )
        wrong += trial.wrong
    print("\n".join(wrong[:50]), file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
