"""One bad value or script costs only itself."""

from rag_assets.parsers import parse_document
from rag_assets.parsers.front_matter import front_matter_metadata

PAGE = (
    "<html><head><title>T</title>{head}</head><body><p>Text of a page that is long enough.</p></body></html>"
)


def meta_of(head: str) -> tuple[dict[str, object], tuple[str, ...]]:
    found = parse_document(PAGE.format(head=head).encode(), "page.html").metadata
    return dict(found), found.left_out


def test_a_date_as_jekyll_writes_it_costs_no_other_key() -> None:
    found = front_matter_metadata("date: 2024-01-05 10:00:00 +0200\nyear: 2024\nb: !!timestamp foo\n")
    assert dict(found) == {"date": "2024-01-05T08:00:00Z", "year": 2024, "b": "foo"}


def test_a_broken_date_in_front_matter_is_counted() -> None:
    found = front_matter_metadata("date: 2024-02-30\nyear: 2024\n")
    assert (dict(found), found.left_out) == ({"year": 2024}, ("broken date: date",))


def test_names_of_meta_tags_keep_their_capitals_for_the_recognition_of_words() -> None:
    found, left_out = meta_of(
        '<meta name="docType" content="guide"><meta name="accessToken" content="abc123def">'
        '<meta name="KEYWORDS" content="a, b">'
    )
    assert found == {"doc_type": "guide", "keywords": ("a", "b")}
    assert left_out == ("secret: access_token",)


def script(text: str) -> str:
    return f'<script type="application/ld+json">{text}</script>'


def test_a_broken_script_costs_no_other_script() -> None:
    good = script('{"@type": "Article", "datePublished": "2024-01-05"}')
    for head in (good + script("{"), script("{") + good):
        found, left_out = meta_of(head)
        assert found == {"date_published": "2024-01-05T00:00:00Z"}
        assert left_out == ("not readable: JSON-LD",)


def test_a_review_on_a_page_says_nothing_of_the_page() -> None:
    found, _ = meta_of(
        script(
            '[{"@type": "Review", "datePublished": "2001-01-01"},'
            ' {"@type": ["Article"], "datePublished": "2024-01-05"}]'
        )
    )
    assert found == {"date_published": "2024-01-05T00:00:00Z"}
