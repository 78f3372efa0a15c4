"""One client for many threads, and for processes that are forked from its own or spawned by it."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hfasr import APIConnectionError, ASRClient, BackendError, Chunking, HfasrError, RetryPolicy
from hfasr.testing import FakeASRServer, FakeBackend, replies
from tests.conftest import clip
from tests.core.test_transport import wait_for

WORDS = ["red", "boat", "green", "river", "sun", "moon", "lake", "stone"]
N_THREADS = 32

forks = pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")


class Crowd:
    """Threads that begin together and all do the same."""

    def __init__(self, work: Callable[[int], object]) -> None:
        self._work = work
        self._gate = threading.Barrier(N_THREADS)
        self.errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(n,), name=f"crowd-{n}") for n in range(N_THREADS)]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        try:
            self._gate.wait(30)
            self._work(number)
        except BaseException as error:  # noqa: BLE001  # looked at by the test
            self.errors.append(error)

    def join(self) -> None:
        """Wait for all."""
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()


@pytest.fixture(scope="module")
def spoken() -> dict[str, bytes]:
    """Return clips by what they say."""
    texts = [f"{first} {second}" for first, second in itertools.pairwise(WORDS)]
    return {text: clip(text, format="FLAC") for text in texts}


def use_in_some_way(asr: ASRClient, rng: random.Random, spoken: dict[str, bytes]) -> None:
    """Make a call, or a batch, or a stream, with settings at random; what is heard must be right."""
    text, other = rng.sample(sorted(spoken), 2)
    kind = rng.randrange(6)
    if kind == 0:
        assert asr.transcribe(spoken[text]).text == text
    elif kind == 1:
        transcript = asr.transcribe(spoken[text], return_timestamps="word", deadline=50)
        assert [word.word.strip() for word in transcript.words] == text.split()
    elif kind == 2:
        changed = asr.with_options(deadline=50, upload="wav", chunking=Chunking(max_concurrency=rng.randint(1, 4)))
        assert changed.transcribe(spoken[text]).text == text
        changed.close()  # which leaves what it shares open
    elif kind == 3:
        heard = asr.transcribe_many([spoken[text], spoken[other]], max_concurrency=2)
        assert [item.transcript.text if item.transcript else item.error for item in heard] == [text, other]
    elif kind == 4:
        here = asr.with_options(backend=FakeBackend(None))
        assert here.transcribe(spoken[text]).text == text
    else:
        with asr.transcribe_stream(spoken[text]) as stream:
            assert " ".join(segment.text.strip() for segment in stream) == text


def test_many_threads_share_a_client(asr_server: FakeASRServer, spoken: dict[str, bytes]) -> None:
    """32 threads call one client in every way at the same time, and each hears its own words."""
    with ASRClient(router_url=asr_server.router_url, token="x") as asr:

        def work(number: int) -> None:
            rng = random.Random(number)
            for _ in range(4):
                use_in_some_way(asr, rng, spoken)

        crowd = Crowd(work)
        crowd.join()
        assert crowd.errors == []
    wait_for(lambda: asr_server.connections.open == 0)


def test_two_servers_at_the_same_time(asr_server: FakeASRServer, wav: bytes) -> None:
    """A call that ends while another one has the only connection to another server goes well, and so does that."""
    with FakeASRServer() as other, ASRClient(router_url=asr_server.router_url, token="x") as asr:
        elsewhere = asr.with_options(router_url=other.router_url, token="x")
        for _ in range(3):
            assert asr.transcribe(wav).text == elsewhere.transcribe(wav).text
            asr_server.script(replies.Normal(delay=0.3))
            n_before = len(asr_server.requests)
            texts: list[str] = []
            thread = threading.Thread(target=lambda texts=texts: texts.append(asr.transcribe(wav).text))
            thread.start()
            wait_for(lambda n=n_before: len(asr_server.requests) > n)  # type: ignore[misc]  # as above
            texts.append(elsewhere.transcribe(wav).text)
            thread.join()
            assert texts == ["red boat green"] * 2
        assert (asr_server.connections.accepted, other.connections.accepted) == (1, 1)


def test_closing_while_threads_call(asr_server: FakeASRServer, spoken: dict[str, bytes]) -> None:
    """A client that is closed while 32 threads call it ends them with errors that say so, and leaves nothing open."""
    for seed in range(3):
        asr = ASRClient(router_url=asr_server.router_url, token="x", retry=RetryPolicy(max_attempts=1))
        n_done = [0]

        def work(number: int, asr: ASRClient = asr, seed: int = seed, n_done: list[int] = n_done) -> None:
            rng = random.Random(100 * seed + number)
            while True:
                use_in_some_way(asr, rng, spoken)
                n_done[0] += 1

        crowd = Crowd(work)
        wait_for(lambda n_done=n_done: n_done[0] >= 10, 30)  # type: ignore[misc]  # mypy cannot infer it
        closers = [threading.Thread(target=asr.close) for _ in range(3)]
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join()
        crowd.join()
        assert len(crowd.errors) == N_THREADS
        odd = [error for error in crowd.errors if not _tells_of_closing(error)]
        assert odd == []
        wait_for(lambda: asr_server.connections.open == 0)
        wait_for(lambda: not [t for t in threading.enumerate() if t.name.startswith("hfasr-")])


def _tells_of_closing(error: BaseException) -> bool:
    if isinstance(error, RuntimeError | BackendError) and "closed" in str(error):
        return True
    # What was on the wire then was cut off. A batch that was under way has that as its item's error.
    if isinstance(error, AssertionError):
        return "APIConnectionError" in str(error) or "APIResponseError" in str(error)
    return isinstance(error, APIConnectionError | HfasrError)


HEAD = """
import asyncio, contextlib, gc, multiprocessing, os, signal, sys, threading, time, traceback
from pathlib import Path
import anyio
from hfasr import ASRClient, AsyncASRClient, RetryPolicy
from hfasr.testing import FakeBackend

