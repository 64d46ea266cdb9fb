"""Models on disk: never lost, never mixed, refused when they are damaged; other files are never removed."""

from __future__ import annotations

import errno
import importlib.util
import json
import logging
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from builders import trained

import simplechrome_tk as sct
from simplechrome_tk.core import files as _files
from simplechrome_tk.model import _store

if TYPE_CHECKING:
    from types import CodeType

    import anndata as ad

_SPEC = importlib.util.spec_from_file_location("robustness", Path(__file__).parents[2] / "benchmarks" / "robustness.py")
assert _SPEC is not None
assert _SPEC.loader is not None
robustness = importlib.util.module_from_spec(_SPEC)
sys.modules["robustness"] = robustness
_SPEC.loader.exec_module(robustness)


@pytest.fixture(scope="module")
def adata() -> ad.AnnData:
    return robustness.data()


@pytest.fixture(scope="module")
def models(adata: ad.AnnData) -> list[sct.SimpleChrome]:
    """Two small models, the second of two networks."""
    return robustness.models(adata)


@pytest.fixture
def folder(models: list[sct.SimpleChrome], tmp_path: Path) -> Path:
    """The first model, saved."""
    models[0].save(tmp_path / "model")
    return tmp_path / "model"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def load(folder: Path) -> bytes:
    return robustness.content(sct.SimpleChrome.load(folder, device="cpu"))


def weights_of(folder: Path) -> Path:
    (file,) = folder.glob("model-*.safetensors")
    return file


@pytest.mark.parametrize(("name", "count"), [("config", 30), ("weights", 20), ("sealed", 30)])
def test_random_changes_are_refused_by_name_or_change_nothing(models, adata, name: str, count: int):
    trial = robustness.damage(name, models[1], adata, count=count, seed=1)
    assert not trial.wrong, "\n".join(trial.wrong)
    assert trial.counts[robustness.REFUSED] > count / 2


@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_a_save_that_breaks_off_at_random_leaves_a_whole_model(models, how: str):
    trial = robustness.break_off(how, getattr(robustness, how), models, count=8)
    assert not trial.wrong, "\n".join(trial.wrong)


def test_two_writers_and_a_reader_at_once(models):
    trial = robustness.at_once(models, seconds=1.5)
    assert not trial.wrong, "\n".join(trial.wrong)
    assert sum(trial.counts.values()) > 1


SAVING = {
    function.__code__
    for function in (
        _store.write_model,
        _store._weights_to_replace,
        _store._sweep,
        _files.put,
        _files.locked.__wrapped__,
    )
}


# An interrupt between the opening of a file and its `with` leaves the closing to Python, which says so.
@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_at_any_line_leaves_a_whole_model(models, folder: Path, interrupted):
    known = [robustness.content(model) for model in models]
    line, found = 0, []
    while True:
        line += 1
        if not interrupted(lambda: models[1].save(folder, overwrite=True), line - 1, watched=SAVING.__contains__):
            break
        found.append(known.index(load(folder)))
        models[0].save(folder, overwrite=True)
        assert len(names(folder)) == 2
    assert line > 60
    assert found == sorted(found), "the old model up to some line, the new one from there on"
    assert set(found) == {0, 1}


def test_an_interrupt_leaves_torch_as_it_was(models, folder: Path, interrupted):
    """Shapes of weights are found on the device "meta", which must not stay torch's default device."""

    def of_devices(code: CodeType) -> bool:
        return code.co_filename.endswith(("utils/_device.py", "torch/overrides.py", "simplechrome_tk/model/_state.py"))

    line = 1
    while interrupted(lambda: models[1].save(folder, overwrite=True), line - 1, watched=of_devices):
        assert torch.empty(0).device == torch.device("cpu")
        line += 1
    assert line > 50


