import logging

import pytest

from rag_assets.parsers import parse_document
from rag_assets_tests.parsers.damage import outcomes_of_damage

_GUIDE = """\
=====
Guide
=====

See :func:`~pkg.name`, :doc:`the start <start>`, `a link <http://a.example>`_ and :strange:`words in a role`.

Part one
--------

.. note:: Take care
   of this.

.. code-block:: python
   :emphasize-lines: 1

   # not a heading

.. versionadded:: 3.2
   Something new.

.. py:function:: join(a, b)
   :module: x

   Joins both.

.. unheard-of:: an argument
   :option: x

   Unknown content.

.. list-table::
   :header-rows: 1

   * - Name
     - Value
   * - width
     - 30

.. figure:: picture.png
   :alt: What it shows

   The caption.

Broken `markup and **more

.. image:: y.png
   :no-such-option: kept
"""


def test_headings_text_code_and_unknown_markup_are_kept() -> None:
    parsed = parse_document(_GUIDE.encode(), "a.rst")
    assert (parsed.title, parsed.parser_name) == ("Guide", "restructured_text")
    for part in (
        "# Guide\n",
        "See pkg.name, the start, a link and words in a role.",
        "## Part one\n",
        "Note: Take care of this.",
        "```\n# not a heading\n```",
        "Versionadded: 3.2 Something new.",
        "join(a, b)\n\nJoins both.",
        "an argument\n\nUnknown content.",
        "width\t\t30",
        "What it shows\n\nThe caption.",
        "Broken `markup and **more",
        ":no-such-option: kept",
    ):
        assert part in parsed.text, part
    assert "system-message" not in parsed.text
    assert "Unknown" in parsed.text
    assert "ERROR" not in parsed.text


@pytest.mark.parametrize(
    "directive",
    [
        ".. include:: {}",
        ".. literalinclude:: {}",
        ".. raw:: html\n   :file: {}",
        ".. csv-table::\n   :file: {}",
        ".. figure:: {}\n   :figwidth: image",
        ".. unheard-of:: x\n   :file: {}",
        ".. |x| raw:: html\n   :file: {}\n\n|x|",
        ".. role:: raw-file(raw)\n   :format: html\n\n:raw-file:`{}`",
    ],
)
def test_nothing_is_read_from_files(
    directive: str, tmp_path: object, caplog: pytest.LogCaptureFixture
) -> None:
    secret = f"{tmp_path}/secret.csv"
    with open(secret, "w") as file:
        file.write("what,nobody,sees")
    with caplog.at_level(logging.DEBUG):
        text = parse_document(f"Text\n\n{directive.format(secret)}\n".encode(), "a.rst").text
    assert "nobody" not in text
    assert "Text" in text
    assert caplog.text == ""


def test_one_document_leaves_nothing_behind_for_the_next() -> None:
    plain = b"A `word` and :mine:`role` word.\n\n.. mine:: argument\n"
    before = parse_document(plain, "a.rst").text
    parse_document(b".. default-role:: math\n\n.. role:: mine(raw)\n   :format: html\n\n`x`\n", "a.rst")
    assert parse_document(plain, "a.rst").text == before


@pytest.mark.slow
def test_damage_gives_text_or_one_kind_of_error(capfd: pytest.CaptureFixture[str]) -> None:
    assert "text" in outcomes_of_damage(_GUIDE.encode(), "a.rst")
    assert capfd.readouterr() == ("", "")
