"""`rag-assets search` for a person: what it shows, how wide, and from which generation."""

import pytest

from rag_assets.vector_stores.production_state import ProductionState
from rag_assets_tests.pipeline import THRESHOLD, Pipeline, question_about, text_about, words

LEAVE = f"""# Leave

{" ".join(words("leave", 60))}

## Parental leave

### How long it lasts in all the countries of the company, which is a heading longer than any line should be

Sabbaticals last thirty weeks. {" ".join(words("weeks", 20))}
"""
QUESTION = "how long do sabbaticals last?"


@pytest.fixture
def with_leave(promoted: Pipeline) -> Pipeline:
    promoted.configure(RAG_CHUNKER="section")
    promoted.write("hr/leave.md", LEAVE)
    promoted.refresh().checked()
    return promoted


def first_hit(output: str) -> list[str]:
    _, _, hits = output.partition("\n\n")
    return hits.split("\n\n")[0].splitlines()


def test_a_hit_has_title_path_headings_and_the_passage(with_leave: Pipeline) -> None:
    headings = with_leave.json("search", QUESTION, "--json")["hits"][0]["heading_path"]
    assert headings[:2] == ["Leave", "Parental leave"]
    hit = first_hit(with_leave.succeed("search", QUESTION))
    assert hit[0].startswith("1. Leave (")
    assert hit[1].startswith("   hr/leave.md, chunk ")
    said = " ".join(line.strip() for line in hit[2:])
    assert said.startswith(f"in {' > '.join(headings)}")
    assert "Sabbaticals last thirty weeks." in said


def test_in_a_pipe_lines_have_80_columns_and_no_codes(with_leave: Pipeline) -> None:
    output = with_leave.succeed("search", QUESTION)
    assert max(len(line) for line in output.splitlines()) in range(70, 81)
    assert "\x1b" not in output


def test_json_has_title_headings_and_generation(with_leave: Pipeline) -> None:
    answer = with_leave.json("search", QUESTION, "--json")
    assert (answer["generation"], answer["role"]) == (with_leave.production().production, "production")
    assert answer["hits"][0]["title"] == "Leave"
    assert answer["hits"][0]["heading_path"][:2] == ["Leave", "Parental leave"]


@pytest.fixture
def with_candidate(promoted: Pipeline) -> tuple[Pipeline, ProductionState, str]:
    """Production, the previous generation, and a kept candidate without the seventh document."""
    promoted.configure(RAG_KEEP_FAILED_CANDIDATE="true", RAG_EVAL_THRESHOLD="0.999")
    promoted.write("topic07.md", text_about("another seventh"))
    assert not promoted.refresh().success
    promoted.configure(RAG_EVAL_THRESHOLD=THRESHOLD)
    state = promoted.production()
    [candidate] = set(promoted.generations()) - state.kept
    return promoted, state, candidate


def test_a_kept_failed_candidate_answers_by_name_and_by_role(
    with_candidate: tuple[Pipeline, ProductionState, str],
) -> None:
    pipeline, state, candidate = with_candidate
    for name in (candidate, "candidate"):
        output = pipeline.succeed("search", question_about("another seventh"), "--generation", name)
        said = " ".join(output.split())
        assert said.startswith(f"generation {candidate}, a candidate rejected by the gate: Recall@5")
        assert "topic07.md" in "".join(first_hit(output))
    assert pipeline.production() == state


def test_production_and_the_previous_generation_answer_by_name_and_by_role(
    with_candidate: tuple[Pipeline, ProductionState, str],
) -> None:
    pipeline, state, _ = with_candidate
    for name, role in ((state.production, "production"), (state.previous, "previous")):
        assert name is not None
        for named in (name, role):
            answer = pipeline.json("search", question_about(7), "--generation", named, "--json")
            assert (answer["generation"], answer["role"]) == (name, role)
            assert answer["hits"][0]["locations"][0]["path"] == "topic07.md"
    unnamed = pipeline.succeed("search", question_about(7))
    assert " ".join(unnamed.split("\n\n")[0].split()) == f"generation {state.production}, in production"


def test_an_unknown_generation_is_an_error_with_the_existing_ones(
    with_candidate: tuple[Pipeline, ProductionState, str],
) -> None:
    pipeline, state, candidate = with_candidate
    code, output, errors = pipeline.command("search", "x", "--generation", "none")
    assert (code, output) == (1, "")
    assert "there is no generation 'none'. Existing: " in errors
    assert all(name in errors for name in (state.production, state.previous, candidate) if name)


def test_without_a_candidate_the_error_names_the_setting(promoted: Pipeline) -> None:
    _, _, errors = promoted.command("search", "x", "--generation", "candidate")
    assert "RAG_KEEP_FAILED_CANDIDATE=true keeps one that fails the gate. Existing: generation" in errors


def test_before_the_first_refresh_there_is_no_generation(empty: Pipeline) -> None:
    _, _, errors = empty.command("search", "x", "--generation", "candidate")
    assert "nothing is in production yet (knowledge base knowledge_base in " in errors