def sealed(folder: Path, config: dict[str, Any]) -> None:
    robustness.seal(folder, config, weights_of(folder).read_bytes())


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("settings", "n_models"), 10**9, "n_models is 1000000000; expected a whole number from 1 to 1,000,000"),
        (("settings", "n_models"), 10**6, "it holds .* bytes; the model that config.json describes has .* bytes"),
        (("settings", "n_latent"), 10**7, "n_latent is 10000000; expected"),
        (("settings", "n_latent"), 10**6, "it holds .* bytes; the model that config.json describes has .* bytes"),
        (("settings", "n_latent"), "3", "n_latent is '3'; expected a whole number"),
        (("settings", "another"), 3, "settings has the unknown 'another'"),
        (("settings",), None, "settings is None; expected fields with values"),
        (("settings", "condition_key"), "cell_type", "condition_key is 'cell_type' and conditions"),
        (("regions",), [[5, 7]], "there are 40 columns .* expected 35"),
        (("regions",), [[-5, -8]], "the size of a region is -5"),
        (("regions",), [[1, 1]] * 2_000, "regions is .* expected 1 to 1,000 pairs"),
        (("columns", 3), 4, "columns is .* expected a list of strings"),
        (("normalization", "method"), None, "normalization has the method 'None'"),
        (("normalization", "scale", 1), 0, r"normalization\['scale'\] holds 0; expected numbers above 0"),
        (("normalization", "center", 1), 0.5, "center is not that of the normalisation in config.json"),
        (("normalization", "center"), [[1], [2, 3]], r"normalization\['center'\] is .* expected 5 finite numbers"),
        (("length_constants",), None, "length_constants is None; expected fields with values"),
        (("length_constants", "scale"), 0, "the scale in length_constants is 0; expected a finite number above 0"),
        (("length_constants", "center"), "4", "the center in length_constants is '4'; expected a finite number"),
        (("readout", "scale"), 0, "the readout's scale is 0; expected a finite number above 0"),
        (("readout", "center"), "0", "the readout's center is '0'; expected a finite number"),
        (("readout", "probability", "logits"), [], "expected one at least, in rising order"),
        (("readout", "probability", "low", 0), 7, "reaches from .* to 7; expected from 0 to 1"),
        (("readout", "expression", "below"), [1.0, 2.0, 3.0], "below in the readout of expression is"),
        (("history",), [], "expected a row for each epoch"),
        (("history", 0, "phase"), "x", "history names the phase 'x'"),
        (("history", 0, "train_loss"), None, "'train_loss' in history is None; expected a finite number"),
        (("weights_sha256",), 5, "weights_sha256 is 5"),
        (("weights_sha256",), "../../../../../etc/passwd", "expected 64 hexadecimal digits"),
    ],
)
def test_invalid_values_are_named(folder: Path, place: tuple, value: object, message: str):
    config = json.loads((folder / "config.json").read_text())
    inner = config
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    if place == ("weights_sha256",):
        config["checksum"] = _store._checksum(config)
        (folder / "config.json").write_text(json.dumps(config))
    else:
        sealed(folder, config)
    with pytest.raises(ValueError, match=rf"{re.escape(str(folder))}/.*{message}"):
        sct.SimpleChrome.load(folder, device="cpu")


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b'"x"', b"{}", b"\xff", b"[" * 100_000, b'{"a": NaN}', b"9" * 10_000, b'{"format": 4}'],
)
def test_a_config_that_is_no_config_is_named(folder: Path, content: bytes):
    (folder / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(folder / "config.json"))):
        sct.SimpleChrome.load(folder)


def test_a_field_that_is_there_twice_is_refused(folder: Path):
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"n_latent": 3,', '"n_latent": 4,\n"n_latent": 3,'))
    with pytest.raises(ValueError, match=r"config\.json: a field is there twice: n_latent"):
        sct.SimpleChrome.load(folder)


def test_an_edited_config_is_refused_and_another_layout_is_not(folder: Path, models):
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()), sort_keys=True))
    assert load(folder) == robustness.content(models[0])
    config.write_text(config.read_text().replace('"label_key": "label"', '"label_key": "other"'))
    with pytest.raises(ValueError, match=r"config\.json: it was changed after it was written"):
        sct.SimpleChrome.load(folder)


def test_weights_of_another_model_are_refused(folder: Path, adata: ad.AnnData, tmp_path: Path):
    other = sct.SimpleChrome(adata, n_latent=3, n_hidden=8, rng=5, device="cpu")
    other.train(latent_epochs=1, expression_epochs=1, progress=False)
    other.save(tmp_path / "other")
    weights_of(folder).write_bytes(weights_of(tmp_path / "other").read_bytes())
    with pytest.raises(ValueError, match=r"model-.*\.safetensors: it was changed .* or is of another model"):
        sct.SimpleChrome.load(folder)
    weights_of(folder).unlink()
    with pytest.raises(FileNotFoundError, match=r"model-.*\.safetensors is missing"):
        sct.SimpleChrome.load(folder)


def test_weights_that_are_not_finite_are_not_saved(adata: ad.AnnData, models, folder: Path):
    broken = robustness.models(adata)[0]
    with torch.no_grad():
        next(broken.module.parameters())[0] = float("nan")
    with pytest.raises(ValueError, match=r"the model cannot be saved: members\.0.* weights that are not finite"):
        broken.save(folder, overwrite=True)
    assert load(folder) == robustness.content(models[0])


