"""reStructuredText: docutils converts it to HTML, and resiliparse converts the HTML to text.

Here belong two precautions. The text of directives and roles unknown to docutils is kept (Sphinx has dozens). And no
directive reaches a file: nothing is included, no raw HTML, no picture or table is opened.
"""

import re
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from rag_assets.parsers.docinfo import docinfo_metadata
from rag_assets.parsers.html import marked_text
from rag_assets.parsers.layout import one_line, without_marks
from rag_assets.records import ParsedDocument
from rag_assets.text.decoding import decode_text

if TYPE_CHECKING:
    from resiliparse.parse.html import HTMLTree


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DIRECTIVE = re.compile(r"^[ \t]*\.\. (?:\|[^|\n]+\| )?([\w:.+-]+?)[ ]?::(?=\s|$)", re.MULTILINE)
_ROLE = re.compile(r":([\w:.+-]{1,60}):(?=`)|(?<=`):([\w:.+-]{1,60}):")
_ROLE_TEXT = re.compile(r"[~!]?(.*?)(?:\s*<[^<>]*>)?", re.DOTALL)
# Left to docutils. The text of all other directives is kept as it is.
_OF_DOCUTILS = _names(
    """
    list-table csv-table table replace unicode date role default-role class image
    """
)
_ROLES_OF_DOCUTILS = _names(
    """
    abbreviation acronym anonymous-reference citation-reference code emphasis footnote-reference literal math
    named-reference pep-reference raw rfc-reference strong subscript substitution-reference superscript target
    title-reference uri-reference
    """
)
_WITHOUT_TEXT = _names(
    """
    include literalinclude raw toctree contents sectnum header footer meta target-notes index highlight currentmodule
    module tabularcolumns title restructuredtext-test-directive
    """
)
_CODE = _names(
    """
    code code-block sourcecode parsed-literal math productionlist graphviz digraph graph mermaid plantuml doctest
    testcode testoutput testsetup testcleanup ipython prompt command-output
    """
)
_NAMES_A_FILE_OR_LANGUAGE = _CODE | {"figure", "container", "automodule"}
_SAYS_WHAT_IT_IS = _names(
    """
    attention caution danger error hint important note tip warning seealso todo deprecated versionadded
    versionchanged versionremoved
    """
)
_TEXTS_IN_OPTIONS = ("caption", "alt", "synopsis")
_SETTINGS = {
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "_disable_config": True,
    "embed_stylesheet": False,
    "stylesheet_path": None,
    "math_output": "LaTeX",
    "syntax_highlight": "none",
    "smart_quotes": False,
    "section_self_link": False,
    "toc_backlinks": False,
    "report_level": 3,  # a message in the text quotes the unreadable source
    "halt_level": 5,
    "warning_stream": False,
    "traceback": True,
    "line_length_limit": 100_000_000,
}


class RestructuredTextParser:
    """Title: of the document, else its first heading."""

    name = "restructured_text"
    suffixes: tuple[str, ...] = (".rst", ".rest")

    def __init__(self) -> None:
        self.version = f"2/{version('docutils')}/{version('resiliparse')}"

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        from docutils.core import publish_parts
        from docutils.writers import get_writer_class
        from resiliparse.parse.html import HTMLTree

        del filename
        source = decode_text(data)
        _know_all_of(source)
        writer = get_writer_class("html5")()
        parts = publish_parts(source, writer=writer, settings_overrides=_SETTINGS)
        tree = HTMLTree.parse(parts.get("html_body", ""))
        _keep_what_messages_quote(tree)
        heading = tree.body.query_selector("h1, h2") if tree.body else None
        title = one_line(heading.inner_text) if heading else ""
        metadata = docinfo_metadata(writer.document)
        return ParsedDocument(text=marked_text(tree, main_content=False), title=title, metadata=metadata)


def _know_all_of(source: str) -> None:
    """Register unknown directives and roles, because docutils leaves out their text."""
    from docutils.parsers.rst import directives, roles

    for name in {name.lower() for name in _DIRECTIVE.findall(source)} - _OF_DOCUTILS:
        directives.register_directive(name, _directive())
    for name in {(before or after).lower() for before, after in _ROLE.findall(source)}:
        if name not in _ROLES_OF_DOCUTILS:
            roles.register_local_role(name, _role)


def _role(_name: str, rawtext: str, text: str, *_: Any, **__: Any) -> tuple[list[Any], list[Any]]:
    from docutils import nodes
    from docutils.utils import unescape

    found = _ROLE_TEXT.fullmatch(unescape(text))
    return [nodes.inline(rawtext, found[1] if found and found[1] else text)], []


class _AnyOption(dict[str, Any]):
    """Accepts every option, with its value as text."""

    def __missing__(self, key: str) -> Any:
        return str


@cache
def _directive() -> type[Any]:
    from docutils import nodes
    from docutils.parsers.rst import Directive

    class KeepText(Directive):
        optional_arguments = 1
        final_argument_whitespace = True
        has_content = True
        option_spec = _AnyOption({"class": str})

        def run(self) -> list[Any]:
            name = self.name.lower().rpartition(":")[2]
            if name in _WITHOUT_TEXT:
                return []
            parts: list[Any] = []
            shown = [name.capitalize() + ":"] if name in _SAYS_WHAT_IT_IS else []
            if name not in _NAMES_A_FILE_OR_LANGUAGE:
                shown += self.arguments
            shown += [str(self.options[key]) for key in _TEXTS_IN_OPTIONS if self.options.get(key)]
            if shown:
                inlines, messages = self.state.inline_text(" ".join(shown), self.lineno)
                parts += [nodes.paragraph("", "", *inlines), *messages]
            content = "\n".join(self.content)
            if name in _CODE:
                code = [*self.arguments, content] if name in ("math", "productionlist") else [content]
                parts.append(nodes.literal_block("", "\n".join(filter(None, code))))
            elif content:
                inner = nodes.container()
                self.state.nested_parse(self.content, self.content_offset, inner, match_titles=True)
                parts += inner.children
            return parts

    return KeepText


def _keep_what_messages_quote(tree: "HTMLTree") -> None:
    body = tree.body
    if body is None or tree.document is None:
        return
    for message in body.query_selector_all(".system-message").values():
        quoted = message.query_selector("pre")
        kept = tree.document.create_element("pre")
        kept.text_content = without_marks(quoted.text_content or "") if quoted else ""
        message.replace_with(kept)
