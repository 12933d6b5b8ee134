"""A stream built piece by piece is, token for token, what training has."""

from __future__ import annotations

from itertools import takewhile

from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.conversation.dst import said
from prospect.conversation.pieces import Pieces
from prospect.conversation.sample import Sample
from prospect.conversation.segments import encode


def joined(sample: Sample, pieces: Pieces) -> list[int]:
    system = tuple(takewhile(lambda turn: turn.role == "system", sample.turns))
    ids = pieces.prompt(system, sample.task)
    for turn in sample.turns[len(system) :]:
        if turn.role == "frames":
            ids += pieces.frame() * len(turn.frames)
        elif turn.role == "user":
            ids += pieces.turn(turn)
        else:
            text = said(turn.transitions) if turn.role == "dst" else turn.text
            ids += pieces.opened(turn.role) + pieces.text(text) + pieces.closed()
            assert pieces.turn(turn) == pieces.opened(turn.role) + pieces.text(text) + pieces.closed()
    return ids


@given(data=st.data(), size=st.sampled_from([1, 5]))
@settings(max_examples=60, deadline=None)
def test_joined_pieces_are_the_whole_sequence(family, streams, data, size):
    sample = data.draw(streams())
    whole = encode(family.format.chat(sample, lambda picture: [], size), family.tokenizer, sample.id)
    assert joined(sample, Pieces(family.format, family.tokenizer, size)) == whole.ids


def test_what_a_model_wrote_is_read_back(family):
    pieces = Pieces(family.format, family.tokenizer)
    for text in ("", " led by blanks", "The red disc is in place.", "S1->complete, S2->start", "a\n\nb 🔥 don't  "):
        assert pieces.read(pieces.text(text)) == text


def test_a_turn_ends_with_its_token_and_a_newline(family):
    pieces = Pieces(family.format, family.tokenizer, 3)
    assert pieces.end == family.tokenizer.eos_token_id
    assert family.tokenizer.decode(pieces.closed()) == f"{family.format.end}\n"
    assert pieces.frame() == [family.id(family.format.image)] * 3
