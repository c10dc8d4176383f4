"""Word documents (.docx): mammoth converts them to HTML, and resiliparse converts the HTML to text.

Here belong the corrections before, between and after the two. The result is the text of Word with all changes accepted.
Nothing is fetched, no picture is unpacked.
"""

import re
from importlib.metadata import version

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers.html import HEADINGS, marked_text
from rag_assets.parsers.html_tables import label_tables
from rag_assets.parsers.layout import one_line, without_marks
from rag_assets.parsers.office_properties import office_properties
from rag_assets.parsers.old_office import refuse_ole
from rag_assets.parsers.zip_container import CORE_PROPERTIES, ZipContainer, holds_office_part
from rag_assets.records import ParsedDocument

MAX_XML_BYTES = 64 * 1024 * 1024
"""Unpacked size of the XML parts, together. Pictures do not count."""
MAX_XML_NODES = 1_000_000
"""Elements and attributes: about a thousand pages. mammoth (1.13.0) takes some 1 kB and 0.1 ms for each."""

# Simple fields and phonetic guides: mammoth skips them with their text, but reads smart tags.
_SKIPPED_WRAPPER = re.compile(rb"(?<=[</])w:(?:fldSimple|rubyBase|ruby)(?=[\s>])")
# Headings are one level below the title. Style names are English in every Word, in any case.
_STYLE_MAP = "\n".join(
    (
        "p[style-name='Title'] => h1.title:fresh",
        *(f"p[style-name='Heading {level}'] => h{min(level + 1, 6)}:fresh" for level in range(1, 10)),
        "p[style-name^='TOC '] => !",
        "r[style-name='Placeholder Text'] => !",
    )
)


class DocxParser:
    """Title: from the properties, else the first paragraph of style Title, else the first heading."""

    name = "docx"
    suffixes: tuple[str, ...] = (".docx",)

    def __init__(self) -> None:
        self.version = f"2/{version('mammoth')}/{version('resiliparse')}"

    def recognizes(self, data: bytes) -> bool:
        """See `RecognizesContent`."""
        return holds_office_part(data, "word/")

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        import mammoth
        from resiliparse.parse.html import HTMLTree

        refuse_ole(data, filename)
        container = ZipContainer(data)
        names = container.xml_names
        container.check_xml(names, max_bytes=MAX_XML_BYTES, max_nodes=MAX_XML_NODES)
        checked = container.edited_copy(names, lambda _, xml: _SKIPPED_WRAPPER.sub(b"w:smartTag", xml))
        try:
            html: str = mammoth.convert_to_html(
                checked,
                style_map=_STYLE_MAP,
                convert_image=_no_image,
                include_embedded_style_map=False,
                external_file_access=False,
            ).value
        except OSError:  # no disk is involved: mammoth found no main part
            raise DocumentUnreadable("corrupt", "It is a ZIP archive, but not a Word document.") from None
        tree = HTMLTree.parse(
            html.replace("\u2011", "-")
        )  # otherwise a search for ISO-9001 would not find it
        document, body = tree.document, tree.body
        if document is None or body is None:
            return ParsedDocument(text="")
        for arrow in body.query_selector_all("a[href^='#footnote-ref-'], a[href^='#endnote-ref-']").values():
            arrow.remove()
        label_tables(document, body)
        for paragraph in body.query_selector_all("p").values():
            if (text := paragraph.inner_text) != without_marks(text):
                paragraph.text_content = without_marks(text)
        titles = [container.title_in(CORE_PROPERTIES)]
        for selector in ("h1.title", HEADINGS):
            titles += [heading.inner_text for heading in body.query_selector_all(selector).values()]
        title = next(filter(None, map(one_line, titles)), "")
        metadata = office_properties(container)
        return ParsedDocument(text=marked_text(tree, main_content=False), title=title, metadata=metadata)


def _no_image(_: object) -> list[object]:
    return []
