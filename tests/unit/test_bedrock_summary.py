import base64
import re
import time

from hypothesis import given
from hypothesis import strategies as st

from deploy.local.bedrock.answer import StopReason, Summaries, compose, split_tokens
from deploy.local.bedrock.documents import read_document
from deploy.local.bedrock.faults import Faults
from deploy.local.bedrock.request import Ask, Limits
from deploy.local.bedrock.summary import DISCLOSURE, summarise

_SENTENCES = [
    f"The harbour master of port {number} counted {number} lighthouses along the northern coast."
    for number in range(200)
]


def _document(*, sections: int) -> str:
    return "\n\n".join(
        f"# Part {section}\n\n" + " ".join(_SENTENCES[section::sections])
        for section in range(sections)
    )


def test_a_summary_says_that_no_model_was_called() -> None:
    assert summarise(_document(sections=1)).startswith(f"{DISCLOSURE}\n")


def test_a_short_prompt_is_quoted() -> None:
    summary = summarise("Say hello to the world.")

    assert "5 words" in summary
    assert '"Say hello to the world."' in summary


def test_a_blank_prompt_is_told_plainly() -> None:
    assert summarise(" \n ").endswith("The prompt holds no text to summarise.")


def test_a_summary_is_the_same_every_time() -> None:
    assert summarise(_document(sections=3)) == summarise(_document(sections=3))


def test_a_long_document_is_summarised_in_250_to_400_tokens() -> None:
    tokens = split_tokens(summarise(_document(sections=4)))

    assert 250 <= len(tokens) <= 400


def test_every_sentence_of_a_summary_stands_in_the_document_in_that_order() -> None:
    document = " ".join(_SENTENCES)

    told = summarise(document).removeprefix(DISCLOSURE).strip().split(". ")

    places = [document.index(sentence.removesuffix(".")) for sentence in told]
    assert len(places) > 5
    assert places == sorted(places)


def test_a_summary_keeps_the_headings_of_its_sections() -> None:
    summary = summarise(_document(sections=3))

    assert [line for line in summary.splitlines() if line.startswith("#")] == [
        "## Part 0",
        "## Part 1",
        "## Part 2",
    ]


def test_sentences_about_the_subject_are_preferred() -> None:
    aside = "Completely unrelated zebras wander past a purple umbrella without saying anything."
    document = " ".join([*_SENTENCES[:100], aside, *_SENTENCES[100:]])

    assert "zebras" not in summarise(document)


def test_a_text_of_headings_alone_is_summarised_too() -> None:
    assert "CHAPTER ONE" in summarise("CHAPTER ONE\n\n" * 200)


def test_what_was_not_read_is_named() -> None:
    assert "Not read by the stand-in: report (pdf)." in summarise(
        "Hello.", unread=("report (pdf)",)
    )


def test_a_megabyte_without_a_full_stop_is_summarised_in_few_words() -> None:
    began = time.process_time()

    summary = summarise("lighthouse " * 100_000)

    assert len(split_tokens(summary)) < 400
    assert time.process_time() - began < 30  # a quadratic algorithm would take hours


@given(st.text(max_size=400))
def test_any_text_has_a_summary(text: str) -> None:
    assert summarise(text).startswith(DISCLOSURE)


@given(st.text(max_size=400))
def test_the_tokens_of_a_text_are_the_text(text: str) -> None:
    assert "".join(split_tokens(text)) == text


def test_max_tokens_is_kept_exactly() -> None:
    ask = Ask(user=(_document(sections=2),), limits=Limits(max_tokens=7))

    answer = compose(ask, Faults(), Summaries())

    assert answer.output_tokens == 7
    assert answer.stop_reason is StopReason.MAX_TOKENS


def test_an_answer_as_long_as_max_tokens_ends_by_itself() -> None:
    ask = Ask(user=("Hi",), limits=Limits(max_tokens=3))

    answer = compose(ask, Faults(echo="one two three"), Summaries())

    assert answer.text == "one two three"
    assert answer.stop_reason is StopReason.END_TURN


def test_an_answer_ends_before_the_first_stop_sequence_in_it() -> None:
    ask = Ask(user=("Hi",), limits=Limits(stop_sequences=("four", "three")))

    answer = compose(ask, Faults(echo="one two three four"), Summaries())

    assert answer.text == "one two "
    assert answer.stop_reason is StopReason.STOP_SEQUENCE
    assert answer.stop_sequence == "three"


def test_input_is_counted_with_the_system_text_at_four_characters_a_token() -> None:
    answer = compose(Ask(user=("x" * 40,), system=("y" * 40,)), Faults(), Summaries())

    assert answer.input_tokens == 20


def test_an_html_document_is_read_without_its_markup() -> None:
    page = "<script>let x = '<p>'</script><h1>Tides</h1><p>Spring &amp; neap</p>"
    block = {"name": "tides", "format": "html", "source": {"bytes": _base64(page)}}

    text, unread = read_document(block, "here")

    assert text.split() == ["Tides", "Spring", "&", "neap"]
    assert unread is None


def test_a_table_is_told_by_its_columns_and_rows() -> None:
    block = {"name": "t", "format": "csv", "source": {"bytes": _base64("port,lights\nCork,3\n")}}

    text, _ = read_document(block, "here")

    assert text == "A table with the columns port, lights and 1 rows.\n\nCork, 3."


def test_a_pdf_is_named_and_not_read() -> None:
    block = {"name": "report", "format": "pdf", "source": {"bytes": _base64("%PDF-1.7")}}

    assert read_document(block, "here") == ("", "report (pdf)")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _pages(*, count: int) -> str:
    sentences = [f"[page {page}]\n{_SENTENCES[page - 1]}" for page in range(1, count + 1)]
    return "\n\n".join(sentences) + "\n</part>\n\nWrite the report of this quarter in few words."


def test_sentences_of_marked_pages_tell_their_page() -> None:
    told = summarise(_pages(count=40))

    references = re.findall(r"port (\d+) [^.]*\[page (\d+)\]\.", told)
    assert len(references) > 5
    assert all(int(page) == int(port) + 1 for port, page in references)


def test_a_summary_of_summaries_keeps_the_pages_and_adds_none() -> None:
    notes = "\n\n".join(f"<notes>\n{summarise(_pages(count=n))}\n</notes>" for n in (20, 40))

    told = summarise(notes)

    references = re.findall(r"port (\d+) [^.]*?\[page (\d+)\]\.", told)
    assert len(references) > 5
    assert all(int(page) == int(port) + 1 for port, page in references)


def test_what_follows_the_pages_is_on_none_of_them() -> None:
    assert "few words [page" not in summarise(_pages(count=3))


def test_a_long_sentence_that_is_shortened_still_tells_its_page() -> None:
    long = " ".join(["lighthouses"] * 200)

    assert summarise(f"[page 7]\n{long}.").endswith("... [page 7]")