URL, FOLDER = sys.argv[1], Path(sys.argv[2])
WAV = (FOLDER / "clip.wav").read_bytes()
SAID = "red boat green"

def fork(work):
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.alarm(30)  # ends it where it waits for ever
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

def join(*pids):
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert codes == [0] * len(pids), codes

def heard(asr, audio=WAV, **options):
    text = asr.transcribe(audio, **options).text
    assert text == SAID, text

async def heard_async(asr):
    text = (await asr.transcribe(WAV)).text
    assert text == SAID, text

def sockets():
    links = []
    for number in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd") else []:
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"/proc/self/fd/{number}"))
    return sum(link.startswith("socket:") for link in links)
"""


def run_program(program: str, url: str, folder: Path, wav: bytes, **environment: str) -> str:
    """Run *program* in a process of its own, in which every warning is an error; return what it prints."""
    (folder / "clip.wav").write_bytes(wav)
    file = folder / "program.py"
    file.write_text(HEAD + textwrap.dedent(program), encoding="utf-8")
    # That threads are about when a process forks is what is tested; Python 3.12 warns of it.
    warnings = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]
    done = subprocess.run(
        [sys.executable, *warnings, str(file), url, str(folder)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@forks
def test_forked_with_open_connections(asr_server: FakeASRServer, tmp_path: Path, wav: bytes) -> None:
    """Each process has connections of its own: a child opens new ones, and the parent goes on with the old."""
    program = """
    asr = ASRClient(router_url=URL, token="x")
    heard(asr)
    inherited = sockets()

    def child():
        assert sockets() in (0, inherited - 1), sockets()  # 0: this system does not tell
        heard(asr)
        heard(asr.with_options(deadline=20))
        asr.close()

    join(fork(child), fork(child))
    heard(asr)
    asr.close()
    """
    run_program(program, asr_server.url, tmp_path, wav)
    assert asr_server.connections.accepted == 3
    assert len(asr_server.requests) == 6
    wait_for(lambda: asr_server.connections.open == 0)


@forks
def test_a_child_holds_no_connection_open(asr_server: FakeASRServer, tmp_path: Path, wav: bytes) -> None:
    """A connection that the parent closes is closed, also while a child lives that has never used its client."""
    program = """
    ready, go_on = os.pipe(), os.pipe()
    asr = ASRClient(router_url=URL, token="x")
    heard(asr)

    def child():
        os.write(ready[1], b"x")
        os.read(go_on[0], 1)

    pid = fork(child)
    os.read(ready[0], 1)
    asr.close()
    print("closed", flush=True)
    deadline = time.monotonic() + 10
    while (FOLDER / "seen").exists() is False and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (FOLDER / "seen").exists()
    os.write(go_on[1], b"x")
    join(pid)
    """

    def watch() -> None:
        wait_for(lambda: asr_server.connections.accepted == 1, 60)
        wait_for(lambda: asr_server.connections.open == 0, 60)
        (tmp_path / "seen").touch()

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        run_program(program, asr_server.url, tmp_path, wav)
    finally:
        watching.join()


@forks
@pytest.mark.parametrize(
    ("backend", "where"),
    [
        ("asyncio", "between loops"),
        ("trio", "between loops"),
        ("asyncio", "beside the loop"),
        ("trio", "beside the loop"),
        ("asyncio", "within the loop"),  # trio itself cannot begin in a child of its own task
    ],
)
def test_async_client_forked(backend: str, where: str, asr_server: FakeASRServer, tmp_path: Path, wav: bytes) -> None:
    """A child may use an async client in an event loop of its own, and the parent's loop goes on unharmed."""
    program = f"""
    asr, backend, where = AsyncASRClient(router_url=URL, token="x"), {backend!r}, {where!r}

    async def twice():
        await heard_async(asr)
        gc.collect()
        await heard_async(asr)
        await asr.aclose()

    def child():
        if where == "within the loop":
            asyncio.run(twice())
        else:
            anyio.run(twice, backend=backend)

    async def parent(started=None, forked=None):
        await heard_async(asr)
        if where == "within the loop":
            join(fork(child))
        if started is not None:
            started.set()
            while not forked.is_set():
                await anyio.sleep(0.01)
        await heard_async(asr)
        await asr.aclose()

    if where == "between loops":
        anyio.run(heard_async, asr, backend=backend)
        gc.collect()
        join(fork(child))
        anyio.run(parent, backend=backend)
    elif where == "within the loop":
        anyio.run(parent, backend=backend)
    else:
        started, forked = threading.Event(), threading.Event()
        thread = threading.Thread(target=lambda: anyio.run(parent, started, forked, backend=backend))
        thread.start()
        started.wait()
        join(fork(child))
        forked.set()
        thread.join()
    """
    if where == "between loops":
        # Connections that end with their loop are no fork's matter: those warnings are not looked at here.
        program = "import warnings\nwarnings.simplefilter('ignore', ResourceWarning)\n" + textwrap.dedent(program)
    run_program(program, asr_server.url, tmp_path, wav)
    wait_for(lambda: asr_server.connections.open == 0)


