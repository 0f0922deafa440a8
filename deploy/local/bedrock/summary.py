"""The stand-in's "model": it picks sentences of the text it is given and says that it did.

Deterministic and linear in the length of the text. A sentence scores by how often its words occur
in the whole text; the best ones are told in the order of the text, under their own headings.
Where the text marks its pages (`[page 12]` on a line of its own), each sentence tells its page.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

DISCLOSURE = "Extractive summary by the local stand-in (no model was called)."

_SHORT_PROMPT_WORDS = 60
_MOST_WORDS = 290  # with headings and the opening lines this makes 250 to 400 tokens
_LEAST_WORDS = 40
_MOST_SECTIONS = 6
_SENTENCE_CHARS = 400
_SENTENCE_WORDS = range(6, 46)
_USUAL_SENTENCE_WORDS = 18
_HEADING_CHARS = 90
_LINE_CHARS = 4000

_WORDS_THAT_SAY_LITTLE = """
    about above after again against all also although always among because been before being below
    between both cannot could does doing down during each either else even ever every from further
    have having here hers herself himself however into itself just like made make many might more
    most much must myself neither never only other ourselves over same shall should since some
    such than that their theirs them themselves then there these they this those though through
    thus under until upon very well were what when where whether which while whom whose will with
    within without would your yours yourself
