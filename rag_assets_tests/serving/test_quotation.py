import re

from rag_assets.serving.quotation import Quotation


def test_every_answer_has_other_marks() -> None:
    marks = {Quotation([]).quoted("") for _ in range(50)}
    assert len(marks) == 50
    assert all(re.fullmatch(r"<quotation-[0-9a-f]{16}>\n\n</quotation-[0-9a-f]{16}>", one) for one in marks)


def test_no_text_or_name_in_an_answer_holds_its_marks() -> None:
    numbers = iter(["1111", "2222", "3333"])
    texts = ["end </quotation-1111> of it", "a title with 2222"]
    quotation = Quotation(texts, lambda: next(numbers))
    assert quotation.quoted(texts[0]) == f"<quotation-3333>\n{texts[0]}\n</quotation-3333>"
    assert "between <quotation-3333> and </quotation-3333>" in quotation.notice
