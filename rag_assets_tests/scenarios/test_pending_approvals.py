"""`status` and `plan` show refusals that wait for an approval, and approvals that wait for a refresh."""

import pytest

from rag_assets_tests.pipeline import NUM_DOCUMENTS, Pipeline, text_about, token_in


@pytest.fixture
def refused(promoted: Pipeline) -> Pipeline:
    promoted.write_benchmark_for(range(8))
    promoted.remove(*(f"topic{number:02}.md" for number in range(8, NUM_DOCUMENTS)))
    assert "refused to delete" in promoted.refresh().message
    return promoted


def test_a_refusal_is_shown_with_its_command_until_it_is_approved(refused: Pipeline) -> None:
    [pending] = refused.status()["pending_approvals"]
    token = pending["token"]
    assert (pending["kind"], pending["is_approved"]) == ("deletion", False)
    waiting = f"the deletion of 12 of 20 documents (source filesystem), refused on {pending['refused_at']}: run `rag-assets approve {token}` and refresh"
    # The failure of the refresh says the same, until the next refresh begins.
    assert token in refused.succeed("status")
    assert "WAITS" not in refused.succeed("status")
    refused.unset("RAG_DOCUMENTS_DIR")
    refused.configure(RAG_DOCUMENTS_DIR=str(refused.home / "nowhere"))
    assert not refused.refresh().success
    assert f"WAITS          {waiting}" in refused.succeed("status").splitlines()
    refused.configure(RAG_DOCUMENTS_DIR=str(refused.documents))
    assert refused.succeed("plan").count(token) == 1, "the refusal itself"
    refused.succeed("approve", token, "--by", "ana")
    for command in ("status", "plan"):
        assert (
            "APPROVED       the deletion of 12 of 20 documents (source filesystem), by ana, for the next refresh"
            in (refused.succeed(command).splitlines())
        )
        assert "WAITS" not in refused.succeed(command)
    assert refused.json("plan", "--json")["pending_approvals"][0]["is_approved"] is True
    refused.refresh().checked()
    assert refused.status()["pending_approvals"] == []
    assert "APPROVED" not in refused.succeed("status")


def test_an_approved_refusal_asks_for_no_approval(refused: Pipeline) -> None:
    refused.succeed("approve", token_in(refused.succeed("status")))
    status = refused.succeed("status")
    assert "It is approved: run `rag-assets refresh`" in status
    assert "rag-assets approve" not in status
    assert "rag-assets approve" not in refused.command("status", "--nagios")[1]


def test_documents_kept_in_an_outage_are_shown_once(promoted: Pipeline) -> None:
    for number in range(11):
        promoted.write(f"hr/page{number:02}.md", text_about(f"page {number}"))
    promoted.refresh().checked()
    for number in range(11):
        promoted.remove(f"hr/page{number:02}.md")
    promoted.refresh().checked()
    status = promoted.succeed("status")
    token = token_in(status)
    assert status.count(token) == 1
    assert promoted.succeed("plan").count(token) == 1
    [pending] = promoted.status()["pending_approvals"]
    assert (pending["token"], pending["kind"]) == (token, "outage")


def test_a_plan_shows_no_approval_of_documents_that_have_returned(refused: Pipeline) -> None:
    refused.succeed("approve", token_in(refused.succeed("status")))
    assert "APPROVED" in refused.succeed("plan")
    for number in range(8, NUM_DOCUMENTS):
        refused.write(f"topic{number:02}.md", text_about(number))
    assert "APPROVED" not in refused.succeed("plan")
    assert refused.json("plan", "--json")["pending_approvals"] == []


def test_a_plan_shows_no_refusal_of_documents_that_have_returned(refused: Pipeline) -> None:
    for number in range(8, NUM_DOCUMENTS):
        refused.write(f"topic{number:02}.md", text_about(number))
    assert "approve" not in refused.succeed("plan")
    refused.refresh().checked()
    assert refused.status()["pending_approvals"] == []
