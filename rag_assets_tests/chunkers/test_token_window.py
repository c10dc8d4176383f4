from itertools import pairwise

import pytest

from rag_assets.chunkers.token_window import _SENTENCE_END, TokenWindowChunker
from rag_assets.text.normalization import normalize_text
from rag_assets.text.tokenizers import Tokenizer
from rag_assets_tests.chunkers.contract import CharacterTokenizer, assert_contract
from rag_assets_tests.chunkers.prose import paragraphs


def test_windows_stay_large_when_a_text_has_many_more_tokens_than_planned():
    tokenizer = CharacterTokenizer(until=500)
    text = "x" * 600
    for overlap in (0, 16):
        spans = TokenWindowChunker(tokenizer, 32, overlap).chunk([text])[0]
        assert_contract(tokenizer, text, spans, 32, overlap)
        assert len(spans) < 2 * 600 / 16


def test_a_run_of_dots_is_scanned_once():
    assert _SENTENCE_END.search("." * 30_000) is None
    assert _SENTENCE_END.search("?" + '"' * 30_000) is None


@pytest.mark.parametrize(("size", "overlap"), [(512, 50), (128, 32), (256, 0)])
def test_prose_has_the_requested_overlap_and_fills_its_windows(tokenizer: Tokenizer, size: int, overlap: int):
    text = normalize_text(paragraphs(8_000))
    spans = TokenWindowChunker(tokenizer, size, overlap).chunk([text])[0]
    assert_contract(tokenizer, text, spans, size, overlap)
    shared = tokenizer.count([text[after.start : before.end] for before, after in pairwise(spans)])
    assert all(overlap - 15 <= tokens <= overlap for tokens in shared)
    assert all(span.token_count >= size * 0.7 for span in spans[:-1])


def test_prose_is_cut_after_paragraphs_and_begins_at_words(tokenizer: Tokenizer):
    text = paragraphs(6_000, sentences=3)
    spans = TokenWindowChunker(tokenizer, 512, 50).chunk([text])[0]
    assert all(text[: span.end].endswith("\n\n") for span in spans[:-1])
    assert all(text[span.start - 1].isspace() and not text[span.start].isspace() for span in spans[1:])


def only_break(tokenizer: Tokenizer, text: str, size: int = 64) -> tuple[str, str]:
    """Return the text before and behind the end of the first chunk."""
    first = TokenWindowChunker(tokenizer, size, 0).chunk([text])[0][0]
    return text[: first.end], text[first.end :]


def test_the_end_prefers_headings_then_paragraphs_sentences_lines_and_words(tokenizer: Tokenizer):
    # All within the last quarter of 64 tokens: the filler has about 52.
    filling = "word " * 51
    for wanted, rest in [
        ("heading", "word\n# H\nend. word\n\nword"),
        ("paragraph", "x\n\ny. z\nw "),
        ("sentence", "x. y\nz w "),
        ("line", "x\ny w "),
    ]:
        text = filling + rest + " word" * 60
        before, after = only_break(tokenizer, text)
        expected = {"heading": "# H", "paragraph": "y. z", "sentence": "y\nz", "line": "y w"}[wanted]
        assert after.startswith(expected), (wanted, before[-20:], after[:20])
    before, after = only_break(tokenizer, "word " * 200)
    assert before.endswith("word ")
    assert after.startswith("word")


def test_a_pause_before_the_last_quarter_is_not_used(tokenizer: Tokenizer):
    before, _ = only_break(tokenizer, "word " * 30 + "\n\n# H\n\n" + "word " * 200)
    assert before.endswith("word ")
    assert tokenizer.count([before])[0] > 60


def test_japanese_and_chinese_sentences_are_kept_whole(tokenizer: Tokenizer):
    japanese = "契約の更新は満了日の前に通知します。「本当ですか？」と聞かれました！"
    chinese = "员工每年享有十天带薪年假。请在离职前一个月提交申请。"
    for unit in (japanese, chinese):
        text = unit * 40
        spans = TokenWindowChunker(tokenizer, 160, 20).chunk([text])[0]
        assert_contract(tokenizer, text, spans, 160, 20)
        assert all(text[span.end - 1] in "。！」" for span in spans)
        shared = tokenizer.count([text[after.start : before.end] for before, after in pairwise(spans)])
        assert min(shared) >= 12
