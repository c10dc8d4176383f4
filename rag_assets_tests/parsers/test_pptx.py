from typing import Any

import pytest
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from rag_assets.parsers import parse_document, pptx
from rag_assets_tests.parsers.refusals import assert_text_or_unreadable, unreadable
from rag_assets_tests.parsers.zip_documents import (
    add_table,
    changed,
    make_pptx,
    mutants,
    saved,
    with_part,
)

SLIDE = "ppt/slides/slide1.xml"
INCH = Inches(1)


def _presentation() -> tuple[Any, Any]:
    presentation = Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[5])
    slide.shapes.title.text = "Rates"
    return presentation, slide


def _blocks(presentation: Any) -> list[str]:
    return parse_document(saved(presentation), "a.pptx").text.split("\n\n")


@pytest.mark.parametrize("filename", ["a.pptx", "a.txt", "a", "a.xlsx"])
def test_a_presentation_is_recognized_under_any_name(filename: str) -> None:
    parsed = parse_document(make_pptx([("Rates", ["Oslo"])]), filename)
    assert (parsed.parser_name, parsed.text) == ("pptx", "## Rates\n\nOslo")


def test_slides_keep_their_order_with_titles_as_headings() -> None:
    presentation = Presentation()
    for title in ("One", "", "Three"):
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text_frame.text = "x\ny"
        slide.placeholders[1].text_frame.paragraphs[1].level = 1
    ids = presentation.slides._sldIdLst
    ids.insert(0, ids[2])
    items = "• x\n  • y"
    assert _blocks(presentation) == ["## Three", items, "## One", items, "## Slide 3", items]


def test_a_hidden_slide_is_left_out() -> None:
    data = make_pptx([("One", ["a"]), ("Two", ["b"])])
    data = changed(data, SLIDE, "<p:sld ", '<p:sld show="0" ')
    parsed = parse_document(data, "a.pptx")
    assert (parsed.text, parsed.title) == ("## Two\n\nb", "Two")


def test_speaker_notes_come_last_in_their_slide() -> None:
    presentation, slide = _presentation()
    slide.notes_slide.notes_text_frame.text = "Say this.\n# And this."
    slide.shapes.add_textbox(0, 0, INCH, INCH).text_frame.text = "shown"
    assert _blocks(presentation) == ["## Rates", "shown", "Notes: Say this.\n\\# And this."]


def test_each_value_of_a_table_row_has_its_label() -> None:
    presentation, slide = _presentation()
    add_table(slide, [["City", "Rate"], ["Oslo", "80"], ["Rome\n60", ""]])
    add_table(slide, [["Oslo", "80"], ["Rome", "60"]])
    assert _blocks(presentation)[1:] == ["City: Oslo; Rate: 80\nCity: Rome 60", "Oslo; 80\nRome; 60"]


def test_merged_cells_do_not_shift_the_others() -> None:
    presentation, slide = _presentation()
    table: Any = add_table(slide, [["City", "Rate", "Note"], ["Oslo", "", "x"], ["Rome", "60", "y"]])
    table.cell(1, 0).merge(table.cell(1, 1))
    assert _blocks(presentation)[1] == "City: Oslo; Note: x\nCity: Rome; Rate: 60; Note: y"


def test_a_chart_becomes_its_values() -> None:
    presentation, slide = _presentation()
    data = CategoryChartData()
    data.categories = ["East", "West"]
    data.add_series("Q1", (1.5, None))
    data.add_series("Q2", (3, 4))
    chart = slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, 0, 0, INCH, INCH, data).chart
    chart.has_title = True
    chart.chart_title.text_frame.text = "Sales"
    assert _blocks(presentation)[1] == "Sales\nEast; Q1: 1.5; Q2: 3\nWest; Q2: 4"


def test_text_in_groups_is_read_and_footers_are_not() -> None:
    presentation, slide = _presentation()
    group = slide.shapes.add_group_shape()
    inner = group.shapes.add_group_shape()
    inner.shapes.add_textbox(0, 0, INCH, INCH).text_frame.text = "deep\x0bdown"
    footer = '<p:nvPr><p:ph type="ftr" idx="11"/></p:nvPr>'
    slide.shapes.add_textbox(0, 0, INCH, INCH).text_frame.text = "every slide"
    data = saved(presentation)
    position = _part(data, SLIDE).rindex("<p:nvPr/>")
    xml = _part(data, SLIDE)
    data = with_part(data, SLIDE, xml[:position] + footer + xml[position + len("<p:nvPr/>") :])
    assert parse_document(data, "a.pptx").text == "## Rates\n\ndeep down"


def _part(data: bytes, name: str) -> str:
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(name).decode()


def test_a_text_box_with_a_formula_is_not_lost() -> None:
    presentation, slide = _presentation()
    slide.shapes.add_textbox(0, 0, INCH, INCH).text_frame.text = "The area is"
    xml = _part(saved(presentation), SLIDE)
    start, end = xml.rindex("<p:sp>"), xml.rindex("</p:sp>") + len("</p:sp>")
    mc = "http://schemas.openxmlformats.org/markup-compatibility/2006"
    wrapped = (
        f'<mc:AlternateContent xmlns:mc="{mc}"><mc:Choice Requires="a14">{xml[start:end]}</mc:Choice>'
        f"<mc:Fallback>{xml[start:end]}</mc:Fallback></mc:AlternateContent>"
    )
    data = with_part(saved(presentation), SLIDE, xml[:start] + wrapped + xml[end:])
    assert parse_document(data, "a.pptx").text == "## Rates\n\nThe area is"


def test_shows_and_templates_are_presentations() -> None:
    data = make_pptx([("Rates", ["Oslo"])])
    for kind in ("slideshow", "template"):
        other = changed(data, "[Content_Types].xml", "presentation.main+xml", f"{kind}.main+xml")
        assert parse_document(other, "a.ppsx").text == "## Rates\n\nOslo"


def test_the_title_comes_from_the_properties_else_the_first_slide() -> None:
    assert parse_document(make_pptx([("Rates", ["x"])], title="Travel"), "a").title == "Travel"
    assert parse_document(make_pptx([("", ["x"]), ("Rates", ["x"])]), "a").title == "Rates"


def test_pictures_and_external_links_are_not_needed() -> None:
    data = make_pptx([("Rates", ["Oslo"])])
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/image"
    links = (
        f'<Relationship Id="r8" Type="{kind}" Target="NULL"/>'
        f'<Relationship Id="r9" Type="{kind}" Target="file:///etc/passwd" TargetMode="External"/></Relationships>'
    )
    data = changed(data, "ppt/slides/_rels/slide1.xml.rels", "</Relationships>", links)
    assert parse_document(data, "a.pptx").text == "## Rates\n\nOslo"


def test_a_presentation_without_text_is_empty() -> None:
    assert unreadable(make_pptx([("", [])]), "a.pptx").reason == "empty"


def test_errors_name_limits_and_document_types(monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_pptx([("Rates", ["Oslo"])])
    bomb = with_part(data, SLIDE, '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>')
    assert "document type" in str(unreadable(bomb, "a.pptx"))
    monkeypatch.setattr(pptx, "MAX_XML_NODES", 500)
    assert str(unreadable(data, "a.pptx")) == "too_large: It has more than 500 XML nodes. Split it."


@pytest.mark.slow
def test_damage_gives_text_or_one_kind_of_error() -> None:
    presentation, slide = _presentation()
    add_table(slide, [["City", "Rate"], ["Oslo", "80"]])
    slide.notes_slide.notes_text_frame.text = "note"
    for data in mutants(saved(presentation)):
        assert_text_or_unreadable(data)
