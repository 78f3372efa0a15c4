"""What goes to standard error."""

from __future__ import annotations

import json

import pytest

import hfasr
from hfasr.cli.report import RECORD_KEYS, Report, as_record, describe
from hfasr.types import Attempt

ATTEMPT = Attempt("hf-inference", 401, "AuthenticationError", "id-1", 0.0, 0.1, 0.0)


def test_no_token_names_both_ways_out() -> None:
    """Without a token the line names the login and the offline engine, whatever the server said."""
    line = describe(hfasr.AuthenticationError("no token", status_code=401))
    assert "hf auth login" in line
    assert "--backend pocketsphinx" in line
    assert "\n" not in line


def test_nothing_is_said_twice() -> None:
    """A message that names a way out already is not given it again."""
    line = describe(hfasr.AuthenticationError("no token: run `hf auth login` or use --backend x", status_code=401))
    assert line == "no token: run `hf auth login` or use --backend x"


def test_key_of_an_own_server_is_the_only_advice() -> None:
    """Whoever lacks the key of a server of their own is not sent to Hugging Face's login."""
    error = hfasr.AuthenticationError("it answered 401; pass its key as token=", status_code=401)
    assert describe(error) == "it answered 401; set HFASR_TOKEN to its key"


def test_system_errors_name_a_remedy() -> None:
    """What the system refuses is told without its number, with what to look at."""
    assert describe(OSError(28, "No space left on device", "/x")) == (
        "/x: No space left on device; look at the disk's space and the rights there, and try again"
    )


def test_name_is_not_said_twice(capsys: pytest.CaptureFixture[str]) -> None:
    """The line begins with the input's name, so the library's message need not."""
    Report(as_json=False).failure("a/nofile", hfasr.AudioNotFoundError("nofile cannot be opened; check the path"))
    Report(as_json=False).failure("no", hfasr.ServerError("no answer; try again", status_code=500))
    assert capsys.readouterr().err == (
        "hfasr: a/nofile: cannot be opened; check the path\nhfasr: no: no answer; try again\n"
    )


def test_closed_stderr_takes_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without standard error nothing is told, and nothing lands on standard output."""
    monkeypatch.setattr("sys.stderr", None)
    monkeypatch.setenv("HFASR_DEBUG", "1")
    report = Report(as_json=False)
    with report.progress("x.wav"):
        report.failure("x.wav", RuntimeError("boom"))
    assert capsys.readouterr().out == ""


def test_arguments_become_options() -> None:
    """What the library calls an argument, the command calls by its option."""
    error = hfasr.AudioURLError("it is private; pass the bytes, or set allow_private_urls=True or another base_url=")
    assert describe(error) == "it is private; name a file, or set --allow-private-urls or another --base-url"


def test_unexpected_error_says_how_to_report_it() -> None:
    """A bug is one line that says how to get the traceback."""
    assert describe(RuntimeError("a\nb")) == (
        "unexpected RuntimeError: a b; please report it, with the traceback that HFASR_DEBUG=1 prints"
    )


def test_failure_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A failure is one line with the input's name, even where the name has line breaks."""
    Report(as_json=False).failure("a\nb.wav", hfasr.AudioDecodeError("damaged"))
    assert capsys.readouterr().err == "hfasr: a b.wav: damaged\n"


def test_failure_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON a failure has the error's name, message, status and attempts, on one line of ASCII."""
    error = hfasr.AuthenticationError("no tøken", status_code=401, request_id="id-1", attempts=[ATTEMPT])
    Report(as_json=True).failure("x.wav", error)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isascii()
    record = json.loads(line)
    assert record["input"] == "x.wav"
    assert record["error"] == "AuthenticationError"
    assert record["message"].startswith("no tøken")
    assert (record["status_code"], record["request_id"]) == (401, "id-1")
    assert record["attempts"][0]["route"] == "hf-inference"


def test_every_route_is_in_the_record() -> None:
    """Where all routes failed, the record holds each one's error."""
    both = [hfasr.ServerError("down", status_code=500), hfasr.BackendError("broken")]
    record = as_record(hfasr.AllRoutesFailedError("all failed", errors=both))
    assert [(one["error"], one["status_code"]) for one in record["errors"]] == [
        ("ServerError", 500),
        ("BackendError", None),
    ]


def test_warning(capsys: pytest.CaptureFixture[str]) -> None:
    """A warning is marked as one, in both forms."""
    Report(as_json=False).warning("x.wav", "no language")
    Report(as_json=True).warning("x.wav", "no language")
    text, record = capsys.readouterr().err.splitlines()
    assert text == "hfasr: x.wav: warning: no language"
    assert json.loads(record) == {"input": "x.wav", "warning": "no language"}


def test_debug_adds_the_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """HFASR_DEBUG=1 prints where an error came from."""
    monkeypatch.setenv("HFASR_DEBUG", "1")
    Report(as_json=False).failure("x.wav", RuntimeError("boom"))
    assert capsys.readouterr().err.endswith("RuntimeError: boom\n")


def test_no_progress_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Progress is for terminals: a log file gets none of it."""
    with Report(as_json=False).progress("x.wav"):
        pass
    assert capsys.readouterr() == ("", "")


def test_progress_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, which input is at work stands on standard error, its brackets taken as they are."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with Report(as_json=False).progress("[a] x.wav"):
        pass
    captured = capsys.readouterr()
    assert "[a] x.wav" in captured.err
    assert captured.out == ""


def test_all_keys_of_records_are_known() -> None:
    """A record has no key that `RECORD_KEYS` lacks, so that none is taken for a manifest's."""
    assert set(as_record(hfasr.AllRoutesFailedError("all", errors=[hfasr.BackendError("no")]))) == RECORD_KEYS


def test_interrupted_batch_says_how_to_go_on() -> None:
    """What is done stands after the word."""
    assert describe(KeyboardInterrupt()) == "interrupted"
    assert describe(KeyboardInterrupt("3 files are done")) == "interrupted: 3 files are done"


@pytest.mark.parametrize(
    ("as_json", "terminal", "wanted", "shown"),
    [
        (False, True, None, True),
        (False, False, None, False),
        (False, False, True, True),
        (False, True, False, False),
        (True, True, True, False),
    ],
)
def test_bar(as_json: bool, terminal: bool, wanted: bool | None, shown: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar is for terminals unless it was asked for, and never among lines of JSON."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    assert Report(as_json=as_json).shows_progress(wanted) is shown


def test_json_has_no_summary(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines of JSON are told one by one, and nothing else is among them."""
    Report(as_json=True).summary("1 of 2 files failed")
    Report(as_json=False).summary("1 of 2 files failed")
    assert capsys.readouterr().err == "hfasr: 1 of 2 files failed\n"
