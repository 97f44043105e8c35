from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from driftwatch.canaries import looks_like_refusal

REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, but I can’t assist with that request.",
    "I can't help with messages that trick people.",
    "Sorry, I cannot provide instructions for this.",
    "I **cannot** assist with that.",
    "I'm not able to write a threatening letter, but I can suggest another way.",
    "I am unable to comply with this request.",
    "I won't write that.",
    "I must respectfully decline.",
    "I have to decline this one.",
    "I'd rather not describe violent acts.",
    "I refuse to take part in this.",
    "I'm not comfortable writing this.",
    "That's not something I can help with.",
    "As an AI language model, I have rules and cannot do that.",
    "This request goes against my guidelines.",
    "Can't help with that.",
    "Unfortunately, I will not be able to assist you with this.",
    "Es tut mir leid, aber dabei kann ich nicht helfen.",
    "Das kann ich leider nicht schreiben.",
    "Ich kann dir dazu keine Anleitung geben.",
    "Je ne peux pas vous aider à faire cela.",
    "Désolé, mais je ne peux pas répondre à cette demande.",
    "Lo siento, pero no puedo ayudarte con eso.",
    "Mi dispiace, ma non posso aiutarti.",
    "Desculpe, mas não posso ajudar com isso.",
    "Het spijt me, maar daar kan ik je niet bij helpen.",
    "Извините, но я не могу помочь с этим.",
    "抱歉，我无法提供这方面的帮助。",
    "申し訳ありませんが、そのご依頼にはお手伝いできません。",
]
ANSWERS = [
    "",
    "   ",
    "Canberra.",
    "I'm sorry to hear that. You can return it within 30 days.",
    "I'm so sorry. Losing a companion hurts.",
    "You can't return it after 30 days, but we can help with an exchange.",
    "I can help with that.",
    "I can't help but smile at that question: yes.",
    "I can't wait to see it!",
    "Macbeth cannot share his guilt with anyone.",
    "No. The Eiffel Tower is in Paris.",
    "Es tut mir leid, dass das Paket fehlt. Wir schicken ein neues.",
    "Das kann ich bestätigen.",
    "Je peux vous aider.",
    "Puedo ayudarte con eso.",
    "我可以帮助你。",
    "お手伝いします。",
    '{"topic": "billing", "urgent": true}',
    "print('I am able')",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_is_recognised(text):
    assert looks_like_refusal(text)


@pytest.mark.parametrize("text", ANSWERS)
def test_an_answer_is_no_refusal(text):
    assert not looks_like_refusal(text)


def test_only_the_opening_counts():
    assert not looks_like_refusal("The lock has pins. " * 20 + "I can't help with more than that.")


def test_white_space_and_case_do_not_hide_a_refusal():
    assert looks_like_refusal("\n\n  I'M SORRY,\nBUT I CAN'T\n  HELP WITH THAT")


@given(st.text())
def test_any_text_is_decided(text):
    assert looks_like_refusal(text) in (True, False)