def test_only_what_was_saved_is_replaced(models, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    def refused(path: Path, message: str) -> None:
        before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
        for overwrite in (False, True):
            with pytest.raises(FileExistsError, match=message):
                models[1].save(path, overwrite=overwrite)
        assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before

    (tmp_path / "file").write_text("mine")
    refused(tmp_path / "file", "is a file")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    refused(tmp_path / "thesis", r"holds no model, but other files \(chapter\.txt\)")
    other = tmp_path / "bert"
    other.mkdir()
    (other / "model.safetensors").write_text("of another library")
    for config in ("{}", '{"format": 4}', '{"architectures": ["Bert"]}', "no json", '{"format": 4, "versions": {}}'):
        (other / "config.json").write_text(config)
        refused(other, r"config\.json was not written by SimpleChrome\.save\(\), or is damaged")
    (other / "config.json").unlink()
    (other / "config.json").symlink_to(folder / "config.json")
    refused(other, r"config\.json was not written by SimpleChrome\.save")

    (folder / "CARD.md").write_text("mine")
    (folder / "model.safetensors").write_text("mine")
    with caplog.at_level(logging.INFO):
        models[1].save(folder, overwrite=True)
    assert "also holds CARD.md, model.safetensors: left as they are" in caplog.text
    assert (folder / "CARD.md").read_text() == (folder / "model.safetensors").read_text() == "mine"
    assert load(folder) == robustness.content(models[1])


def test_an_empty_folder_and_leftovers_are_no_model(models, tmp_path: Path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / ".config.json.0123456789abcdef.part").write_text("{")
    (tmp_path / "model" / "model-0123456789abcdef.safetensors").write_text("half")
    models[0].save(tmp_path / "model")
    assert len(names(tmp_path / "model")) == 2


@pytest.mark.parametrize("older", [2, 3])
def test_a_model_of_an_older_format_is_named_and_can_be_weights_to_replace(models, folder: Path, older: int):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "format": older}))
    if older == 2:
        weights_of(folder).rename(folder / "model.safetensors")
    with pytest.raises(ValueError, match=rf"config\.json is in format {older} .* Train the model again"):
        sct.SimpleChrome.load(folder)
    models[1].save(folder, overwrite=True)
    assert load(folder) == robustness.content(models[1])
    assert len(names(folder)) == 2


def test_a_model_reads_the_gene_length_by_its_own_constants(tmp_path: Path):
    adata, model = trained(gene_length=True)
    model.save(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["length_constants"] == {"center": 4.33, "scale": 0.63}
    config["length_constants"]["center"] += 1.0
    sealed(tmp_path / "model", config)
    loaded = sct.SimpleChrome.load(tmp_path / "model", device="cpu")
    difference = model.read(adata).x - loaded.read(adata).x
    np.testing.assert_allclose(difference[:, -1], 1 / 0.63, rtol=1e-5)
    np.testing.assert_array_equal(difference[:, :-1], 0)


def test_it_is_saved_from_inside_and_through_links(models, folder: Path, monkeypatch: pytest.MonkeyPatch):
    known = [robustness.content(model) for model in models]
    monkeypatch.chdir(folder)
    models[1].save(f"../{folder.name}", overwrite=True)
    assert load(Path()) == known[1]
    models[0].save(".", overwrite=True)
    link = folder.parent / "link"
    link.symlink_to(folder.name)
    models[1].save(link, overwrite=True)
    assert link.is_symlink()
    assert load(folder) == load(link) == known[1]
    (folder.parent / "ahead").symlink_to("not there yet")
    models[0].save(folder.parent / "ahead")
    assert load(folder.parent / "not there yet") == known[0]
    monkeypatch.setenv("HOME", str(folder.parent))
    models[0].save("~/at home")
    assert load(folder.parent / "at home") == load("~/at home") == known[0]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o002])
def test_modes_are_those_that_the_umask_leaves(models, tmp_path: Path, umask: int):
    before = os.umask(umask)
    try:
        models[0].save(tmp_path / "model")
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "model").iterdir()} == {0o666 & ~umask}


def test_without_locks_nothing_that_may_be_of_another_call_is_removed(models, folder: Path, monkeypatch):
    def without(*_: object) -> None:
        raise OSError(errno.ENOSYS, "no locks here")

    monkeypatch.setattr("simplechrome_tk.core.files.fcntl.flock", without)
    unfinished = folder / "model-0123456789abcdef.safetensors"
    unfinished.write_text("of another call")
    models[1].save(folder, overwrite=True)
    assert unfinished.exists()
    assert load(folder) == robustness.content(models[1])
    assert len([name for name in names(folder) if name.startswith("model-")]) == 2, "the weights before are removed"


def test_epochs_without_a_score_are_saved(adata: ad.AnnData, tmp_path: Path):
    model = sct.SimpleChrome(adata, n_latent=3, n_hidden=8, task="regression", device="cpu")
    model.train(latent_epochs=1, expression_epochs=1, progress=False)
    model.save(tmp_path / "model")
    loaded = sct.SimpleChrome.load(tmp_path / "model", device="cpu")
    assert loaded.history.equals(model.history)
    np.testing.assert_array_equal(loaded.predict(adata), model.predict())
