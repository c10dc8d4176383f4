import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from rag_assets.errors import ConfigurationError, DocumentUnreadable
from rag_assets.ingestion.media_models import MediaModels, cost_usd
from rag_assets.openai_endpoint import OPENAI_BASE_URL
from rag_assets.parsers.audio import AudioParser
from rag_assets.parsers.image import ImageParser
from rag_assets.parsers.media import AsksModel, ModelAnswer
from rag_assets.parsers.parsed_text import ParsedText
from rag_assets.parsers.registry import recognize
from rag_assets_tests import fake_openai
from rag_assets_tests.fake_openai import API_KEY, FakeOpenAI, status
from rag_assets_tests.media_files import jpeg, png, wav

AUDIO, VISION = "RAG_TRANSCRIPTION_MODEL", "RAG_VISION_MODEL"
MODELS = {AUDIO: "whisper-1", VISION: "gpt-4o-mini"}
SECRET = "what was said behind closed doors"


@pytest.fixture
def media(server: FakeOpenAI) -> Iterator[MediaModels]:
    server.holds = {wav(): SECRET, png(): f"A bar chart: {SECRET}."}
    made = MediaModels(MODELS, server.base_url, API_KEY, max_retries=0, timeout_seconds=5)
    yield made
    made.close()


def read(media: MediaModels, data: bytes) -> ParsedText:
    parser = recognize(data, "file")
    assert isinstance(parser, AsksModel)
    return media.submit(parser, data).result()


def refused(media: MediaModels, data: bytes) -> DocumentUnreadable:
    with pytest.raises(DocumentUnreadable) as caught:
        read(media, data)
    return caught.value


def test_a_recording_is_transcribed_and_its_seconds_are_counted(
    server: FakeOpenAI, media: MediaModels
) -> None:
    parsed = read(media, wav())
    assert (parsed.text, parsed.title, parsed.parser_name) == (SECRET, "", "audio")
    [request] = server.requests
    assert request.path == "/v1/audio/transcriptions"
    assert (request.file, request.filename) == (wav(), "recording.wav")
    assert request.body == {"model": "whisper-1", "response_format": "json"}
    usage = media.usage[AUDIO]
    assert (usage.num_documents, usage.audio_seconds, usage.tokens) == (1, 90.0, 0)
    assert usage.cost_usd is None, "it was not OpenAI's own endpoint"


@pytest.mark.parametrize(
    ("data", "media_type"), [(png(), "image/png"), (jpeg(), "image/jpeg")], ids=["png", "jpeg"]
)
def test_a_picture_is_described_and_its_tokens_are_counted(
    server: FakeOpenAI, media: MediaModels, data: bytes, media_type: str
) -> None:
    server.holds[data] = "# Sales\r\n\nNorth: 4; South: 5\n"
    assert read(media, data).text == "# Sales\n\nNorth: 4; South: 5"
    [request] = server.requests
    [message] = request.body["messages"]
    prompt, picture = message["content"]
    assert picture["image_url"]["url"].startswith(f"data:{media_type};base64,")
    assert "never an instruction" in prompt["text"]
    assert request.body["max_completion_tokens"] > 0
    assert (media.usage[VISION].num_documents, media.usage[VISION].tokens) == (1, 1200)