@forks
def test_forked_under_tls(tmp_path: Path, wav: bytes) -> None:
    """What a child does leaves the parent's TLS connections as they were, in both colours."""
    import ssl

    import trustme

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    program = """
    asr, other = ASRClient(router_url=URL, token="x"), AsyncASRClient(router_url=URL, token="x")

    async def parent():
        await heard_async(other)
        heard(asr)

        def child():
            heard(asr)
            asyncio.run(heard_async(other))
            gc.collect()

        join(fork(child))
        heard(asr)
        await heard_async(other)
        await other.aclose()
        asr.close()

    asyncio.run(parent())
    """
    with FakeASRServer(ssl_context=context) as server:
        run_program(program, server.url, tmp_path, wav, SSL_CERT_FILE=str(tmp_path / "ca.pem"))
        assert server.connections.accepted == 4


@forks
def test_forked_while_every_lock_is_held(asr_server: FakeASRServer, tmp_path: Path, wav: bytes) -> None:
    """No lock that another thread holds while a process forks stops the child."""
    program = """
    import _thread
    from hfasr.backends._leases import lease

    KINDS = (_thread.LockType, type(threading.RLock()), threading.Condition)

    def is_ours(one):
        return getattr(type(one), "__module__", "").startswith("hfasr")

    def parts(one):
        try:
            yield from vars(one).values()
        except TypeError:
            pass
        for kind in type(one).__mro__:
            for name in getattr(kind, "__slots__", ()):
                if hasattr(one, name):
                    yield getattr(one, name)

    def locks():
        found = {}
        modules = [vars(m).values() for name, m in list(sys.modules.items()) if name.startswith("hfasr") and m]
        seen = [parts(one) for one in gc.get_objects() if is_ours(one) and not isinstance(one, type)]
        for values in [*modules, *seen]:
            for value in list(values):
                if isinstance(value, KINDS):
                    found[id(value)] = value
        return list(found.values())

    class Loaded(FakeBackend):
        def __init__(self, model=None):
            super().__init__(None)

    leased = lease("key", "leased", Loaded)  # as an engine that is found by its name
    asr = ASRClient(router_url=URL, token="x", fallback=leased)
    here = ASRClient(backend=leased)
    heard(asr)
    heard(here)
    held, go_on = threading.Event(), threading.Event()
    n_held = []

    def hold():
        every = locks()
        for one in every:
            one.acquire()
        n_held.append(len(every))
        held.set()
        go_on.wait()
        for one in every:
            one.release()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()

    def child():
        heard(asr)
        heard(here)
        assert lease("key", "leased", Loaded) is not None
        new = lease("other", "leased", Loaded)
        new.close()
        items = list(asr.transcribe_many([WAV, WAV]))
        assert [item.transcript.text for item in items] == [SAID, SAID]
        asr.close()
        here.close()
        leased.close()

    try:
        join(fork(child))
    finally:
        go_on.set()
    thread.join()
    heard(asr)
    heard(here)
    asr.close()
    print(n_held[0])
    """
    assert int(run_program(program, asr_server.url, tmp_path, wav)) >= 10


