"""Documents written by real programs, and their recorded text."""

from pathlib import Path

import pytest

from rag_assets.parsers import parse_document

SAMPLES = Path(__file__).parent / "samples"

TEXTS = {
    "travel.xlsx": (
        "Travel rates",
        (
            "## Per diem\n\nRates 2026\n\n"
            "Country: Italy; City: Rome; Rate in EUR: 60; Valid from: 2026-01-01\n\n"
            "Country: Italy; City: Milan; Rate in EUR: 72.50; Valid from: 2026-04-01\n\n"
            "Country: Norway; City: Oslo; Rate in EUR: 80; Valid from: 2026-01-01\n\n"
            "## Shares\n\nSite: Rome; Share: 12.5%"
        ),
    ),
    "travel.pptx": (
        "Travel briefing",
        (
            "## Travel in 2026\n\nWhat changes in January\n\n"
            "## Booking\n\n• Trains first\n  • Flights above 600 km\n\nNotes: Mention the new portal.\n\n"
            "## Rates\n\nCity: Rome; Rate: 60 EUR\nCity: Oslo; Rate: 80 EUR"
        ),
    ),
    "travel.odt": (
        "Travel policy",
        (
            "## Booking\n\nTrains come first[1].\n\n• Ask the desk\n• Book in the portal\n\n"
            "### Rates\n\nCity: Rome; Rate: 60 EUR; Note: from January\nCity: Oslo; Rate: 80 EUR\n\n"
            "  1. Up to six hours."
        ),
    ),
    "travel.epub": (
        "Travel handbook",
        "# Booking\n\nTrains come first.\n\n# Rates\n\nCity: Rome; Rate: 60 EUR; Note: from January",
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_sample_documents_keep_their_text(name: str) -> None:
    parsed = parse_document((SAMPLES / name).read_bytes(), "document")
    assert (parsed.title, parsed.text) == TEXTS[name]
