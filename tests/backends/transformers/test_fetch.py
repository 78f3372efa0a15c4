"""A model's files: what is asked for, what is not, and what is said when it fails."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import hfasr
from hfasr import ASRClient
from hfasr.backends.transformers import Transformers
from hfasr.backends.transformers.fetch import Snapshot, resolve
from hfasr.backends.transformers.recognise import check_files
from hfasr.backends.transformers.settings import Settings
from tests import tiny
from tests.backends.transformers.hub import Hub, Repository

MODEL = "org/model"
NEEDED = ["config.json", "model.safetensors", "processor_config.json", "tokenizer_config.json", "vocab.json"]

TinyModel = Callable[..., Path]


@pytest.fixture
def folder(tiny_model: TinyModel, tmp_path: Path) -> Path:
    """A tiny model's folder, which the test may change."""
    return Path(shutil.copytree(tiny_model(tiny.tiny_ctc), tmp_path / "model"))


@pytest.fixture
def hosted(hub: Hub, folder: Path) -> Hub:
    """The Hub, with that folder on it."""
    hub.repositories[MODEL] = Repository(folder)
    return hub


def fetch(model: str = MODEL, *, download: bool = True, **settings: Any) -> Snapshot:
    return resolve(Settings(model, **settings), download=download)


def refused(message: str, *args: Any, **settings: Any) -> None:
    """See that it is refused with *message*, in one line without addresses."""
    with pytest.raises(hfasr.BackendLoadError, match=message) as caught:
        fetch(*args, **settings)
    assert "127.0.0.1" not in str(caught.value)


def test_only_what_is_needed(hosted: Hub, folder: Path) -> None:
    """Of all that a repository holds only settings, vocabulary and one set of weights are fetched."""
    for name in (
        "README.md", "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "model.fp32-00001-of-00002.safetensors",
        "adapter.fra.safetensors", "code.py", "training_args.bin", "onnx/model.onnx", "checkpoint-5/config.json",
    ):  # fmt: skip
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    snapshot = fetch()
    assert hosted.downloads() == NEEDED
    assert (snapshot.commit, snapshot.model) == ("a" * 40, MODEL)
    assert sorted(path.name for path in snapshot.folder.iterdir()) == NEEDED


def test_code_only_where_it_is_trusted(hosted: Hub, folder: Path) -> None:
    """Python files of a repository arrive with trust_remote_code=True only."""
    (folder / "modeling.py").touch()
    fetch()
    assert "modeling.py" not in hosted.downloads()
    assert (fetch(revision="a" * 40, trust_remote_code=True).folder / "modeling.py").is_file()


def test_sharded_weights(hosted: Hub, folder: Path) -> None:
    """Weights in parts are fetched with their index."""
    shard(folder)
    assert {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"} <= {
        path.name for path in fetch().folder.iterdir()
    }


