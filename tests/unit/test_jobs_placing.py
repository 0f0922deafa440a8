"""How each document reaches its model: as it is, as text, or not at all."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.document import MOST_DOCUMENTS, DocumentText, MediaType
from jobs.job import ModelId
from jobs.model_limits import UNKNOWN, ModelLimits, limits_of
from jobs.placing import AsBlock, AsText, Rest, TooLong, estimate_tokens, place_documents
from tests.builders import a_document

CLAUDE = limits_of(ModelId("anthropic.claude-sonnet-4-5-20250929-v1:0"))
NOVA = limits_of(ModelId("amazon.nova-lite-v1:0"))
NOTHING_ELSE = Rest(tokens=0)


def a_text(*pages: str, kind: MediaType = MediaType.PDF, size: int = 1_000) -> DocumentText:
    return DocumentText(document=a_document(media_type=kind, size=size), pages=pages or ("Hello",))


def kinds(
    texts: list[DocumentText], limits: ModelLimits, rest: Rest = NOTHING_ELSE
) -> list[type[object]]:
    placed = place_documents(texts, limits=limits, rest=rest)
    assert not isinstance(placed, TooLong)
    assert [one.text for one in placed] == texts
    return [type(one) for one in placed]


def test_a_model_that_takes_documents_gets_them_as_they_are() -> None:
    assert kinds([a_text(), a_text(kind=MediaType.CSV)], NOVA) == [AsBlock, AsBlock]


def test_a_model_that_takes_none_gets_their_text() -> None:
    assert kinds([a_text()], UNKNOWN) == [AsText]


def test_what_is_above_4_5_mb_goes_as_text_and_the_others_as_they_are() -> None:
    texts = [a_text(size=4_500_000), a_text(size=4_500_001), a_text()]

    assert kinds(texts, NOVA) == [AsBlock, AsText, AsBlock]


def test_claude_gets_a_hundred_pages_of_pdfs_and_the_rest_as_text() -> None:
    texts = [a_text(*["x"] * 60), a_text(*["x"] * 41), a_text(*["x"] * 40), a_text("x")]

    assert kinds(texts, CLAUDE) == [AsBlock, AsText, AsBlock, AsText]
    assert kinds(texts, NOVA) == [AsBlock] * 4


def test_what_is_no_pdf_counts_no_pages() -> None:
    texts = [a_text(*["x"] * 100), a_text(kind=MediaType.DOCX)]

    assert kinds(texts, CLAUDE) == [AsBlock, AsBlock]


def test_blocks_of_the_callers_own_count() -> None:
    texts = [a_text(), a_text()]

    assert kinds(texts, NOVA, Rest(tokens=0, blocks=4)) == [AsBlock, AsText]
    assert kinds(texts, NOVA, Rest(tokens=0, blocks=7)) == [AsText, AsText]


def test_a_page_that_is_mostly_markup_goes_as_text_where_it_would_be_too_long_as_it_is() -> None:
    page = a_text("Few words", kind=MediaType.HTML, size=1_000_000)

    assert kinds([page], NOVA) == [AsText]


def test_what_does_not_fit_at_all_is_told_with_its_size() -> None:
    long = a_text("word " * 200_000)

    assert place_documents([long], limits=NOVA, rest=Rest(tokens=1_000)) == TooLong(
        tokens=1_000 + 100 + 8 + math.ceil(1_000_000 / 3), room=300_000
    )


def test_prompt_and_answer_need_room_too() -> None:
    text = a_text("x" * 3 * 250_000)

    assert kinds([text], NOVA, Rest(tokens=49_892)) == [AsBlock]
    assert isinstance(place_documents([text], limits=NOVA, rest=Rest(tokens=49_893)), TooLong)


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("abc", 1), ("abcd", 2), ("日本語", 3), ("☕", 1)]
)
def test_tokens_are_estimated_by_bytes(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


@given(
    sizes=st.lists(st.integers(1, 9_000_000), max_size=5),
    pages=st.integers(1, 80),
    taken=st.integers(0, 6),
    pdf_pages=st.none() | st.integers(0, 200),
)
def test_no_limit_is_ever_passed(
    sizes: list[int], pages: int, taken: int, pdf_pages: int | None
) -> None:
    limits = ModelLimits(context_tokens=10_000, takes_documents=True, pdf_pages=pdf_pages)
    texts = [a_text(*["a few words"] * pages, size=size) for size in sizes]

    placed = place_documents(texts, limits=limits, rest=Rest(tokens=0, blocks=taken))

    if isinstance(placed, TooLong):
        assert placed.tokens > placed.room
        return
    blocks = [one for one in placed if isinstance(one, AsBlock)]
    assert len(blocks) <= max(0, MOST_DOCUMENTS - taken)
    assert all(one.text.document.size <= limits.block_bytes for one in blocks)
    assert pdf_pages is None or pages * len(blocks) <= pdf_pages


@pytest.mark.parametrize(
    "model",
    [
        "anthropic.claude-3-haiku-20240307-v1:0",
        "eu.anthropic.claude-sonnet-4-20250514-v1:0",
        "us-gov.anthropic.claude-3-5-sonnet-20240620-v1:0",
        "global.anthropic.claude-haiku-4-5-20251001-v1:0",
        "arn:aws:bedrock:eu-central-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0",
        "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-opus-4-v1:0",
    ],
)
def test_a_model_is_known_by_its_id_its_profile_and_its_arn(model: str) -> None:
    assert limits_of(ModelId(model)) == CLAUDE


@pytest.mark.parametrize(
    ("model", "takes", "context"),
    [
        ("amazon.nova-lite-v1:0", True, 300_000),
        ("apac.amazon.nova-pro-v1:0", True, 300_000),
        ("global.amazon.nova-2-lite-v1:0", True, 1_000_000),
        ("amazon.nova-premier-v1:0", True, 1_000_000),
        ("ai21.jamba-instruct-v1:0", False, 70_000),
        ("ai21.jamba-1-5-mini-v1:0", True, 256_000),
        ("us.writer.palmyra-x5-v1:0", False, 1_000_000),
        ("amazon.nova-micro-v1:0", False, 128_000),
        ("amazon.titan-text-premier-v1:0", False, 32_000),
        ("meta.llama3-8b-instruct-v1:0", True, 8_000),
        ("us.meta.llama3-3-70b-instruct-v1:0", True, 128_000),
        ("mistral.mistral-large-2407-v1:0", True, 128_000),
        ("cohere.command-r-plus-v1:0", True, 128_000),
        ("cohere.command-light-text-v14", False, 4_000),
        ("anthropic.claude-v2:1", True, 100_000),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123", False, 128_000),
        ("somebody.new-model-v1:0", False, 128_000),
        ("", False, 128_000),
    ],
)
def test_models_differ_in_what_they_take(model: str, takes: bool, context: int) -> None:  # noqa: FBT001 - a table's column
    limits = limits_of(ModelId(model))

    assert (limits.takes_documents, limits.context_tokens) == (takes, context)