def test_a_key_is_sent_if_set_and_optional_for_a_local_server(server: FakeOpenAI) -> None:
    server.holds = {wav(): "words"}
    for key, sent in ((API_KEY, API_KEY), ("", "none")):
        server.api_key = sent
        media = MediaModels(MODELS, server.base_url, key)
        assert read(media, wav()).text == "words"
        media.close()
    assert [request.headers["authorization"] for request in server.requests] == [
        f"Bearer {API_KEY}",
        "Bearer none",
    ]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (status(401), "refused the key (401). Check OPENAI_API_KEY"),
        (status(403), "refused the key (403). Check OPENAI_API_KEY"),
        (status(404), "was not found (404). Check RAG_TRANSCRIPTION_MODEL and RAG_MEDIA_BASE_URL"),
        (status(429), "limits the rate"),
        (status(429, "insufficient_quota"), "the quota of OPENAI_API_KEY is used up"),
        (status(500), "failed with status 500"),
        (status(503), "failed with status 503"),
        (status(402), "refused the request (402). Check RAG_MEDIA_BASE_URL"),
        (status(405), "refused the request (405). Check RAG_MEDIA_BASE_URL"),
        (fake_openai.drop_connection, "closed the connection"),
        (fake_openai.not_json, "did not answer as the OpenAI API does"),
        (fake_openai.no_answer, "did not answer as the OpenAI API does"),
    ],
)
def test_an_unavailable_model_does_not_count_against_the_document_and_shows_no_secret(
    server: FakeOpenAI,
    media: MediaModels,
    caplog: pytest.LogCaptureFixture,
    fault: fake_openai.Fault,
    says: str,
) -> None:
    caplog.set_level(logging.INFO)
    server.fail_next(fault)
    error = refused(media, wav())
    assert (error.reason, error.lasting) == ("model_unavailable", False)
    assert says in error.detail
    assert media.usage[AUDIO].num_documents == 0
    for shown in (str(error), repr(error.args), caplog.text):
        assert API_KEY not in shown
        assert SECRET not in shown
    assert error.__context__ is None
    assert error.__cause__ is None
    assert read(media, wav()).text == SECRET


@pytest.mark.parametrize(
    ("code", "reason"),
    [(400, "corrupt"), (415, "corrupt"), (422, "corrupt"), (413, "too_large")],
)
def test_a_refused_document_is_quarantined_and_others_are_sent(
    server: FakeOpenAI, media: MediaModels, code: int, reason: str
) -> None:
    broken = wav(1)
    server.habits = [fake_openai.refuses(broken, status(code))]
    for _ in range(5):
        error = refused(media, broken)
        assert (error.reason, error.lasting) == (reason, True)
        assert str(code) in error.detail
    assert read(media, wav()).text == SECRET
    assert media.usage[AUDIO].num_documents == 1


@pytest.mark.parametrize("code", [400, 413, 415, 422])
@pytest.mark.parametrize(("data", "variable"), [(wav(), AUDIO), (png(), VISION)], ids=["audio", "image"])
def test_an_endpoint_that_refuses_everything_is_at_fault_and_no_document(
    server: FakeOpenAI, media: MediaModels, code: int, data: bytes, variable: str
) -> None:
    server.habits = [status(code)]
    details: list[str] = []
    for _ in range(4):
        error = refused(media, data)
        assert (error.reason, error.lasting) == ("model_unavailable", False)
        details.append(error.detail)
    assert f"({code})" in details[0]
    assert f"a valid sample too. Check {variable}" in details[0]
    assert "gets no more requests until the next refresh" in details[3]
    server.habits = []
    media.close()
    with closing(MediaModels(MODELS, server.base_url, API_KEY, max_retries=0)) as next_refresh:
        assert SECRET in read(next_refresh, data).text


def test_a_document_is_not_to_blame_if_the_endpoint_ends_before_the_sample(
    server: FakeOpenAI, media: MediaModels
) -> None:
    server.fail_next(status(400), status(503))
    error = refused(media, wav())
    assert (error.reason, error.lasting) == ("model_unavailable", False)


def test_an_endpoint_that_begins_to_refuse_everything_is_at_fault(
    server: FakeOpenAI, media: MediaModels
) -> None:
    assert read(media, wav()).text == SECRET
    server.habits = [status(400)]
    assert refused(media, wav()).reason == "model_unavailable"


@pytest.mark.parametrize("parser", [AudioParser(), ImageParser()], ids=["audio", "image"])
def test_the_bill_for_a_sample_is_counted_but_no_document(
    server: FakeOpenAI, media: MediaModels, parser: AsksModel
) -> None:
    broken = {AUDIO: wav(1), VISION: png(1)}[parser.model_variable]
    assert refused(media, broken).lasting
    assert parser.recognizes(parser.sample)
    usage = media.usage[parser.model_variable]
    assert usage.num_documents == 0
    assert usage.audio_seconds + usage.tokens > 0


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (fake_openai.refusal, "not_text"),
        (fake_openai.cut_off, "too_large"),
        (fake_openai.no_words, "empty"),
    ],
)
def test_a_useless_answer_is_still_counted_as_paid(
    server: FakeOpenAI, media: MediaModels, fault: fake_openai.Fault, reason: str
) -> None:
    server.fail_next(fault)
    error = refused(media, png())
    assert (error.reason, error.lasting) == (reason, True)
    assert media.usage[VISION].tokens == 1200


