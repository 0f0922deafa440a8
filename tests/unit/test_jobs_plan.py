"""Planning: pages into parts that fit, none lost, none twice, and the same plan every time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.document import DocumentText, MediaType
from jobs.errors import DocumentRefused
from jobs.job import parse_job_id
from jobs.pages import Page, cut, pages_of, range_of, tell
from jobs.part_prompts import PartAnswer, about_answers, about_part
from jobs.placing import estimate_tokens
from jobs.plan import Plan, part_id, plan_parts
from jobs.prompt import Prompt
from tests.builders import JOB_ID
from tests.mill import a_document

WORDS = st.lists(st.sampled_from(["revenue", "rose", "四半期", "☕\n", "x" * 400]), max_size=300)


def texts(*pages: str, name: str = "report.pdf") -> DocumentText:
    return DocumentText(document=a_document(name), pages=pages)


def plain(text: str, name: str = "notes.txt") -> DocumentText:
    document = replace(a_document(name), media_type=MediaType.TEXT)
    return DocumentText(document=document, pages=(text,))


def plan(
    pages: list[Page], *, most: int = 1_500, answer_tokens: int = 200, parts: int = 64
) -> Plan:
    return plan_parts(pages, most=most, answer_tokens=answer_tokens, most_parts=parts)


@given(st.lists(WORDS.map(" ".join), min_size=1, max_size=8))
def test_every_word_is_in_one_part_and_every_part_fits(pages: list[str]) -> None:
    found = pages_of([texts(*pages)])
    if not found:
        return

    planned = plan(found, most=3_000)

    told = "".join(part.text for part in planned.parts)
    for page in found:
        told = told.replace(page.marker, "")
    assert "".join(told.split()) == "".join("".join(pages).split())
    assert all(estimate_tokens(part.text) <= 3_000 for part in planned.parts)


def test_the_same_pages_make_the_same_plan_and_other_pages_another() -> None:
    pages = pages_of([texts(*["word " * 400] * 6)])

    assert plan(pages) == plan(pages)
    assert plan(pages).id != plan(pages[:-1]).id
    assert plan(pages).id != plan(pages, answer_tokens=150).id


def test_parts_are_about_alike() -> None:
    pages = pages_of([texts(*["word " * 200] * 13)])

    sizes = [estimate_tokens(part.text) for part in plan(pages).parts]

    assert min(sizes) >= max(sizes) / 2


def test_the_answers_of_all_parts_fit_where_their_pages_did() -> None:
    pages = pages_of([texts(*["word " * 1_000] * 12)])

    planned = plan(pages, most=4_000, answer_tokens=4_000)

    assert len(planned.parts) * planned.answer_tokens <= 4_000


@pytest.mark.parametrize(
    ("most", "parts", "why"),
    [(400, 64, "no room"), (-1, 64, "no room"), (600, 2, "2 are made"), (600, 64, "must fit")],
)
def test_what_no_plan_can_divide_is_refused(most: int, parts: int, why: str) -> None:
    pages = pages_of([texts(*["word " * 300] * 12)])

    with pytest.raises(DocumentRefused, match=why) as refused:
        plan(pages, most=most, parts=parts)

    assert refused.value.reason == "document_exceeds_context"


def test_a_page_that_is_too_long_is_cut_and_every_piece_names_it() -> None:
    [page] = pages_of([texts("A line of the page.\n" * 500)])

    pieces = list(cut(page, 600))

    assert len(pieces) > 1
    assert {piece.marker for piece in pieces} == {"[page 1]"}
    assert all(piece.tokens <= 600 for piece in pieces)
    assert all(piece.text.startswith("A line") for piece in pieces)


def test_pages_that_say_nothing_are_left_out_and_the_numbers_stay() -> None:
    found = pages_of([texts("One", "  \n", "Three")])

    assert tell(found) == "[page 1]\nOne\n\n[page 3]\nThree"


def test_pages_of_several_documents_are_told_apart() -> None:
    found = pages_of([texts("One", name="a.pdf"), texts("One", "Two", name="b [2].pdf")])

    assert [page.marker for page in found] == [
        "[a.pdf, page 1]",
        "[b 2 .pdf, page 1]",
        "[b 2 .pdf, page 2]",
    ]
    assert range_of(found) == 'page 1 of "a.pdf", pages 1 to 2 of "b [2].pdf"'


def test_a_document_without_pages_is_told_by_its_name() -> None:
    found = pages_of([plain("All agreed.")])

    assert tell(found) == "[notes.txt]\nAll agreed."
    assert range_of(found) == '"notes.txt"'


def test_a_parts_id_is_a_jobs_id_of_its_own() -> None:
    planned = plan(pages_of([texts("word")]))

    ids = {part_id(JOB_ID, planned.id, number) for number in range(1, 300)}

    assert len(ids) == 299
    assert all(parse_job_id(one) == one for one in ids)


def test_a_part_is_told_which_pages_it_has_and_what_is_asked_of_all() -> None:
    planned = plan(pages_of([texts(*["word " * 400] * 3)]))

    asked = about_part(Prompt(text="What rose?", system="Be brief."), planned.parts[1], planned)

    assert asked.text is not None
    assert f"part 2 of {len(planned.parts)}: page" in asked.text
    assert "[page 3]" in asked.text
    assert asked.text.endswith("What rose?")
    assert asked.system == "Be brief."


def test_the_reduction_reads_the_answers_in_order_with_their_pages() -> None:
    answers = [PartAnswer(pages=f"page {n}", text=f"It rose [page {n}].") for n in (1, 2)]

    asked = about_answers(Prompt(text="What rose?"), answers)

    assert asked.text is not None
    assert asked.text.index("[page 1]") < asked.text.index("[page 2]")
    assert asked.text.endswith("What rose?")


def test_a_text_goes_before_the_last_question_of_a_conversation() -> None:
    first, said, last = (
        {"role": role, "content": [{"text": text}]}
        for role, text in (("user", "Read."), ("assistant", "I have."), ("user", "Sum up."))
    )

    asked = Prompt(messages=[first, said, last]).about("The text")

    assert asked.messages == [
        first,
        said,
        {"role": "user", "content": [{"text": "The text"}, {"text": "Sum up."}]},
    ]


def test_a_conversation_that_nobody_can_read_is_still_given_the_text() -> None:
    asked = Prompt(messages=["?"]).about("The text")

    assert asked.messages == [{"role": "user", "content": [{"text": "The text"}]}, "?"]
