"""Every published shape gives the same conversation; what is of none, or of several, is refused by its columns."""

from __future__ import annotations

import pytest
from tests.data.chat_rows import asked, picture

from prospect.conversation.sample import Picture
from prospect.data.chats.shapes import in_one_shape
from prospect.data.element.rows import Fault
from prospect.data.users.rows import conversation


def turns(row, folder):
    """(role, parts), pictures by the names of their files."""
    return [
        (turn.role, *(part.source.name if isinstance(part, Picture) else part for part in turn.parts))
        for turn in conversation(in_one_shape(row), folder)
    ]


ONE = "1.png"
SAME = [
    {"images": [ONE], "texts": [{"user": "what?", "assistant": "fire", "source": "somewhere"}]},
    {"image": ONE, "conversations": [{"from": "human", "value": "<image>\nwhat?"}, {"from": "gpt", "value": "fire"}]},
    {"image": ONE, "conversations": [{"role": "user", "content": "what?"}, {"role": "assistant", "content": "fire"}]},
    asked(images=[ONE]),
    asked("<image>what?", image=[ONE]),
    asked([{"type": "image"}, {"type": "text", "text": "what?"}], [{"type": "text", "text": "fire"}], images=[ONE]),
    asked([{"type": "image", "path": ONE, "text": None}, {"type": "text", "text": "what?"}], images=None),
    {"prompt": "what?", "completion": "fire", "image": ONE},
    {"prompt": asked()["messages"][:1], "completion": asked()["messages"][1:], "images": [ONE], "texts": None},
]


@pytest.mark.parametrize("row", SAME)
def test_the_same_conversation_in_every_shape(row, tmp_path):
    picture(tmp_path, 1)
    assert turns(row, tmp_path) == [("user", "1.png", "what?"), ("assistant", "fire")]


def test_several_turns_and_a_system_turn(tmp_path):
    row = {
        "system": "Be short.",
        "texts": [{"user": "a?", "assistant": "b"}, {"user": "c?", "assistant": "d"}],
    }
    expected = [("system", "Be short."), ("user", "a?"), ("assistant", "b"), ("user", "c?"), ("assistant", "d")]
    assert turns(row, tmp_path) == expected


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Compare <image> with <image>.", ("Compare ", "1.png", " with ", "2.png", ".")),
        ("<image>\n<image>\nWhich?", ("1.png", "2.png", "Which?")),
        ("<image> or\n<image>", ("1.png", "or", "2.png")),
        ("Which?", ("1.png", "2.png", "Which?")),
    ],
)
def test_placeholders_are_places_where_there_is_one_for_every_picture(text, parts, tmp_path):
    images = [picture(tmp_path, 1), picture(tmp_path, 2)]
    assert turns(asked(text, images=images), tmp_path)[0] == ("user", *parts)


def test_a_placeholder_without_pictures_is_words(tmp_path):
    assert turns(asked("what is <image>?"), tmp_path)[0] == ("user", "what is <image>?")


def test_too_many_placeholders_are_a_fault(tmp_path):
    row = asked("<image><image>what?", images=[picture(tmp_path, 1)])
    with pytest.raises(Fault, match="more pictures than the 1"):
        turns(row, tmp_path)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (
            {"problem": "1 + 1", "solution": "2"},
            "has the columns problem, solution; accepted are {texts: .*data.map=FILE",
        ),
        ({"prompt": "x", "chosen": "a", "rejected": "b"}, "data=preferences"),
        (asked(prompt="x", completion="y"), r"several shapes at once \(messages, prompt\+completion\)"),
        (asked(image="1.png", images=["1.png"]), "both image and images"),
        ({"texts": "what?"}, "texts must be a list of turns"),
        ({"texts": [{"user": "what?"}]}, "texts must hold {user, assistant}"),
        ({"conversations": [{"from": "tool", "value": "x"}]}, "unknown speaker 'tool'"),
        ({"conversations": ["what?"]}, "a turn must be {from, value}"),
        ({"prompt": "what?", "completion": " "}, "an assistant turn is empty"),
        ({"conversations": [{"from": "human", "value": "what?"}]}, "the turns go user"),
        (["what?"], "is a list"),
    ],
)
def test_what_cannot_be_read_is_named(row, told, tmp_path):
    with pytest.raises(Fault, match=told):
        turns(row, tmp_path)
