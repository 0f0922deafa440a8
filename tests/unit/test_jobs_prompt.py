import json

from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.prompt import Prompt

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(text=st.text(), system=st.none() | st.text())
def test_a_text_prompt_survives_its_written_form(text: str, system: str | None) -> None:
    prompt = Prompt(text=text, system=system)

    assert Prompt.from_json(prompt.to_json()) == prompt


@settings(deadline=None)
@given(messages=st.lists(JSON_VALUES))
def test_a_conversation_survives_its_written_form(messages: list[object]) -> None:
    prompt = Prompt(messages=messages)

    assert Prompt.from_json(prompt.to_json()) == prompt


@given(body=st.text())
def test_a_native_body_survives_to_the_character(body: str) -> None:
    assert Prompt.from_json(Prompt(body=body).to_json()) == Prompt(body=body)


def test_a_prompts_written_form_says_only_what_is_there() -> None:
    assert json.loads(Prompt(text="hé").to_json()) == {"prompt": "hé"}
    assert Prompt(text="hé").to_json() == '{"prompt":"hé"}'
