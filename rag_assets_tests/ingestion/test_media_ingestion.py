"""Recordings and pictures among other documents: sent, never sent twice, or left out."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from rag_assets.ingestion.ingestion import Ingestion
from rag_assets.ingestion.listings import hash_listings
from rag_assets.ingestion.media_models import MediaModels
from rag_assets.ingestion.source_reports import files_left_out
from rag_assets.parsers.image import ImageParser
from rag_assets.parsers.isolation import ParseLimits
from rag_assets.records import DocumentState
from rag_assets_tests.fake_openai import API_KEY, FakeOpenAI, Reply, Request, status
from rag_assets_tests.ingestion.fake_source import FakeSource, Reader
from rag_assets_tests.kept_workers import kept_workers
from rag_assets_tests.media_files import png, wav

AUDIO, VISION = "RAG_TRANSCRIPTION_MODEL", "RAG_VISION_MODEL"
BOTH = {AUDIO: "whisper-1", VISION: "gpt-4o-mini"}
TALK, CHART = wav(1), png(1)


class MediaReader(Reader):
    """Reads sources repeatedly. Production is always the last reading.

    Attributes:
        models: models in use. A test may change them between two readings.
    """

    def __init__(self, folder: Path, server: FakeOpenAI) -> None:
        super().__init__(folder)
        self.server = server
        self.models = dict(BOTH)
        self.asks = True
        self.limits = ParseLimits()
        self.served: dict[str, DocumentState] = {}

    def __call__(self, *sources: FakeSource) -> tuple[dict[str, DocumentState], Ingestion]:
        for source in sources:
            source.read_paths.clear()
        media = MediaModels(self.models, self.server.base_url, API_KEY, asks=self.asks, max_retries=0)
        ingestion = Ingestion(
            sources,
            self.ledger,
            self.texts,
            lambda: kept_workers(self.limits),
            media,
            served=lambda: self.served,
        )
        states = list(ingestion.documents())
        return {state.location.path: state for state in states}, ingestion

    def take_in(self, source: FakeSource) -> dict[str, DocumentState]:
        """Read all sources, and serve the usable documents."""
        documents, _ = self(source)
        self.served = {state.document_id: state for state in documents.values() if state.content_hash}
        return documents

    def text(self, state: DocumentState) -> str | None:
        return self.texts.get(str(state.content_hash))


@pytest.fixture
def read(tmp_path: Path, server: FakeOpenAI) -> Iterator[MediaReader]:
    server.holds = {TALK: "The warehouse moves in May.", CHART: "A chart: 4 pallets."}
    reader = MediaReader(tmp_path, server)
    yield reader
    reader.ledger.close()


@pytest.fixture
def source() -> FakeSource:
    return FakeSource(notes_md=b"# Notes", talk_wav=TALK, chart_png=CHART)


def test_recordings_and_pictures_become_text(read: MediaReader, source: FakeSource) -> None:
    documents, ingestion = read(source)
    texts = {path: read.text(state) for path, state in documents.items()}
    assert texts == {
        "notes.md": "# Notes",
        "talk.wav": "The warehouse moves in May.",
        "chart.png": "A chart: 4 pallets.",
    }
    [report] = ingestion.reports
    assert (report.num_listed, report.num_parsed, report.num_quarantined) == (3, 3, 0)
    assert ingestion.media.usage[AUDIO].num_documents == ingestion.media.usage[VISION].num_documents == 1


def test_the_same_bytes_are_never_sent_twice(
    read: MediaReader, source: FakeSource, server: FakeOpenAI
) -> None:
    source.put("copy.wav", TALK)
    source.put("old/talk", TALK)  # told by its bytes
    first = read.take_in(source)
    assert len(server.requests) == 2
    assert len({first[path].content_hash for path in ("talk.wav", "copy.wav", "old/talk")}) == 1
    assert read(source)[0] == first
    source.put("talk.wav", TALK)  # touched
    source.put("new/place.wav", source.files.pop("copy.wav"))  # moved
    second = read.take_in(source)
    assert second["new/place.wav"].content_hash == first["copy.wav"].content_hash
    assert len(server.requests) == 2


def test_the_same_bytes_are_sent_once_although_the_ledger_is_full(
    read: MediaReader, server: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A Redis without memory remembers nothing. The copies come one after the other.
    monkeypatch.setattr(read.ledger, "put_parses", lambda records: None)
    source = FakeSource(a_wav=TALK)
    for number in range(40):
        source.put(f"b{number:02}.md", f"# Page {number}".encode())
    source.put("c.wav", TALK)
    documents, _ = read(source)
    assert documents["a.wav"].content_hash == documents["c.wav"].content_hash
    assert len(server.requests) == 1


def test_answers_paid_for_before_a_kill_are_known_to_the_next_refresh(
    read: MediaReader, server: FakeOpenAI
) -> None:
    source = FakeSource()
    for number in range(3):
        source.put(f"{number}.wav", wav(number))
        server.holds[wav(number)] = f"Number {number}."
    media = MediaModels(BOTH, server.base_url, API_KEY)
    killed = Ingestion([source], read.ledger, read.texts, kept_workers, media).documents()
    next(killed)
    next(killed)
    deadline = time.monotonic() + 10
    while len(server.requests) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    del killed  # nothing more of it is written down
    server.requests.clear()
    documents, _ = read(source)
    assert [read.text(state) for state in documents.values()] == ["Number 0.", "Number 1.", "Number 2."]
    assert len(server.requests) <= 1


def test_paid_answers_are_recorded_even_behind_a_slow_document(read: MediaReader, server: FakeOpenAI) -> None:
    source, answers = FakeSource(), Event()

    def hold_back_the_first(request: Request, reply: Reply) -> None:
        if request.file == wav(0):
            answers.wait(30)

    for number in range(6):
        source.put(f"{number}.wav", wav(number))
        server.holds[wav(number)] = f"Number {number}."
    server.fail_next(hold_back_the_first, times=6)
    uris = [entry.uri for entry in source.list_entries()]
    reading = Thread(target=read, args=(source,), daemon=True)
    reading.start()
    deadline = time.monotonic() + 10
    while len(read.ledger.parses(uris)) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    known = read.ledger.parses(uris)
    answers.set()
    reading.join(30)
    assert known.keys() == set(uris[1:])
    assert read.ledger.parses(uris).keys() == set(uris)


@pytest.mark.parametrize("change", ["model", "endpoint", "prompt"])
def test_another_model_endpoint_or_prompt_sends_documents_again(
    read: MediaReader, source: FakeSource, server: FakeOpenAI, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    read.take_in(source)
    server.holds[CHART] = "Another description."
    if change == "prompt":
        monkeypatch.setattr(ImageParser, "version", "next")
    elif change == "model":
        read.models[VISION] = "tiny-llava"
    with FakeOpenAI() as other:
        if change == "endpoint":
            other.holds, read.server = server.holds, other
        documents, _ = read(source)
        assert read.text(documents["chart.png"]) == "Another description."
        num_talks = server.num_asked("audio/transcriptions") + other.num_asked("audio/transcriptions")
    assert num_talks == (2 if change == "endpoint" else 1)
    assert source.read_paths == (["chart.png", "talk.wav"] if change == "endpoint" else ["chart.png"])


def test_without_a_model_its_documents_are_left_out(
    read: MediaReader, source: FakeSource, server: FakeOpenAI, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    source.put("other.jpg", b"x")
    read.models = {AUDIO: "whisper-1"}
    documents, ingestion = read(source)
    assert documents.keys() == {"notes.md", "talk.wav"}
    assert source.read_paths == ["notes.md", "talk.wav"]
    assert files_left_out(ingestion.reports) == {VISION: 2}
    assert "2 files left out, because only a model can read them: set RAG_VISION_MODEL" in caplog.text
    read.models = dict(BOTH)
    assert read.text(read(source)[0]["chart.png"]) == "A chart: 4 pallets."


def test_a_misnamed_picture_names_the_variable_and_is_read_once_it_is_set(
    read: MediaReader,
) -> None:
    source = FakeSource(scan=CHART)
    read.models = {}
    for _ in range(2):
        documents, ingestion = read(source)
        assert documents["scan"].quarantine_reason == "model_unavailable"
        assert "set RAG_VISION_MODEL" in documents["scan"].quarantine_detail
        assert ingestion.reports[0].num_parsed == 0
    read.models = dict(BOTH)
    assert read(source)[0]["scan"].content_hash


def test_removing_the_variable_of_a_model_deletes_nothing(
    read: MediaReader, source: FakeSource, server: FakeOpenAI
) -> None:
    first = read.take_in(source)
    read.models = {}
    assert read(source)[0] == first
    assert source.read_paths == []
    # Nor when the ledger is lost: production still knows.
    read.flush_ledger()
    documents, ingestion = read(source)
    assert documents.keys() == first.keys()
    assert documents["talk.wav"].quarantine_reason == "model_unavailable"
    assert "set RAG_TRANSCRIPTION_MODEL" in documents["talk.wav"].quarantine_detail
    assert files_left_out(ingestion.reports) == {}
    assert len(server.requests) == 2


def test_a_document_changed_without_a_model_is_quarantined_and_sent_only_once(
    read: MediaReader, source: FakeSource, server: FakeOpenAI
) -> None:
    first = read.take_in(source)
    read.models = {}
    source.put("talk.wav", TALK)  # touched
    source.put("chart.png", png(2))
    server.holds[png(2)] = "Another chart."
    documents, _ = read(source)
    assert {path for path, state in documents.items() if state.quarantine_reason} == {"talk.wav", "chart.png"}
    read.models = dict(BOTH)
    documents, _ = read(source)
    assert documents["talk.wav"].content_hash == first["talk.wav"].content_hash
    assert read.text(documents["chart.png"]) == "Another chart."
    assert (server.num_asked("audio/transcriptions"), server.num_asked("chat/completions")) == (1, 2)


def test_an_endpoint_outage_affects_only_its_documents_until_it_is_back(
    read: MediaReader, server: FakeOpenAI
) -> None:
    source = FakeSource(notes_md=b"# Notes")
    for number in range(20):
        source.put(f"{number:02}.wav", wav(number))
        server.holds[wav(number)] = f"Number {number}."
    server.fail_next(status(503), times=1000)
    documents, ingestion = read(source)
    assert documents["notes.md"].content_hash
    assert ingestion.reports[0].num_quarantined == 20
    assert {state.quarantine_reason for state in documents.values()} == {"", "model_unavailable"}
    # Three in a row, and those that were under way by then.
    assert len(server.requests) <= 6
    server._faults.clear()
    assert not any(state.quarantine_reason for state in read(source)[0].values())


def test_a_document_unreadable_for_the_model_is_not_sent_again(read: MediaReader, server: FakeOpenAI) -> None:
    source = FakeSource(talk_wav=wav(5))  # of which the server knows nothing
    for _ in range(2):
        assert read(source)[0]["talk.wav"].quarantine_reason == "corrupt"
    assert [request.file for request in server.requests].count(wav(5)) == 1
    read.models[AUDIO] = "gpt-4o-transcribe"
    read(source)
    assert [request.file for request in server.requests].count(wav(5)) == 2


@pytest.mark.parametrize("change", ["model", "file"])
def test_a_reverted_file_is_not_sent_again(
    read: MediaReader, source: FakeSource, server: FakeOpenAI, change: str
) -> None:
    first, _ = read(source)
    server.holds |= {CHART: "What another model sees.", png(2): "Another chart."}
    if change == "model":
        read.models[VISION] = "tiny-llava"
    else:
        source.put("chart.png", png(2))
    assert read(source)[0]["chart.png"] != first["chart.png"]
    num_asked = len(server.requests)
    read.models = dict(BOTH)
    source.put("chart.png", CHART)
    assert read(source)[0]["chart.png"].content_hash == first["chart.png"].content_hash
    assert len(server.requests) == num_asked


def test_new_parsing_limits_do_not_send_a_silent_recording_again(
    read: MediaReader, server: FakeOpenAI
) -> None:
    source = FakeSource(silence_wav=wav(4))
    server.holds[wav(4)] = ""
    for limits in (ParseLimits(), ParseLimits(seconds=7, memory_bytes=900_000_000)):
        read.limits = limits
        assert read(source)[0]["silence.wav"].quarantine_reason == "empty"
    assert len(server.requests) == 1
    read.limits = ParseLimits(text_bytes=1_000_000)  # this one is for transcripts too
    read(source)
    assert len(server.requests) == 2


def test_a_dry_run_counts_documents_and_treats_served_ones_as_unchanged(
    read: MediaReader, source: FakeSource, server: FakeOpenAI
) -> None:
    first = read.take_in(source)
    source.put("talk.wav", wav(2))
    source.put("copy.wav", wav(2))
    source.put("new.wav", wav(3))
    read.asks = False
    documents, ingestion = read(source)
    assert documents == first
    usage = ingestion.media.usage
    assert (usage[AUDIO].num_documents, usage[VISION].num_documents) == (2, 0)
    assert usage[AUDIO].num_bytes == len(wav(2)) + len(wav(3))
    assert ingestion.reports[0].num_quarantined == 0
    assert len(server.requests) == 2


def test_a_dry_run_counts_only_documents_a_refresh_would_send(read: MediaReader, server: FakeOpenAI) -> None:
    source = FakeSource(
        empty_png=b"", words_mp3=b"words", large_png=CHART.ljust(ImageParser.max_bytes + 1, b"\0")
    )
    read.asks = False
    planned, ingestion = read(source)
    assert [usage.num_documents for usage in ingestion.media.usage.values()] == [0, 0]
    read.asks = True
    assert read(source)[0] == planned
    assert server.requests == []


@pytest.mark.parametrize("models", [{}, BOTH], ids=["without a model", "with models"])
def test_a_sensor_counts_the_same_files_as_a_refresh(
    read: MediaReader, source: FakeSource, models: dict[str, str]
) -> None:
    read.take_in(source)
    read.models = models
    reads: Callable[[str], bool] = MediaModels(models, "http://localhost/v1").reads
    _, ingestion = read(source)
    assert hash_listings([source], 10.0, reads)[0] == ingestion.listing_hashes
    source.put("another.png", png(9))
    changed = hash_listings([source], 10.0, reads)[0] != ingestion.listing_hashes
    assert changed is bool(models)