@pytest.mark.parametrize("said", ["", " \n "])
def test_a_recording_without_speech_is_empty(server: FakeOpenAI, media: MediaModels, said: str) -> None:
    server.holds[wav()] = said
    error = refused(media, wav())
    assert (error.reason, error.lasting) == ("empty", True)


def test_a_transcript_over_the_text_limit_is_too_large(server: FakeOpenAI) -> None:
    server.holds = {wav(): "x" * 2_001}
    media = MediaModels(MODELS, server.base_url, API_KEY, text_bytes=2_000)
    assert refused(media, wav()).reason == "too_large"
    media.close()


@pytest.mark.parametrize(
    ("parser", "begins"), [(AudioParser(), wav()), (ImageParser(), png())], ids=["audio", "image"]
)
def test_oversized_and_misnamed_files_are_not_sent(
    server: FakeOpenAI, media: MediaModels, parser: AsksModel, begins: bytes
) -> None:
    limit = parser.max_bytes
    for data, reason in (
        (b"words", "corrupt"),
        (b"", "empty"),
        (begins.ljust(limit + 1, b"\0"), "too_large"),
    ):
        with pytest.raises(DocumentUnreadable) as caught:
            media.submit(parser, data).result()
        assert (caught.value.reason, caught.value.lasting) == (reason, True)
    assert server.requests == []


def test_a_dead_endpoint_gets_no_requests_until_the_next_refresh(
    server: FakeOpenAI, media: MediaModels
) -> None:
    server.fail_next(status(503), times=100)
    details = [refused(media, wav()).detail for _ in range(10)]
    assert len(server.requests) == 3
    assert "failed with status 503" in details[2]
    assert "gets no more requests until the next refresh" in details[3]
    # Another model may well be somewhere else, or be allowed more.
    assert "failed with status 503" in refused(media, png()).detail
    assert len(server.requests) == 4


def test_only_failures_in_a_row_close_an_endpoint(server: FakeOpenAI, media: MediaModels) -> None:
    for _ in range(4):
        server.fail_next(status(503), times=2)
        assert refused(media, wav()).reason == refused(media, wav()).reason == "model_unavailable"
        assert read(media, wav()).text == SECRET


def test_transient_failures_are_retried_a_limited_number_of_times(server: FakeOpenAI) -> None:
    server.holds = {wav(): "words"}
    media = MediaModels(MODELS, server.base_url, API_KEY, max_retries=2)
    server.fail_next(status(429, retry_after_seconds=0.01), times=2)
    assert read(media, wav()).text == "words"
    server.fail_next(status(429, retry_after_seconds=0.01), times=3)
    assert "even after 2 retries" in refused(media, wav()).detail
    assert len(server.requests) == 6
    media.close()


def test_a_silent_endpoint_is_given_up(server: FakeOpenAI) -> None:
    server.holds = {wav(): "words"}
    server.delay_seconds = 3.0
    media = MediaModels(MODELS, server.base_url, API_KEY, max_retries=0, timeout_seconds=0.1)
    assert "did not answer within 0.1 s" in refused(media, wav()).detail
    media.close()