def shard(folder: Path) -> None:
    weights = folder / "model.safetensors"
    for part in (1, 2):
        shutil.copy(weights, folder / f"model-0000{part}-of-00002.safetensors")
    weights.unlink()
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def test_second_time(hosted: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    """What is here is not fetched again: two questions show that it is the newest; no bar is drawn."""
    first = fetch()
    hosted.asked.clear()
    capsys.readouterr()
    assert fetch() == first
    assert hosted.asked == [f"GET /api/models/{MODEL}/revision/main", f"HEAD /{MODEL}/resolve/main/config.json"]
    assert capsys.readouterr().err == ""


def test_new_commit(hosted: Hub, folder: Path) -> None:
    """When the branch has moved the new commit is fetched, and files that did not change are not."""
    fetch()
    (folder / "vocab.json").write_text("{}", encoding="utf-8")
    hosted.repositories[MODEL].branches["main"] = "b" * 40
    hosted.asked.clear()
    snapshot = fetch()
    assert snapshot.commit == "b" * 40
    assert (snapshot.folder / "vocab.json").read_text(encoding="utf-8") == "{}"
    assert hosted.downloads() == ["vocab.json"]


def test_revision(hosted: Hub) -> None:
    """A branch, a tag or a commit can be named; a commit that is here needs no question at all."""
    hosted.repositories[MODEL].branches["v1.0"] = "c" * 40
    assert fetch(revision="v1.0").commit == "c" * 40
    hosted.asked.clear()
    assert fetch(revision="c" * 40).commit == "c" * 40
    assert hosted.asked == []
    refused("^the model 'org/model' has no revision 'v2'; name a branch, tag or commit that it has$", revision="v2")


def test_without_download(hosted: Hub, unplug: Callable[[], None]) -> None:
    """With download=False no socket is opened: a model that is here is used, one that is not says how to get it."""
    first = fetch()
    unplug()
    assert fetch(download=False) == first
    refused(
        r"^the model 'org/other' is not on this machine; call preload\(\) ahead, where it may be downloaded$",
        "org/other",
        download=False,
    )
    refused("is not on this machine", revision="v9", download=False)


@pytest.mark.parametrize("lost", ["model.safetensors", "vocab.json", "config.json"])
def test_part_of_a_model_is_not_here(lost: str, hosted: Hub) -> None:
    """A copy that lacks a file counts as not here, and is completed where it may be."""
    first = fetch()
    (first.folder / lost).unlink()
    refused("is not on this machine", download=False)
    assert fetch() == first
    assert (first.folder / lost).is_file()


def test_part_of_the_shards_is_not_here(hosted: Hub, folder: Path, cache: Path) -> None:
    """Where an older client of the Hub kept no list of the files, the weights' index tells what is missing."""
    shard(folder)
    first = fetch()
    shutil.rmtree(next(cache.glob("models--*")) / "trees", ignore_errors=True)
    assert fetch(download=False) == first
    (first.folder / "model-00002-of-00002.safetensors").unlink()
    refused("is not on this machine", download=False)


def test_interrupted(hosted: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that breaks is taken up again where it broke."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1_000)  # of 10 MB else, all or nothing for a tiny model
    hosted.cut["model.safetensors"] = 100_000
    assert (fetch().folder / "model.safetensors").stat().st_size > 100_000
    assert hosted.ranges == ["bytes=100000-"]


def test_broken_off(hosted: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download that fails for good says so, is not taken for the model, and spares the next what has arrived."""
    from huggingface_hub import file_download

    hosted.cut["model.safetensors"] = 0
    with monkeypatch.context() as patch:  # one attempt instead of six, a second apart
        get = file_download.http_get
        patch.setattr(file_download, "http_get", lambda *args, **named: get(*args, **{"_nb_retries": 0, **named}))
        refused(r"^the download of the model 'org/model' broke off \(\w+\); try again: the files that have arrived are")
    refused("is not on this machine", download=False)
    hosted.cut.clear()
    hosted.asked.clear()
    assert (fetch().folder / "model.safetensors").is_file()
    assert "model.safetensors" in hosted.downloads()
    assert "config.json" not in hosted.downloads()


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, r"the Hub did not take the token \(401\) for the model 'org/model'; run `hf auth login` again"),
        (403, r"the token may not read the model 'org/model' \(403\)"),
        (404, r"the Hub failed \(404\)"),
        (429, r"the Hub asks to wait \(429\)"),
        (500, r"the Hub failed \(500\) with the model 'org/model', which is not on this machine; try again later"),
        (503, r"the Hub failed \(503\)"),
    ],
)
def test_failing_hub(status: int, message: str, hosted: Hub, caplog: pytest.LogCaptureFixture) -> None:
    """What the Hub answers is said with its remedy; with a copy here that is used, and a warning says so."""
    hosted.status = status
    refused(message)
    hosted.status = None
    first = fetch()
    hosted.status = status
    with caplog.at_level(logging.WARNING, "hfasr"):
        assert fetch() == first
    assert "the copy of org/model that is here is used" in caplog.text


def test_unreachable_hub(hosted: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Without a network the copy that is here is used; without one the error says what to do."""
    from huggingface_hub import constants

    first = fetch()
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # the discard port: nobody listens
    assert fetch() == first
    assert "the Hub cannot be reached" in caplog.text
    refused(
        r"^the model 'org/other' is not on this machine and the Hub cannot be reached; connect, or call preload\(\) "
        "while connected$",
        "org/other",
    )


def test_offline_mode(hosted: Hub, monkeypatch: pytest.MonkeyPatch, unplug: Callable[[], None]) -> None:
    """HF_HUB_OFFLINE is obeyed: what is here is used, and what is not names the variable."""
    from huggingface_hub import constants

    first = fetch()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    unplug()
    assert fetch() == first
    refused("HF_HUB_OFFLINE forbids to fetch it", "org/other")


def test_gated(hosted: Hub) -> None:
    """A model whose conditions were not accepted says where to accept them."""
    hosted.repositories[MODEL].gated = True
    refused(
        "^the model 'org/model' is gated: accept its conditions on https://huggingface.co/org/model and run "
        "`hf auth login`$"
    )


def test_no_model(hosted: Hub) -> None:
    """A name that the Hub does not know is said to be that, or private."""
    refused("^there is no model 'org/typo' on the Hub, or it is private", "org/typo")


def test_forbidden_weights(hosted: Hub) -> None:
    """A token that may see the files but not read them says what to change."""
    hosted.forbidden.add("model.safetensors")
    refused(r"the token may not read the model 'org/model' \(403\)")


def test_no_token_in_messages(hosted: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token that was sent does not come back in an error."""
    token = "hf_" + "secret" * 4
    monkeypatch.setenv("HF_TOKEN", token)
    hosted.status = 403
    with pytest.raises(hfasr.BackendLoadError) as caught:
        fetch()
    assert token not in str(caught.value)


def test_token_that_was_passed(hosted: Hub, folder: Path) -> None:
    """A token of the caller's goes along with every question, and stands in no repr."""
    token = "hf_" + "passed" * 4
    snapshot = fetch(token=token)
    (folder / "adapter.fra.safetensors").touch()
    snapshot.fetch("adapter.fra.safetensors", download=True)
    assert hosted.tokens == {f"Bearer {token}"}
    for shown in (repr(snapshot), repr(Settings(token=token)), repr(Transformers(token=token))):
        assert token not in shown


@pytest.mark.parametrize("base_url", [None, "http://127.0.0.1:9/v1"])
def test_client_passes_its_token(base_url: str | None, hosted: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that a client was given for Hugging Face fetches models as well; one for another server does not."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    token = "hf_" + "passed" * 4
    with ASRClient(MODEL, backend="transformers", token=token, base_url=base_url) as asr:
        asr.preload()
    assert (f"Bearer {token}" in hosted.tokens) is (base_url is None)
    assert hosted.downloads()


@pytest.mark.parametrize("token", ["", "two words\n", "ö", 7])
def test_token_that_cannot_be_one(token: Any) -> None:
    """What no header can carry is refused at once, unquoted."""
    with pytest.raises((TypeError, ValueError), match=r"^token ") as caught:
        Settings(token=token)
    assert "words" not in str(caught.value)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "there is no room on the disk for the model 'org/model' in .*; free some, or set HF_HOME"),
        (errno.EACCES, "cannot be kept in .*: no right to write there; set HF_HOME to a folder of your own"),
    ],
)
def test_disk(number: int, message: str, hosted: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk and a folder that cannot be written to are named, with the setting that helps."""
    from huggingface_hub import file_download

    def fail(*args: object, **settings: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(file_download, "http_get", fail)
    refused(message)


@pytest.mark.parametrize(
    "model",
    ["a/b/c", "org/", "org//model", "org/mo del", "org/model\n", "org/a--b", "org/a..b", "org/model.git", "org\0x/y",
     "http://host/model", "org/é", "org/" + "m" * 200, "m" * 5_000, "-org/model"],
)  # fmt: skip
def test_hostile_id(model: str, hub: Hub) -> None:
    """What is neither a folder nor an id is refused before anything is asked."""
    refused("is neither a folder nor the id of a model", model)
    assert hub.asked == []


@pytest.mark.parametrize(
    "model", ["../../etc/model", "./absent", "/absent/model", "~/absent-model", "C:\\absent", ".."]
)
def test_absent_folder(model: str, hub: Hub) -> None:
    """What looks like a path is never asked for on the Hub."""
    with pytest.raises(hfasr.BackendLoadError, match=r"the folder .* cannot be opened|holds no config.json"):
        fetch(model)
    assert hub.asked == []


def test_folder(folder: Path, unplug: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is used as it is, by any path, without a socket; it has no commit."""
    unplug()
    assert fetch(str(folder)) == Snapshot(folder, None, str(folder))
    monkeypatch.chdir(folder.parent)
    assert fetch("./model").config()["model_type"] == "wav2vec2"
    assert fetch("model").folder == Path("model")
    refused("is a folder, which has no revisions; leave revision out", "model", revision="main")


def test_folder_with_a_part_of_the_weights(folder: Path) -> None:
    """A folder that lacks a shard names it."""
    shard(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()
    refused("lacks a part of the weights \\(model-00002-of-00002.safetensors\\)", str(folder))


OTHER_LIBRARIES = [
    (("hyperparams.yaml", "config.json"), "is a SpeechBrain model"),
    (("meta.yaml", "README.md"), "is an ESPnet model"),
    (("parakeet.nemo",), "is a NeMo model"),
    (("model.bin", "config.json", "vocabulary.json"), r"is a CTranslate2 \(faster-whisper\) model"),
    (("onnx/encoder.onnx", "config.json"), "is an ONNX model"),
    (("adapter_config.json", "adapter_model.safetensors"), r"is an adapter \(PEFT\), not a whole model"),
    (("config.yaml", "pytorch_model.bin"), "is a model of another library"),
    (("ggml-tiny.bin",), "is a whisper.cpp model"),
    (("weights.npz", "config.json"), "is an MLX model"),
    (("model_index.json",), "is a Diffusers model"),
    (("flax_model.msgpack", "config.json"), "is a Flax model"),
    (("README.md",), "holds no config.json, so it is no model of transformers"),
    ((), "holds no config.json"),
    (("config.json",), "holds no weights"),
    (
        ("config.json", "pytorch_model.bin"),
        "are pickled, and loading a pickle can run any code; .*use_safetensors=False",
    ),
]


@pytest.mark.parametrize(("names", "message"), OTHER_LIBRARIES)
def test_other_libraries(names: tuple[str, ...], message: str, hub: Hub, tmp_path: Path) -> None:
    """A model of another library is named, before a byte of it is fetched."""
    hub.repositories[MODEL] = Repository(tmp_path / "other")
    for name in names:
        (tmp_path / "other" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "other" / name).write_text("{}", encoding="utf-8")
    refused(message)
    assert hub.downloads() == []


def test_marks_of_other_libraries_beside_our_weights() -> None:
    """A model of transformers may bring exports for others along."""
    names = [
        "config.json",
        "model.safetensors",
        "hyperparams.yaml",
        "model.bin",
        "onnx/model.onnx",
        "adapter_config.json",
    ]
    check_files(MODEL, names, use_safetensors=True)


def test_pickled_weights_on_request(hosted: Hub, folder: Path) -> None:
    """With use_safetensors=False pickled weights are fetched where there are no others, and only there."""
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    fetch(use_safetensors=False)
    assert "pytorch_model.bin" not in hosted.downloads()
    (folder / "model.safetensors").unlink()
    hosted.repositories[MODEL].branches["main"] = "b" * 40
    snapshot = fetch(use_safetensors=False)
    assert (snapshot.folder / "pytorch_model.bin").is_file()
    assert fetch(use_safetensors=False, download=False) == snapshot
    refused("is not on this machine", download=False)


def test_unfit_model_is_not_fetched(hosted: Hub) -> None:
    """What the config tells is looked at before the weights are fetched."""

    def check(config: Mapping[str, Any]) -> None:
        raise hfasr.BackendLoadError(f"a {config['model_type']} is not wanted")

    with pytest.raises(hfasr.BackendLoadError, match="a wav2vec2 is not wanted"):
        resolve(Settings(MODEL), download=True, check=check)
    assert hosted.downloads() == ["config.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", r"the config.json of .* cannot be read \(JSONDecodeError\)"),
        (b"\xff\xfe", r"cannot be read \(UnicodeDecodeError\)"),
        (b"[]", "is a list, not an object"),
        (b"[" * 100_000, "cannot be read"),
    ],
)
def test_damaged_config(content: bytes, message: str, folder: Path) -> None:
    """A config.json that is none is said to be damaged."""
    (folder / "config.json").write_bytes(content)
    refused(message, str(folder))


def test_further_file(hosted: Hub, folder: Path, unplug: Callable[[], None]) -> None:
    """A further file comes from the same commit, even when the branch has moved, and only once."""
    (folder / "adapter.fra.safetensors").write_bytes(b"french")
    (folder / "adapter.deu.safetensors").write_bytes(b"german")
    snapshot = fetch()
    assert "adapter.fra.safetensors" not in hosted.downloads()
    with pytest.raises(
        hfasr.BackendLoadError, match=r"^adapter\.fra\.safetensors of the model 'org/model' is not on this"
    ):
        snapshot.fetch("adapter.fra.safetensors", download=False)
    assert snapshot.fetch("adapter.fra.safetensors", download=True).read_bytes() == b"french"
    assert f"GET /{MODEL}/resolve/{'a' * 40}/adapter.fra.safetensors" in hosted.asked
    unplug()
    for download in (True, False):
        assert snapshot.fetch("adapter.fra.safetensors", download=download).read_bytes() == b"french"


@pytest.mark.parametrize("name", ["adapter.xyz.safetensors", "../secret", "a/b", "", "a\0b", "..", "x" * 300])
def test_no_such_further_file(name: str, hosted: Hub, folder: Path) -> None:
    """A file that the model does not have is a FileNotFoundError, whatever the name tries."""
    (folder.parent / "secret").touch()
    for snapshot in (fetch(), fetch(str(folder))):
        with pytest.raises(FileNotFoundError):
            snapshot.fetch(name, download=True)
        assert not any("secret" in line for line in hosted.asked)


def test_further_file_of_a_failing_hub(hosted: Hub) -> None:
    """A Hub that fails on a further file is told like one that fails on the model."""
    snapshot = fetch()
    hosted.status = 403
    with pytest.raises(hfasr.BackendLoadError, match=r"the token may not read the model 'org/model' \(403\)"):
        snapshot.fetch("adapter.fra.safetensors", download=True)


def test_environment(hosted: Hub, tmp_path: Path) -> None:
    """The Hub's own variables hold in a fresh process: HF_ENDPOINT and HF_HOME."""
    code = (
        "from hfasr.backends.transformers.fetch import resolve; "
        "from hfasr.backends.transformers.settings import Settings; "
        f"print(resolve(Settings({MODEL!r}), download=True).folder)"
    )
    environment = {**os.environ, "HF_ENDPOINT": hosted.url, "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, env=environment
    )
    assert Path(done.stdout.strip()).is_relative_to(tmp_path / "home")
