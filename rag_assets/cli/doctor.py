"""`rag-assets doctor`: one line for each part of the knowledge base, printed as soon as it is examined."""

import argparse

from rag_assets.cli.terminal import say_text
from rag_assets.inspection.doctor import describe, examine
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.text.control_characters import one_line

_TEXT_COLUMN = 6


def doctor(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Print the findings. Any failure exits with 1."""
    exit_code = 0
    for finding in examine(knowledge_base, deep=options.deep, sends_test_alert=options.send_test_alert):
        say_text(one_line(describe(finding)), _TEXT_COLUMN)
        if finding.failed:
            exit_code = 1
    return exit_code
