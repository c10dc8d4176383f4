"""One text that the embedding model refuses: its document is quarantined, everything else is refreshed."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from rag_assets_tests import compatible_servers as servers
from rag_assets_tests.fake_openai import API_KEY, FakeOpenAI
from rag_assets_tests.pipeline import Pipeline, assert_same_points, page, text_about, token_in

FORBIDDEN = "zzforbidden"


@pytest.fixture
def filtering() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as running:
        running.habits = [servers.without(FORBIDDEN)]
        yield running


@pytest.fixture
def pipeline(empty: Pipeline, filtering: FakeOpenAI) -> Pipeline:
    empty.configure(
        OPENAI_API_KEY=API_KEY,
        OPENAI_BASE_URL=filtering.base_url,
        RAG_EMBEDDING_MODEL="tiny-embedding",
        RAG_TOKENIZER="wordllama",
    )
    return empty


def forbidden(topic: object) -> str:
    return text_about(topic) + f"\nAnd then {FORBIDDEN} {topic}.\n"


def quarantine(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    found = json.loads(pipeline.succeed("quarantine", "--json"))["documents"]
    return {entry["document_id"]: entry for entry in found}


def test_a_new_document_is_quarantined_and_the_others_go_live(pipeline: Pipeline) -> None:
    pipeline.write("bad.md", forbidden("bad"))
    run = pipeline.refresh().checked()
    assert run.warnings.keys() == {"nothing_refused"}
    assert "filesystem:bad.md (refused_by_model)" in run.warnings["nothing_refused"]
    served = pipeline.served()
    assert "filesystem:bad.md" not in served
    assert len(served) == 20
    entry = quarantine(pipeline)["filesystem:bad.md"]
    assert entry["reason"] == "refused_by_model"
    assert entry["last_good_version_served"] is False
    assert FORBIDDEN not in pipeline.succeed("quarantine")
    [in_status] = pipeline.status()["last_refresh"]["quarantined"]
    assert (in_status["document_id"], in_status["reason"]) == ("filesystem:bad.md", "refused_by_model")
    assert pipeline.status()["last_refresh"]["changes"]["num_quarantined"] == 1
    assert "refused_by_model" in pipeline.succeed("trace", "bad.md")
    assert pipeline.problems_of_production() == ()


def test_the_last_good_version_stays_and_everything_else_is_refreshed(pipeline: Pipeline) -> None:
    pipeline.refresh().checked()
    before = pipeline.points()
    pipeline.write("topic03.md", forbidden("third"))
    pipeline.write("topic04.md", text_about("fourth"))
    pipeline.write("new.md", text_about("new"))
    pipeline.remove("topic05.md")
    (pipeline.documents / "topic06.md").rename(pipeline.documents / "moved.md")
    run = pipeline.refresh().checked()
    assert run.metadata["production_collection"]["outcome"] == "live"
    assert run.metadata["staging_collection"]["num_quarantined"] == 1
    served = pipeline.served()
    assert "filesystem:topic03.md" in served
    assert {"filesystem:new.md", "filesystem:moved.md"} <= served
    assert served.isdisjoint({"filesystem:topic05.md", "filesystem:topic06.md"})

    def of(points: dict[str, Any], name: str) -> dict[str, Any]:
        return {key: it for key, it in points.items() if it.payload["locations"][0]["filename"] == name}

    assert_same_points(of(pipeline.points(), "topic03.md"), of(before, "topic03.md"))
    assert quarantine(pipeline)["filesystem:topic03.md"]["last_good_version_served"] is True
    assert pipeline.problems_of_production() == ()

    pipeline.write("topic03.md", text_about("mended"))
    pipeline.refresh().checked()
    assert quarantine(pipeline) == {}
    assert of(pipeline.points(), "topic03.md").keys() != of(before, "topic03.md").keys()


def test_the_next_refresh_asks_once_more_and_changes_nothing(
    pipeline: Pipeline, filtering: FakeOpenAI
) -> None:
    pipeline.refresh().checked()
    pipeline.write("topic03.md", forbidden("third"))
    pipeline.write("bad.md", forbidden("bad"))
    pipeline.refresh().checked()
    asked = len(filtering.requests)
    run = pipeline.refresh().checked()
    assert run.metadata["staging_collection"]["written"] is False
    again = [text for request in filtering.requests[asked:] for text in request.texts]
    assert sum(FORBIDDEN in text for text in again) == 2
    assert set(quarantine(pipeline)) == {"filesystem:topic03.md", "filesystem:bad.md"}
    filtering.habits = []
    pipeline.refresh().checked()
    assert quarantine(pipeline) == {}
    assert "filesystem:bad.md" in pipeline.served()


def test_a_document_with_every_chunk_refused_stops_nothing(pipeline: Pipeline) -> None:
    pipeline.refresh().checked()
    pipeline.write("bad.md", "\n\n".join(f"{FORBIDDEN} {text_about(number)}" for number in range(3)))
    pipeline.remove("topic05.md")
    pipeline.refresh().checked()
    assert "filesystem:topic05.md" not in pipeline.served()


def test_an_endpoint_that_refuses_everything_is_at_fault(pipeline: Pipeline, filtering: FakeOpenAI) -> None:
    pipeline.refresh().checked()
    export = pipeline.export()
    pipeline.write("topic03.md", text_about("third"))
    filtering.habits = [servers.at_most(0, 400)]
    run = pipeline.refresh()
    assert "refused the request (400)" in run.message
    assert pipeline.export() == export
    assert quarantine(pipeline) == {}


def rebuilt(pipeline: Pipeline, chunk_size: str) -> None:
    """Refresh with another chunk size, and approve the rebuild: this model may cost something."""
    pipeline.configure(RAG_CHUNK_SIZE=chunk_size)
    pipeline.succeed("approve", token_in(pipeline.refresh().message))
    run = pipeline.refresh().checked()
    assert run.metadata["deduped_documents"]["full_rebuild"] is True
    assert run.metadata["production_collection"]["outcome"] == "live"


def test_a_rebuild_keeps_the_last_good_version_unless_the_model_refuses_that_too(
    pipeline: Pipeline, filtering: FakeOpenAI
) -> None:
    pipeline.write("topic03.md", text_about("third") + "\nzzlastgood\n")
    pipeline.refresh().checked()
    pipeline.write("topic03.md", forbidden("third"))
    pipeline.refresh().checked()
    rebuilt(pipeline, "48")
    texts = [it.payload["text"] for it in pipeline.points().values()]
    assert any("zzlastgood" in text for text in texts)
    assert not any(FORBIDDEN in text for text in texts)
    assert quarantine(pipeline)["filesystem:topic03.md"]["last_good_version_served"] is True

    filtering.habits.append(servers.without("zzlastgood"))
    rebuilt(pipeline, "32")
    assert len(pipeline.served()) == 19
    assert quarantine(pipeline)["filesystem:topic03.md"]["last_good_version_served"] is False
    assert pipeline.problems_of_production() == ()
    run = pipeline.refresh().checked()
    assert run.metadata["staging_collection"]["written"] is False


def test_a_near_duplicate_takes_the_place_of_a_refused_document(pipeline: Pipeline) -> None:
    pipeline.configure(RAG_NEAR_DUPLICATES="keep_one")
    pipeline.write("oldest.md", page() + f" {FORBIDDEN}")
    pipeline.write("a.md", page(50))
    pipeline.write("b.md", page(120))
    names = {f"filesystem:{name}" for name in ("oldest.md", "a.md", "b.md")}
    pipeline.refresh().checked()
    [kept] = pipeline.served() & names
    assert kept in ("filesystem:a.md", "filesystem:b.md")
    assert quarantine(pipeline)["filesystem:oldest.md"]["reason"] == "refused_by_model"
    assert pipeline.problems_of_production() == ()
    assert pipeline.refresh().checked().metadata["staging_collection"]["written"] is False

    # The other way round: a refused edit of the kept document.
    pipeline.write(kept.removeprefix("filesystem:"), page(50) + f" {FORBIDDEN}")
    pipeline.refresh().checked()
    assert pipeline.served() & names == {kept}
    assert quarantine(pipeline)[kept]["last_good_version_served"] is True
    pipeline.write("oldest.md", page())
    pipeline.refresh().checked()
    assert len(pipeline.served() & names) == 1
    assert pipeline.problems_of_production() == ()


def test_a_limit_below_the_chunk_size_is_no_fault_of_the_documents(
    pipeline: Pipeline, filtering: FakeOpenAI
) -> None:
    filtering.habits = [
        servers.no_longer_than(100, 400, "maximum context length is 20 tokens", servers.vllm_error)
    ]
    run = pipeline.refresh()
    assert "RAG_CHUNK_SIZE" in run.message
    assert quarantine(pipeline) == {}


@pytest.mark.parametrize("name", ["TEI", "vLLM", "Ollama", "llama.cpp", "LM Studio"])
def test_a_text_too_long_for_a_compatible_server_is_named_as_such(
    pipeline: Pipeline, filtering: FakeOpenAI, name: str
) -> None:
    filtering.habits = list(servers.SERVERS[name])
    # Chunks of as many tokens are longer here than those of invented words.
    pipeline.write("long.md", "information " * 400)
    pipeline.configure(RAG_CHUNK_SIZE="128", RAG_CHUNK_OVERLAP="0")
    pipeline.refresh().checked()
    entry = quarantine(pipeline)["filesystem:long.md"]
    assert re.search(r"longer than .* accepts", entry["detail"])
    assert len(pipeline.served()) == 20


def test_a_benchmark_question_that_is_too_long_is_named(pipeline: Pipeline, filtering: FakeOpenAI) -> None:
    filtering.habits = [
        servers.no_longer_than(2000, 400, "maximum context length is 512 tokens", servers.vllm_error)
    ]
    pipeline.write_benchmark({"query": "why so long? " * 200, "expected_docs": ["topic01.md"]})
    run = pipeline.refresh()
    assert run.gate_passed is False
    assert re.search(r"question 22 of .*benchmark.jsonl.* too long", run.gate_description)
    assert "why so long? why so long? " in run.gate_description
    assert len(run.gate_description) < 1500


def test_a_question_of_a_search_that_is_too_long_is_an_error_that_says_so(
    pipeline: Pipeline, filtering: FakeOpenAI
) -> None:
    pipeline.refresh().checked()
    filtering.habits = [
        servers.no_longer_than(2000, 400, "maximum context length is 512 tokens", servers.vllm_error)
    ]
    code, _, said = pipeline.command("search", "why so long? " * 200)
    assert code == 1
    assert "the question is too long for the model tiny-embedding" in said
    assert "RAG_CHUNK_SIZE" not in said
