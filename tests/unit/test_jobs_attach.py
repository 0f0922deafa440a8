"""Documents in a prompt, in Converse's shape and under names that Bedrock takes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.bedrock.documents import _NAME as BEDROCKS_NAME
from jobs.attach import Attachment, Block, attach, rest_of, write_text
from jobs.document import DocumentText, MediaType
from jobs.prompt import Prompt
from tests.builders import a_document

TURN = {"role": "user", "content": [{"text": "Hi"}]}


def a_block(name: str = "report.pdf", kind: MediaType = MediaType.PDF) -> Block:
    return Block(document=a_document(name=name, media_type=kind), content=b"%PDF-")


def names_of(prompt: Prompt) -> list[str]:
    [first, *_] = prompt.messages or ()
    assert isinstance(first, dict)
    return [block["document"]["name"] for block in first["content"] if "document" in block]


def test_a_prompt_becomes_a_turn_with_the_documents_before_the_words() -> None:
    prompt = attach(Prompt(text="Sum up", system="Be brief"), [a_block()])

    document = {"format": "pdf", "name": "report pdf", "source": {"bytes": b"%PDF-"}}
    content = [{"document": document}, {"text": "Sum up"}]
    assert prompt == Prompt(messages=[{"role": "user", "content": content}], system="Be brief")


def test_of_a_conversation_the_first_turn_gets_them() -> None:
    later = [{"role": "assistant", "content": [{"text": "Yes?"}]}, TURN]
    sent = [TURN, *later]

    prompt = attach(Prompt(messages=sent), [a_block()])

    [first, *others] = prompt.messages or ()
    assert isinstance(first, dict)
    assert [next(iter(block)) for block in first["content"]] == ["document", "text"]
    assert others == later
    assert sent[0] == {"role": "user", "content": [{"text": "Hi"}]}  # what was sent is not touched


def test_a_turn_without_words_gets_some_because_bedrock_wants_them() -> None:
    image = {"image": {"format": "png", "source": {"bytes": "aGk="}}}

    prompt = attach(Prompt(messages=[{"role": "user", "content": [image]}]), [a_block()])

    [turn] = prompt.messages or ()
    assert isinstance(turn, dict)
    assert [next(iter(block)) for block in turn["content"]] == ["document", "text", "image"]


def test_text_has_each_pages_number_so_that_answers_can_name_it() -> None:
    text = DocumentText(document=a_document(name="r.pdf"), pages=("One", "", "Three"))

    assert write_text(text) == (
        "[document: r.pdf]\n\n[page 1]\nOne\n\n[page 2]\n\n\n[page 3]\nThree\n\n"
        "[end of document: r.pdf]"
    )


def test_what_has_no_pages_gets_no_numbers() -> None:
    document = a_document(name="a.csv", media_type=MediaType.CSV)

    text = DocumentText(document=document, pages=("a,b",))

    assert write_text(text) == "[document: a.csv]\n\na,b\n\n[end of document: a.csv]"


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        (MediaType.PDF, "pdf"),
        (MediaType.DOCX, "docx"),
        (MediaType.HTML, "html"),
        (MediaType.MARKDOWN, "md"),
        (MediaType.CSV, "csv"),
        (MediaType.TEXT, "txt"),
    ],
)
def test_each_kind_has_converses_word_for_it(kind: MediaType, form: str) -> None:
    [turn] = attach(Prompt(text="x"), [a_block(kind=kind)]).messages or ()

    assert isinstance(turn, dict)
    assert turn["content"][0]["document"]["format"] == form


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("report.pdf", "report pdf"),
        ("Zoë's  minutes -- v2 [final] (1).docx", "Zoe s minutes -- v2 [final] (1) docx"),
        ("日本語", "document"),
        ("../../etc/passwd", "etc passwd"),
        ("a_b", "a b"),
    ],
)
def test_names_are_put_into_what_bedrock_takes(name: str, written: str) -> None:
    assert names_of(attach(Prompt(text="x"), [a_block(name)])) == [written]


def test_each_name_is_there_once_the_callers_own_included() -> None:
    own = {"document": {"format": "txt", "name": "a txt", "source": {"text": "x"}}}
    messages = [TURN, {"role": "user", "content": [own, {"text": "y"}]}]

    prompt = attach(Prompt(messages=messages), [a_block("a.txt"), a_block("a_txt"), a_block("b")])

    assert names_of(prompt) == ["a txt (2)", "a txt (3)", "b"]


@given(names=st.lists(st.text(max_size=300), max_size=5))
def test_whatever_names_are_sent_bedrock_takes_them(names: list[str]) -> None:
    attachments: list[Attachment] = [a_block(name) for name in names]

    written = names_of(attach(Prompt(text="x"), attachments))

    assert len(set(written)) == len(names)
    assert all(re.fullmatch(BEDROCKS_NAME, name) for name in written)


def test_the_rest_of_a_call_is_its_texts_its_answer_and_its_own_documents() -> None:
    own = {"document": {"format": "txt", "name": "abc", "source": {"bytes": "aGVsbG8gd29ybGQ="}}}
    messages = [{"role": "user", "content": [own, {"text": "abcdef"}]}]

    rest = rest_of(Prompt(messages=messages, system="abc"), answer_tokens=100)

    # "abcdef" and "abc" of the system, and few words of the shape itself; bytes are no text.
    assert (rest.blocks, rest.tokens) == (1, 100 + 1 + 2 + 2 + 1 + 1)
    assert rest_of(Prompt(text="abc"), answer_tokens=7).tokens == 8
