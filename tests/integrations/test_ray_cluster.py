"""A real Ray of two workers on this machine: whole results, one type of column, a worker that is killed, ends."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hfasr.integrations.ray import Transcriber
from hfasr.testing import FakeASRServer, ToneSpeech
from tests.integrations.kit import flac_of, text_of, write_clips
from tests.tones import RATE, tone_audio

if TYPE_CHECKING:
    import hfasr

# Ray warns of settings of its own: `use_push_based_shuffle`, `use_polars`.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:`use_\\w+` is deprecated:DeprecationWarning")]

MEMORY_BYTES = 200 * 2**20
WORKERS = 2
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start a Ray of two workers, on loopback; after the last test no process of it is left."""
    ray = pytest.importorskip("ray", reason="the extra ray is not installed")
    pytest.importorskip("ray.data", reason="the extra ray is not installed")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):  # as in clean_environment, which the workers do not see
            if name.upper() in {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HFASR_ROUTER_URL"} or name.endswith("_proxy"):
                patch.delenv(name)
        patch.setenv("HF_TOKEN_PATH", os.devnull)
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else one is written into the home folder
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("OMP_NUM_THREADS", "1")
        # It would take the machine's own address for 127.0.0.1, and listen to everybody.
        patch.setattr("ray._private.services.resolve_ip_for_localhost", lambda host: host, raising=False)
        ray.init(
            num_cpus=WORKERS,
            include_dashboard=False,
            object_store_memory=MEMORY_BYTES,
            log_to_driver=False,
            logging_level="ERROR",
            _node_ip_address="127.0.0.1",
        )
        try:
            context = ray.data.DataContext.get_current()
            context.enable_progress_bars = False
            context.print_on_execution_start = False
            context.max_consecutive_actor_init_deaths = 0
            yield ray
        finally:
            ray.shutdown()
    until = time.monotonic() + 20
    while children() and time.monotonic() < until:
        time.sleep(0.1)
    assert children() == []


def children() -> list[str]:
    """Return the commands of this process's children that are Ray's and alive, where the system shows that."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
            state, parent = rest.split()[:2]
            if int(parent) == os.getpid() and state != "Z" and name.startswith(("ray", "gcs_server")):
                found.append(name)
    return found


def transcribed(
    ray: Any, rows: Any, cls: type = Transcriber, *, batch_size: int = 4, batch_format: str = "numpy", **settings: Any
) -> Any:
    """Give *rows* to two workers, and wait until all are done."""
    return rows.map_batches(
        cls,
        fn_constructor_kwargs=settings,
        compute=ray.data.ActorPoolStrategy(size=WORKERS, max_tasks_in_flight_per_actor=1),
        num_cpus=0.5,  # so that one is left for what reads
        batch_size=batch_size,
        batch_format=batch_format,
    ).materialize()


def noting(folder: Path, *, n_together: int = 1) -> type[Transcriber]:
    """Return the class, with a note ``{first id}-{pid}`` of each batch, begun when so many workers have one."""

    class Noting(Transcriber):  # in a function, so that workers need not find this module
        def __call__(self, batch: Any, /) -> Any:
            first = next(iter(batch["id"]))
            (folder / f"{first}-{os.getpid()}").touch()
            until = time.monotonic() + PATIENCE_S
            while len({note.name.partition("-")[2] for note in folder.iterdir()}) < n_together:
                if time.monotonic() > until:
                    raise TimeoutError
                time.sleep(0.01)
            return super().__call__(batch)

    folder.mkdir()
    return Noting


def workers_of(notes: Path, first: int) -> list[int]:
    """Return the processes that began the batch whose first row is *first*."""
    return [int(note.name.partition("-")[2]) for note in notes.glob(f"{first}-*")]


@pytest.mark.parametrize("batch_format", ["numpy", "pandas", "pyarrow"])
def test_all_rows_in_two_workers(batch_format: str, ray: Any, asr_server: FakeASRServer, tmp_path: Path) -> None:
    """Every row comes once with its text, from both workers, and what is written can be read as one table."""
    pq = pytest.importorskip("pyarrow.parquet")
    paths = write_clips(tmp_path / "clips", 24)
    Path(paths[13]).write_bytes(b"no audio, but text")
    rows = ray.data.from_items([{"id": n, "path": path} for n, path in enumerate(paths)], override_num_blocks=6)
    done = transcribed(
        ray, rows, noting(tmp_path / "notes", n_together=WORKERS), router_url=asr_server.router_url, duration_column="s",
        batch_format=batch_format,
    )  # fmt: skip
    done.write_parquet(str(tmp_path / "out"))
    found = {row["path"]: row for row in pq.read_table(tmp_path / "out").to_pylist()}
    assert done.count() == len(found) == 24
    failed = found.pop(paths[13])
    assert failed["text"] is None
    assert failed["error"].startswith("UnsupportedAudioError: ")
    assert {path: (row["text"], row["error"]) for path, row in found.items()} == {
        path: (text_of(number), None) for number, path in enumerate(paths) if number != 13
    }
    assert len({pid for first in range(24) for pid in workers_of(tmp_path / "notes", first)}) == WORKERS
    assert len(asr_server.requests) == 23


def test_files_that_ray_reads(ray: Any, asr_server: FakeASRServer, tmp_path: Path) -> None:
    """What ``read_binary_files`` gives is taken as it is, and the bytes need not be handed on."""
    paths = write_clips(tmp_path, 4)
    rows = ray.data.read_binary_files(paths, include_paths=True)
    done = transcribed(ray, rows, router_url=asr_server.router_url, drop_columns=["bytes"])
    assert sorted(done.columns()) == ["error", "path", "text"]
    assert sorted(row["text"] for row in done.take_all()) == sorted(text_of(number) for number in range(4))


def test_a_worker_is_killed(ray: Any, tmp_path: Path) -> None:
    """Killed in mid-run, a worker costs no row, and with a cache nothing is sent again but what was on its way."""
    n_rows, in_work = 24, 2
    notes = tmp_path / "notes"
    first_batch = {flac_of(n) for n in range(n_rows // WORKERS)}

    def is_half_done() -> bool:
        return sum(request.body in first_batch for request in server.requests) >= len(first_batch) // 2

    with FakeASRServer(delay=0.15) as server:
        killer = threading.Thread(target=lambda: kill(lambda: workers_of(notes, 0), when=is_half_done))
        rows = ray.data.from_items([{"id": n, "bytes": flac_of(n)} for n in range(n_rows)], override_num_blocks=WORKERS)
        cls = noting(notes)
        killer.start()
        done = transcribed(
            ray, rows, cls, batch_size=n_rows // WORKERS, router_url=server.router_url, max_concurrency=in_work,
            cache=str(tmp_path / "cache.sqlite"),
        )  # fmt: skip
        killer.join()
        sent = Counter(request.body for request in server.requests)
    got = sorted(done.take_all(), key=lambda row: row["id"])
    assert [(row["id"], row["text"], row["error"]) for row in got] == [(n, text_of(n), None) for n in range(n_rows)]
    assert len(workers_of(notes, 0)) == 2  # one came after the dead one
    assert set(sent) == {flac_of(n) for n in range(n_rows)}
    assert n_rows <= sent.total() <= n_rows + in_work


def kill(find: Callable[[], list[int]], *, when: Callable[[], bool]) -> None:
    """Kill the process that *find* gives, as soon as it is time."""
    until = time.monotonic() + PATIENCE_S
    while not when() and time.monotonic() < until:
        time.sleep(0.005)
    (pid,) = find()
    if sys.platform == "win32":
        pytest.skip("Windows has no such thing")
    os.kill(pid, signal.SIGKILL)


def test_a_refused_token_ends_the_job(ray: Any) -> None:
    """The whole job ends with the reason, after a request or two of each worker, not after a million rows."""
    with FakeASRServer(token="hf_another") as server:
        rows = ray.data.from_items([{"bytes": flac_of(n)} for n in range(64)], override_num_blocks=16)
        with pytest.raises(Exception, match=r"BatchAbortedError: .* every further item would fail alike: .*401"):
            transcribed(ray, rows, router_url=server.router_url, max_concurrency=1)
        assert len(server.requests) <= 4


def test_wrong_settings_end_the_job(ray: Any) -> None:
    """An engine that is not there is told at the start, by its message."""
    rows = ray.data.from_items([{"bytes": flac_of(0)}])
    with pytest.raises(Exception, match="no-such-engine"):
        transcribed(ray, rows, backend="no-such-engine")


def test_an_engine_of_ones_own(ray: Any) -> None:
    """A Backend object goes to the workers, and hears there."""

    class Hears:
        name, sampling_rate, max_duration_s = "hears", 16_000, None

        def transcribe(self, batch: Sequence[hfasr.Audio], options: hfasr.TranscribeOptions) -> list[hfasr.Transcript]:
            return [ToneSpeech().hear(audio, options) for audio in batch]

        def close(self) -> None: ...

    rows = ray.data.from_items([{"bytes": flac_of(n), "id": n} for n in range(8)], override_num_blocks=4)
    done = transcribed(ray, rows, backend=Hears())
    assert {row["id"]: row["text"] for row in done.take_all()} == {n: text_of(n) for n in range(8)}


def test_a_model_on_the_workers(ray: Any, tone_model: Path) -> None:
    """A model of transformers is loaded by each worker, and transcribes."""
    texts = ["bad cab fed", "face", "deaf", "a bee"]
    rows = ray.data.from_items(
        [{"audio": {"array": tone_audio(text), "sampling_rate": RATE}, "said": text} for text in texts],
        override_num_blocks=2,
    )
    done = transcribed(
        ray, rows, backend="transformers", model=str(tone_model), local_only=True, drop_columns=["audio"]
    )
    got = done.take_all()
    assert {row["said"]: row["text"] for row in got} == {text: text for text in texts}, got
