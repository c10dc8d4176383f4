from pathlib import Path

from rag_assets.fingerprint import short_hash
from rag_assets.inspection.dry_run import dry_run
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.base import ParseRecord
from rag_assets.settings import Settings, load_settings

PARSE = ParseRecord("file:///a.md", "1", "raw", "markdown", "1", "content", "")


def settings_in(folder: Path) -> Settings:
    return load_settings(documents_dir=folder / "documents", state_dir=folder / "state")


def test_writes_of_a_dry_run_are_visible_only_in_it(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with dry_run(settings) as knowledge_base:
        text = knowledge_base.text_store.put("a text")
        knowledge_base.ledger.put_parses([PARSE])
        knowledge_base.artifacts.prune()
        assert knowledge_base.text_store.get(text) == "a text"
        assert knowledge_base.ledger.parses([PARSE.source_uri]) == {PARSE.source_uri: PARSE}
        assert short_hash(knowledge_base.fingerprint())
    with dry_run(settings) as knowledge_base:
        assert not knowledge_base.text_store.has(text)
        assert knowledge_base.ledger.parses([PARSE.source_uri]) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_reads_the_state_of_the_knowledge_base(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    real = KnowledgeBase(settings)
    text = real.text_store.put("a text")
    real.ledger.put_parses([PARSE])
    real.ledger.approve("0" * 16)
    with dry_run(settings) as knowledge_base:  # while the other has its ledger open
        assert knowledge_base.text_store.get(text) == "a text"
        assert knowledge_base.ledger.parses([PARSE.source_uri]) == {PARSE.source_uri: PARSE}
        assert knowledge_base.approved_tokens() == {"0" * 16}
    real.close()
