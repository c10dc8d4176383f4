"""Documents below an outage stay, those of other parts are refreshed, and a token admits the loss."""

from rag_assets.changes.change_set import DocumentChange, decide_changes
from rag_assets.changes.outages import FailedParts, examined
from rag_assets.records import DocumentState, Outage
from rag_assets_tests.documents import corpus, document

ALL = frozenset({"filesystem"})
FOLDER = Outage("filesystem", "hr/", "Permission denied", below="hr/")
PAGES = Outage(
    "filesystem", "the site", "all pages are one page", paths=frozenset({"hr/a", "new"}), withholds=True
)
PRODUCTION = corpus({"hr/a": "1", "hr/b": "2", "it/c": "3"})


def kinds(now: list[DocumentState], *outages: Outage) -> dict[str, str]:
    changes: list[DocumentChange] = decide_changes(PRODUCTION, now, ALL, FailedParts(outages))
    return {change.location.path: change.change.value for change in changes}


def tokens(outage: Outage, production: list[DocumentState], *listed: str) -> tuple[int, str]:
    served = {state.document_id: state for state in production}
    found = examined(outage, served, {f"filesystem:{path}" for path in listed}, frozenset())
    assert found is not None
    return found.num_kept, found.token


def test_documents_below_an_outage_are_kept_and_others_deleted() -> None:
    assert kinds([document("hr/a", "edited")], FOLDER) == {
        "hr/a": "updated",
        "hr/b": "unchanged",
        "it/c": "deleted",
    }


def test_an_outage_concerns_only_its_own_source() -> None:
    elsewhere = Outage("s3", "hr/", "Permission denied", below="hr/")
    assert set(kinds([], elsewhere).values()) == {"deleted"}


def test_the_answers_of_named_documents_are_not_believed() -> None:
    now = [document("hr/a", "login"), document("hr/b", "2"), document("it/c", "3"), document("new", "login")]
    assert kinds(now, PAGES) == {"hr/a": "unchanged", "hr/b": "unchanged", "it/c": "unchanged"}


def test_a_token_is_for_the_kept_documents_in_their_version() -> None:
    num_kept, token = tokens(FOLDER, PRODUCTION, "it/c")
    assert (num_kept, len(token)) == (2, 16)
    assert tokens(FOLDER, [*PRODUCTION, document("it/d", "4")], "it/d") == (2, token)
    assert tokens(FOLDER, corpus({"hr/a": "1", "hr/b": "2 edited"}))[1] != token
    assert tokens(FOLDER, PRODUCTION, "hr/a")[1] != token
    assert tokens(PAGES, PRODUCTION, "hr/a")[0] == 1


def test_missing_documents_are_kept_by_their_paths_and_listed_ones_refreshed() -> None:
    missing = Outage("filesystem", "a sitemap", "it is empty", paths=frozenset({"hr/a", "hr/b"}))
    assert kinds([document("hr/a", "edited"), document("it/c", "3")], missing) == {
        "hr/a": "updated",
        "hr/b": "unchanged",
        "it/c": "unchanged",
    }
    assert tokens(missing, PRODUCTION, "hr/a")[0] == 1


def test_a_quiet_outage_needs_a_document_of_its_paths() -> None:
    served = {state.document_id: state for state in PRODUCTION}
    quiet = Outage("filesystem", "a", "b", below="", paths=frozenset({"hr/a", "gone"}), is_quiet=True)
    found = examined(quiet, served, frozenset(), frozenset())
    assert found is not None
    assert found.num_kept == 3
    assert examined(quiet, served, {"filesystem:hr/a"}, frozenset()) is None


def test_an_outage_that_keeps_nothing_has_no_token() -> None:
    assert tokens(FOLDER, PRODUCTION, "hr/a", "hr/b") == (0, "")