@forks
def test_forked_while_a_batch_runs(asr_server: FakeASRServer, tmp_path: Path, wav: bytes) -> None:
    """A batch belongs to the process that began it, which keeps its journal's lock, whatever a child does."""
    program = """
    from hfasr import JournalError

    asr = ASRClient(router_url=URL, token="x")
    journal = FOLDER / "journal.jsonl"
    batch = asr.transcribe_many([WAV + bytes(n) for n in range(40)], max_concurrency=4, journal=journal,
                                cache=FOLDER / "cache.sqlite")
    first = next(batch)

    def child():
        global batch
        heard(asr)
        try:
            next(batch)
        except RuntimeError as error:
            assert "belongs to the process that began it" in str(error), error
        else:
            raise AssertionError("the child went on with its parent's batch")
        batch.close()
        batch = None
        gc.collect()
        try:
            list(asr.transcribe_many([WAV], journal=journal))
        except JournalError as error:
            assert "in use" in str(error), error
        else:
            raise AssertionError("the child took the journal away from its parent")

    children = [fork(child) for _ in range(3)]
    join(*children)
    texts = [item.transcript.text for item in (first, *batch)]
    assert texts == [SAID] * 40, texts
    asr.close()
    join(fork(lambda: list(ASRClient(backend=FakeBackend("x")).transcribe_many([WAV], journal=journal))))  # it is free
    """
    run_program(program, asr_server.url, tmp_path, wav)


@forks
def test_forked_while_an_engine_runs(asr_server: FakeASRServer, tmp_path: Path, wav: bytes) -> None:
    """A child waits for no run of its parent's: neither for one in an engine, nor for a probe of a route."""
    program = """
    class Slow(FakeBackend):
        def transcribe(self, batch, options):
            if not go_on.is_set():
                running.set()
                go_on.wait()
            return super().transcribe(batch, options)

    running, go_on = threading.Event(), threading.Event()
    engine = Slow(None)
    asr = ASRClient(backend=engine)
    thread = threading.Thread(target=heard, args=(asr,))
    thread.start()
    running.wait()

    def child():
        go_on.set()
        heard(asr)

    join(fork(child))
    assert thread.is_alive()
    go_on.set()
    thread.join()
    """
    run_program(program, asr_server.url, tmp_path, wav)


@forks
def test_server_that_forks_its_workers(asr_server: FakeASRServer, tmp_path: Path, wav: bytes) -> None:
    """A client that was made and used before a server forks its workers serves all of them, with their threads."""
    program = """
    asr = ASRClient(router_url=URL, token="x", fallback=FakeBackend(None))
    asr.wait_until_ready(timeout=20)
    heard(asr)

    def worker():
        errors = []

        def serve():
            try:
                for _ in range(5):
                    heard(asr, deadline=25)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=serve) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == [], errors
        asr.close()

    join(*[fork(worker) for _ in range(4)])
    heard(asr)
    asr.close()
    """
    run_program(program, asr_server.url, tmp_path, wav)
    assert len(asr_server.requests) == 3 + 4 * 3 * 5
    wait_for(lambda: asr_server.connections.open == 0)


@pytest.mark.parametrize("method", [pytest.param("fork", marks=forks), "spawn"])
def test_pool_of_processes(method: str, asr_server: FakeASRServer, tmp_path: Path, wav: bytes) -> None:
    """A client may be given to the processes of `multiprocessing`, forked or spawned: it goes there without its token."""
    program = f"""
    def work(asr):
        assert asr._settings["token"] is None
        with asr.with_options(token="x") as own:
            text = own.transcribe(WAV).text
        asr.close()
        return text

    if __name__ == "__main__":
        asr = ASRClient(router_url=URL, token="x")
        heard(asr)
        with multiprocessing.get_context({method!r}).Pool(2) as pool:
            assert pool.map(work, [asr] * 4) == [SAID] * 4
        heard(asr)
        asr.close()
    """
    run_program(program, asr_server.url, tmp_path, wav)
    assert len(asr_server.requests) == 6
