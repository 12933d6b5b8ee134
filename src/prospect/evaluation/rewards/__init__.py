"""Rewards for completions: plain functions that TRL calls, of this program, of a user's own, or a judge's."""

from prospect.evaluation.rewards.answers import choice, exact, normalised, number, token_f1
from prospect.evaluation.rewards.composed import Rewards, rewards
from prospect.evaluation.rewards.form import format, length
from prospect.evaluation.rewards.judged import Asking

__all__ = ["Asking", "Rewards", "choice", "exact", "format", "length", "normalised", "number", "rewards", "token_f1"]
