"""A document that misuses its parser harms only itself."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from rag_assets.document_metadata.normalization import normalized
from rag_assets.errors import DocumentUnreadable, ParserUnavailable
from rag_assets.parsers import worker
from rag_assets.parsers.base import Parser
from rag_assets.parsers.isolation import ParseLimits, ParseWorkers
from rag_assets.parsers.parsed_text import ParsedText
from rag_assets_tests.parsers import misbehaving
from rag_assets_tests.parsers.misbehaving import Obedient

LIMITS = ParseLimits(seconds=1, memory_bytes=400_000_000, text_bytes=5_000_000)


@pytest.fixture
def workers() -> Iterator[ParseWorkers]:
    workers = ParseWorkers(LIMITS, num_workers=1)
    yield workers
    workers.close()


def parse(workers: ParseWorkers, parser: Parser, data: bytes = b"text") -> ParsedText:
    return workers.submit(parser, data, "a.txt").result(timeout=120)


def process_of(parsed: ParsedText) -> int:
    return int(parsed.text.rpartition(" ")[2])


def test_documents_are_parsed_in_one_other_process(workers: ParseWorkers) -> None:
    first, second = parse(workers, Obedient(), b"one"), parse(workers, Obedient(), b"two")
    assert first.text.startswith("one in a.txt by ")
    assert (first.title, first.parser_name, first.parser_version) == ("A title", "Obedient", "1")
    assert process_of(first) == process_of(second) != os.getpid()


def test_a_parsing_process_starts_without_heavy_packages() -> None:
    code = f"import sys, {worker.__name__}; print({{'numpy', 'pydantic', 'dagster', 'httpx2'}} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parser", "reason", "said"),
    [
        (misbehaving.Busy(), "too_slow", "more than 1 s"),
        (misbehaving.Asleep(), "too_slow", "more than 1 s"),
        (misbehaving.Greedy(), "too_large", "memory"),
        (misbehaving.Crashing(), "crashed", "SIGSEGV"),
        (misbehaving.Exiting(), "crashed", "status 0"),
        (misbehaving.Endless(), "too_large", "11 MB of text; the limit is 5 MB"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_document_over_a_limit_is_refused_and_the_next_is_parsed(
    workers: ParseWorkers, parser: Parser, reason: str, said: str
) -> None:
    with pytest.raises(DocumentUnreadable, match=said) as caught:
        parse(workers, parser)
    assert caught.value.reason == reason
    assert parse(workers, Obedient(), b"next").text.startswith("next in")


def test_output_of_a_library_is_not_an_answer(
    workers: ParseWorkers, capfd: pytest.CaptureFixture[str]
) -> None:
    assert parse(workers, misbehaving.Talking()).text == "the true text"
    assert capfd.readouterr() == ("", "")


def test_a_parser_sees_no_secret_and_no_file_of_ours(
    workers: ParseWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("RAG_STATE_DIR", "/srv/state")
    text = parse(workers, misbehaving.Curious()).text
    assert "OPENAI" not in text
    assert "RAG_" not in text
    (descriptors,) = [line for line in text.splitlines() if line.startswith("descriptors")]
    # The three standard descriptors, requests, answers, and the descriptor of the listing itself.
    assert len(descriptors.split()) - 1 <= 6
    assert "folder: /" in text.splitlines()


@pytest.mark.slow
def test_documents_larger_than_a_pipe_go_both_ways(workers: ParseWorkers) -> None:
    data = b"0123456789 " * 400_000
    assert parse(workers, Obedient(), data).text.startswith(data.decode().strip()[:100])
    assert len(parse(workers, Obedient(), data).text) > len(data)


def test_each_worker_parses_one_document_at_a_time() -> None:
    workers = ParseWorkers(LIMITS, num_workers=2)
    try:
        hanging = workers.submit(misbehaving.Asleep(), b"text", "a.txt")
        assert parse(workers, Obedient(), b"beside").text.startswith("beside")
        assert not hanging.done()
    finally:
        workers.close()


@pytest.mark.slow
def test_each_document_has_its_own_time_limit(workers: ParseWorkers) -> None:
    """Processor time adds up over the life of a process. The limit holds for each document."""
    processes = {process_of(parse(workers, _Working())) for _ in range(4)}
    assert len(processes) == 1


class _Working(Obedient):
    """Takes six tenths of the limit."""

    def parse(self, data: bytes, filename: str):  # type: ignore[no-untyped-def]
        until = time.process_time() + 0.6
        while time.process_time() < until:
            pass
        return super().parse(data, filename)


def test_closing_ends_running_work() -> None:
    workers = ParseWorkers(LIMITS, num_workers=1)
    parsed = parse(workers, Obedient())
    hanging = workers.submit(misbehaving.Asleep(), b"text", "a.txt")
    waiting = workers.submit(Obedient(), b"text", "a.txt")
    workers.close()
    assert hanging.done()
    assert waiting.done()
    with pytest.raises(ProcessLookupError):
        os.kill(process_of(parsed), 0)


def test_a_worker_ends_with_its_parent(workers: ParseWorkers) -> None:
    """A killed parent closes nothing itself: the kernel closes the pipes."""
    process = process_of(parse(workers, Obedient()))
    worker = workers._all[0]
    worker._close_pipes()
    assert worker._process.wait(30) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_a_worker_that_does_not_start_is_no_fault_of_a_document(
    workers: ParseWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ParserUnavailable, match="does not start"):
        parse(workers, Obedient())


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer",
    [
        b"[" * 200_000 + b"\n",
        b'{"num_bytes": 0, "title": ["x"]}\n',
        b'{"num_bytes": 0, "title": "\\ud800"}\n',
        b'{"num_bytes": 0, "reason": "odd", "detail": ""}\n',
        b"[]\n",
        b"no JSON\n",
        b'{"num_bytes": "many"}\n',
        b'{"num_bytes": 1}\n\xff',
        b"{}\n",
        b"x" * 2_000_000,
    ],
)
def test_a_malformed_answer_harms_only_its_document(workers: ParseWorkers, answer: bytes) -> None:
    with pytest.raises(DocumentUnreadable, match="crashed"):
        parse(workers, misbehaving.Forging(), answer)
    assert parse(workers, Obedient(), b"next").text.startswith("next in")


def test_a_kill_by_the_system_does_not_mark_the_document(workers: ParseWorkers) -> None:
    with pytest.raises(DocumentUnreadable) as caught:
        parse(workers, misbehaving.Killed())
    assert caught.value.reason == "crashed"
    assert not caught.value.lasting
    with pytest.raises(DocumentUnreadable) as caught:
        parse(workers, misbehaving.Crashing())
    assert caught.value.lasting


@pytest.mark.slow
def test_a_document_is_tried_again_in_a_new_process(workers: ParseWorkers) -> None:
    """The second document fails in a used process, but not in a new one."""
    parse(workers, Obedient())
    assert parse(workers, misbehaving.SecondFails()).text == "fine in a new process"
    with pytest.raises(DocumentUnreadable):
        parse(workers, misbehaving.Crashing())


def test_metadata_leave_the_process_in_their_normal_form(workers: ParseWorkers) -> None:
    data = json.dumps({"Doc Type": "memo", "year": 2024.0, "password": "x", "tags": ["a", 3]}).encode()
    said = parse(workers, misbehaving.Describing(), data).metadata
    assert dict(said) == {"doc_type": "memo", "year": 2024, "tags": ("a", "3")}
    assert said.left_out == ("secret: password",)


@pytest.mark.parametrize(
    "metadata", [b"{}", b'{"x": "' + b"y" * 5000 + b'"}', b'{"a": {"b": {"c": {"d": 1}}}}', b'{"a": NaN}']
)
def test_an_answer_with_forged_metadata_is_bounded(workers: ParseWorkers, metadata: bytes) -> None:
    forged = b'{"title": "t", "metadata": ' + metadata + b', "left_out": [], "num_bytes": 4}\ntext'
    parsed = parse(workers, misbehaving.Forging(), forged)
    assert parsed.metadata == normalized(dict(parsed.metadata))


@pytest.mark.parametrize("metadata", [b'[["a", 1]]', b"7", b"null", b'"text"'])
def test_an_answer_without_metadata_is_none(workers: ParseWorkers, metadata: bytes) -> None:
    forged = b'{"title": "t", "metadata": ' + metadata + b', "left_out": [7], "num_bytes": 4}\ntext'
    with pytest.raises(DocumentUnreadable, match="ended the process"):
        parse(workers, misbehaving.Forging(), forged)