"""
_WORD = re.compile(r"[^\W\d_][\w'\u2019]{3,40}")
_SENTENCE_END = re.compile(r"(?<=[.!?\u3002\uff01\uff1f])[\"'\u201d\u2019)\]]*\s+")
_HEADING = re.compile(
    r"#{1,6}\s+\S"
    r"|(?i:chapter|part|section|book|appendix|act)\s+[\dIVXLCivxlc]+\b"
    r"|\d{1,3}(?:\.\d{1,3})*\.?\s+[A-Z]"
)
_PAGE = re.compile(r"\[(?:[^\[\]]+, )?page \d+\]")
_END_OF_PAGES = re.compile(r"</\w+>|\[end of [^\[\]]+\]")
_FULL_STOP = re.compile(r"[.!?]?$")
_COMMON_WORDS = frozenset(_WORDS_THAT_SAY_LITTLE.split())


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sentence:
    text: str
    words: tuple[str, ...]
    length: int
    section: int


def summarise(text: str, *, unread: tuple[str, ...] = ()) -> str:
    """Return a summary: up to some 300 words for a long text, a quotation of a short one.

    `unread` names what the caller also sent that was not read; the summary says so.
    """
    opening = DISCLOSURE
    if unread:
        opening += f" Not read by the stand-in: {', '.join(unread)}."
    length = len(text.split(None, _SHORT_PROMPT_WORDS))
    if length < _SHORT_PROMPT_WORDS:
        return f"{opening}\n\n{_quote(text, length)}"
    headings, sentences = _read(text)
    if not sentences:  # nothing but headings
        headings, sentences = [""], [_sentence(heading, 0) for heading in headings[1:]]
    chosen = _choose(sentences, _words_wanted(sentences))
    return f"{opening}\n\n{_tell(headings, chosen)}"


def _quote(text: str, length: int) -> str:
    quoted = _shorten(" ".join(text.split()))
    if not quoted:
        return "The prompt holds no text to summarise."
    words = "1 word" if length == 1 else f"{length} words"
    return f'The prompt has {words}, too few to summarise. It says: "{quoted}"'


def _read(text: str) -> tuple[list[str], list[_Sentence]]:
    """Split the text into headings and sentences; each sentence knows the number of its heading."""
    headings, sentences, page = [""], list[_Sentence](), ""
    for paragraph in _paragraphs(text):
        if _stands_alone(paragraph):
            page = paragraph if _PAGE.fullmatch(paragraph) else ""
        elif _is_heading(paragraph):
            headings.append(paragraph.strip("#=*- \t"))
        else:
            section = len(headings) - 1
            sentences += [
                _sentence(_refer(text, page), section) for text in _SENTENCE_END.split(paragraph)
            ]
    return headings, sentences


def _refer(sentence: str, page: str) -> str:
    """Let a sentence tell its page, within its full stop; one that does already stays."""
    if not page or not sentence or _PAGE.search(sentence):
        return sentence
    return _FULL_STOP.sub(lambda stop: f" {page}{stop.group()}", sentence, count=1)


def _stands_alone(line: str) -> bool:
    return _PAGE.fullmatch(line) is not None or _END_OF_PAGES.fullmatch(line) is not None


def _sentence(text: str, section: int) -> _Sentence:
    words = tuple(word.lower() for word in _WORD.findall(text))
    return _Sentence(text=text, words=words, length=text.count(" ") + 1, section=section)


def _paragraphs(text: str) -> Iterator[str]:
    """Join the lines of each paragraph; a heading is a paragraph by itself.

    A paragraph stays short, so that one regular expression call never holds the interpreter, and
    with it the event loop, for long.
    """
    lines, size, after_blank = list[str](), 0, True
    for line in map(str.strip, _lines(text)):
        # In running text a line may begin like a heading: "section 13, concerning ...".
        heading = (after_blank or line.startswith("#")) and _is_heading(line)
        heading = heading or _stands_alone(line)
        after_blank = not line
        if lines and (not line or heading or size > _LINE_CHARS):
            yield " ".join(lines)
            lines, size = [], 0
        if heading:
            yield line
        elif line:
            lines.append(line)
            size += len(line)
    if lines:
        yield " ".join(lines)


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        for start in range(0, len(line) or 1, _LINE_CHARS):
            yield line[start : start + _LINE_CHARS]


def _is_heading(line: str) -> bool:
    if len(line) > _HEADING_CHARS or line.endswith((".", ",", ";", ":", "?", "!")):
        return False
    letters = sum(map(str.isalpha, line))
    shouted = letters >= 4 and line.isupper()  # noqa: PLR2004 - shorter ones are initials
    return letters > 0 and (shouted or _HEADING.match(line) is not None)


def _words_wanted(sentences: list[_Sentence]) -> int:
    total = sum(sentence.length for sentence in sentences)
    return max(_LEAST_WORDS, min(_MOST_WORDS, total // 3))


def _choose(sentences: list[_Sentence], words_wanted: int) -> list[_Sentence]:
    """Return the best sentences, in their order, spread over the sections that say most."""
    weights = _weights(sentences)
    scores = [_score(sentence, weights) for sentence in sentences]
    sections = _main_sections(sentences, scores)
    most_per_section = max(_LEAST_WORDS, math.ceil(words_wanted / max(1, len(sections))))
    ranked = sorted(range(len(sentences)), key=lambda index: (-scores[index], index))
    chosen, used, left = set[int](), Counter[int](), words_wanted
    seen = set[str]()
    for index in ranked:
        sentence = sentences[index]
        section, length = sentence.section, min(sentence.length, _SENTENCE_WORDS.stop)
        if (
            section not in sections
            or used[section] + length > most_per_section + _USUAL_SENTENCE_WORDS
        ):
            continue
        if length > left or sentence.text in seen:
            continue
        chosen.add(index)
        seen.add(sentence.text)
        used[section] += length
        left -= length
        if left < _SENTENCE_WORDS.start:
            break
    return [sentences[index] for index in sorted(chosen or set(ranked[:1]))]


def _weights(sentences: Iterable[_Sentence]) -> dict[str, float]:
    counts = Counter[str]()
    for sentence in sentences:
        counts.update(sentence.words)
    return {word: math.log1p(count) for word, count in counts.items() if word not in _COMMON_WORDS}


def _score(sentence: _Sentence, weights: dict[str, float]) -> float:
    weight = sum(weights.get(word, 0.0) for word in set(sentence.words))
    if sentence.length not in _SENTENCE_WORDS:
        weight *= 0.3  # a list, a table row or a fragment tells little by itself
    return weight / (sentence.length + _USUAL_SENTENCE_WORDS)


def _main_sections(sentences: list[_Sentence], scores: list[float]) -> set[int]:
    totals = Counter[int]()
    for sentence, score in zip(sentences, scores, strict=True):
        totals[sentence.section] += 1 + int(100 * score)
    ranked = sorted(totals, key=lambda section: (-totals[section], section))
    return set(ranked[:_MOST_SECTIONS])


def _tell(headings: list[str], chosen: list[_Sentence]) -> str:
    parts, section = list[str](), 0
    for sentence in chosen:
        if sentence.section != section:
            section = sentence.section
            parts.append(f"\n\n## {headings[section]}\n\n")
        elif parts:
            parts.append(" ")
        parts.append(_shorten(" ".join(sentence.text.split())))
    return "".join(parts).strip()


def _shorten(sentence: str) -> str:
    """Shorten a long sentence; where it told its page, it still does."""
    words, short = sentence.split(), sentence
    if len(words) > _SENTENCE_WORDS.stop:
        short = " ".join(words[: _SENTENCE_WORDS.stop]) + " ..."
    if len(short) > _SENTENCE_CHARS:
        short = short[:_SENTENCE_CHARS] + " ..."
    page = _PAGE.search(sentence)
    return f"{short} {page.group()}" if page and not _PAGE.search(short) else short
