"""DST clips: windows of videos in which steps start and complete and an assistant speaks up by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from prospect.conversation.sample import Frames, Sample, Turn
from prospect.data.clips.audit import Audit, audit
from prospect.data.clips.files import read_files
from prospect.data.clips.rows import Clip, Fault, clip_of
from prospect.data.clips.stores import Footage
from prospect.data.clips.turns import moments, turns_between
from prospect.data.dataset import OVERLAP, Dataset, Phase
from prospect.data.findings import Finding, listing, refuse
from prospect.data.fingerprint import fingerprint
from prospect.data.splits import SPLITS
from prospect.errors import UserError

LONG_CLIP = 1000  # frames: more than eight minutes at two a second


def assembly101_dst(
    folder: str,
    features: str | None = None,
    frame_root: str | None = None,
    on_bad: Literal["fail", "skip"] = "fail",
    blank_images: bool = False,
    neg_frame_sampling_rate: float = 1.0,
    overlap: float = OVERLAP,
    tell_state: bool = True,
    user_types: list[str] | None = None,
    warmup: Mapping[str, float] | None = None,
    long_clip: int = LONG_CLIP,
    verify: bool = False,
) -> Dataset:
    """Clips from `{train,val,test}_training.json`, or from JSON lines of the older form, and their frame stores.

    `warmup` names further files of clips (`dense`: dense_training.json) and the share of a run's steps, taken from the
    beginning in this order, that is spent on them instead of on train. `verify` reads every store whole.
    """
    if not 0 <= neg_frame_sampling_rate <= 1:
        raise UserError(f"data.neg_frame_sampling_rate={neg_frame_sampling_rate}: a share lies between 0 and 1")
    if overlap < 0:
        raise UserError(f"data.overlap={overlap}: seconds of context cannot be fewer than 0")
    shares = _shares(warmup or {})
    path = Path(folder).expanduser().resolve()
    checked = read(path, features, frame_root, blank_images, tuple(shares), long_clip, verify)
    if on_bad != "skip":
        refuse(checked.findings, folder, "clips")
    if not checked.clips:
        raise UserError(f"data.folder={folder}: not one clip of it can be used\n{listing(checked.findings)}")
    groups: dict[str, list[Sample]] = {name: [] for name in (*SPLITS, *shares)}
    for clip, frames in of_users(checked.clips, user_types):
        groups[clip.split].append(sample(clip, frames, tell_state))
    splits = {name: groups[name] for name in SPLITS}
    phases = tuple(Phase(name, share, groups[name]) for name, share in shares.items())
    return Dataset(
        name="assembly101_dst",
        task="stream",
        splits=splits,
        findings=checked.findings,
        fingerprint=fingerprint(splits, warmup=phases),
        warmup=phases,
        neg_frame_sampling_rate=neg_frame_sampling_rate,
        overlap=overlap,
        frame_root=_folder("frame_root", frame_root) or path,
    )


def read(
    folder: Path,
    features: str | None = None,
    frame_root: str | None = None,
    blank: bool = False,
    warmup: tuple[str, ...] = (),
    long_clip: int = LONG_CLIP,
    verify: bool = False,
) -> Audit:
    """Everything that a folder of clips holds, checked."""
    entries, findings = read_files(folder, warmup)
    clips = []
    for entry in entries:
        try:
            clips.append(clip_of(entry))
        except Fault as fault:
            findings.append(Finding(fault.kind, "error", entry.split, "", f"{entry.where}: {fault}"))
    footage = Footage(_folder("frame_root", frame_root) or folder, _folder("features", features), blank, verify)
    checked = audit(clips, footage.of, long_clip)
    return Audit(checked.clips, findings + checked.findings)


def of_users(clips: list[tuple[Clip, Frames]], types: list[str] | None) -> list[tuple[Clip, Frames]]:
    """Those under the named types of users. Captioned pictures, at which nothing is decided, belong to no user."""
    there = sorted({clip.user_type for clip, _ in clips if clip.decide})
    if unknown := [name for name in types or [] if name not in there]:
        raise UserError(f"data.user_types: no clip has the type {unknown[0]}; there are {', '.join(there)}")
    return [pair for pair in clips if types is None or not pair[0].decide or pair[0].user_type in types]


def sample(clip: Clip, frames: Frames, tell_state: bool = True) -> Sample:
    placed, _ = moments(clip.events, clip.start, clip.stop)
    turns = turns_between(frames, placed, clip.decide)
    # The task is told in the system turn, so there is one wherever there is a task.
    system = clip.system if clip.system is not None else "" if clip.task else None
    opening = [] if system is None else [Turn("system", (system,))]
    task = clip.task and replace(clip.task, tell_state=tell_state)
    return Sample(clip.id, (*opening, *turns), clip.meta, task)


def _folder(key: str, given: str | None) -> Path | None:
    if given is None:
        return None
    path = Path(given).expanduser().resolve()
    if not path.is_dir():
        raise UserError(f"data.{key}={given}: there is no such folder; it holds stores named as in `frames_file`")
    return path


def _shares(warmup: Mapping[str, float]) -> dict[str, float]:
    shares = {name: float(share) for name, share in warmup.items() if share}
    if any(share < 0 for share in shares.values()) or sum(shares.values()) >= 1:
        told = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        raise UserError(f"data.warmup: {told}: shares are at least 0, and below 1 together, so that train has steps")
    if clash := set(shares) & set(SPLITS):
        raise UserError(f"data.warmup.{clash.pop()}: that is a split; name another file of clips")
    return shares