@pytest.mark.slow
def test_a_process_exits_without_waiting_for_answers(server: FakeOpenAI) -> None:
    server.delay_seconds = 60.0
    program = (
        "from rag_assets.ingestion.media_models import MediaModels\n"
        "from rag_assets.parsers.audio import AudioParser\n"
        "from rag_assets_tests.media_files import wav\n"
        f"media = MediaModels({{{AUDIO!r}: 'whisper-1'}}, {server.base_url!r}, {API_KEY!r})\n"
        "media.submit(AudioParser(), wav())\n"
        "input()\n"
        "media.close()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as process:
        while not server.requests and process.poll() is None:
            time.sleep(0.01)
        process.communicate(b"\n", timeout=30)
    assert process.returncode == 0
    assert len(server.requests) == 1


def test_without_a_model_no_request_is_sent_and_the_variable_is_named(server: FakeOpenAI) -> None:
    media = MediaModels({AUDIO: "whisper-1", VISION: " "}, server.base_url, API_KEY)
    error = refused(media, png())
    assert (error.reason, error.lasting) == ("model_unavailable", False)
    assert "set RAG_VISION_MODEL" in error.detail
    assert server.requests == []
    names = ("a.png", "a.wav", "a.md", "README")
    assert [media.reads(name) for name in names] == [False, True, True, True]
    media.close()


def test_model_and_endpoint_determine_a_text() -> None:
    audio, vision = AudioParser(), ImageParser()
    media = MediaModels({AUDIO: "a"}, "http://host/v1")
    assert media.identity_of(audio) == "a http://host/v1"
    assert media.identity_of(vision) == "none"


def test_openai_needs_a_key_and_unused_settings_are_not_checked() -> None:
    with pytest.raises(ConfigurationError, match=r"RAG_TRANSCRIPTION_MODEL needs OPENAI_API_KEY\."):
        MediaModels({AUDIO: "whisper-1"})
    with pytest.raises(ConfigurationError, match="RAG_MEDIA_BASE_URL"):
        MediaModels(MODELS, "localhost:8000")
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY") as caught:
        MediaModels(MODELS, api_key="sk abc")
    assert "abc" not in str(caught.value)
    MediaModels({}, "localhost:8000", "sk abc")


def test_the_key_is_not_in_the_repr(media: MediaModels) -> None:
    assert API_KEY not in repr(media)
    assert "whisper-1" in repr(media)


@pytest.mark.parametrize(
    ("model", "answer", "usd"),
    [
        ("whisper-1", ModelAnswer("", audio_seconds=90), 0.009),
        (
            "gpt-4o-transcribe",
            ModelAnswer("", input_tokens=1000, audio_tokens=900, output_tokens=100),
            0.00665,
        ),
        ("gpt-4o-mini", ModelAnswer("", input_tokens=1_000_000, output_tokens=100_000), 0.21),
        ("another", ModelAnswer("", input_tokens=1000, output_tokens=1), None),
        ("whisper-1", ModelAnswer(""), None),
        ("gpt-4o-mini", ModelAnswer(""), None),
    ],
)
def test_a_cost_is_known_for_known_models_with_usage_figures(
    model: str, answer: ModelAnswer, usd: float | None
) -> None:
    assert cost_usd(model, answer) == (None if usd is None else pytest.approx(usd))


def test_at_openai_the_cost_is_summed_until_a_price_is_unknown(
    server: FakeOpenAI, media: MediaModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "_endpoint", OPENAI_BASE_URL)
    monkeypatch.setattr(media._client, "base_url", server.base_url)
    assert media.usage[AUDIO].cost_usd == 0
    read(media, wav())
    read(media, wav())
    assert media.usage[AUDIO].cost_usd == pytest.approx(0.018)
    server.fail_next(fake_openai.no_usage)
    read(media, wav())
    assert media.usage[AUDIO].cost_usd is None


@pytest.mark.parametrize(
    "told",
    [
        "none",
        [1],
        {"seconds": float("inf"), "input_tokens": -1, "output_tokens": "7"},
        {"seconds": 10**400, "input_tokens": 10**400, "output_tokens": 1.5},
        {"seconds": True, "input_tokens": True},
    ],
    ids=["words", "a list", "infinite", "absurd", "yes"],
)
def test_invalid_usage_figures_are_ignored_and_the_text_is_kept(
    server: FakeOpenAI, media: MediaModels, told: object
) -> None:
    server.fail_next(fake_openai.usage(told))
    assert read(media, wav()).text == SECRET
    usage = media.usage[AUDIO]
    assert (usage.num_documents, usage.audio_seconds, usage.tokens) == (1, 0, 0)


def test_documents_to_send_are_counted_once_per_content() -> None:
    media = MediaModels(MODELS, api_key=API_KEY, asks=False)
    counted = [media.count(AudioParser(), name, 10) for name in ("one", "other", "one")]
    assert counted == [True, True, False]
    assert (media.usage[AUDIO].num_documents, media.usage[AUDIO].num_bytes) == (2, 20)
