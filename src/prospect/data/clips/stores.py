"""The stores that clips name: found, opened once for their length, and handed out as references."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isclose
from pathlib import Path

from prospect.conversation.sample import Frames
from prospect.data.clips.rows import Clip, Fault
from prospect.data.frames import FeatureStore, FrameStore, Store, content_digest, verify
from prospect.errors import UserError


@dataclass
class Footage:
    """`root` holds the JPEG stores, `features` the stores of what a frozen tower made of them, by the same names."""

    root: Path
    features: Path | None = None
    blank: bool = False
    verify: bool = False  # hash every store that is read: minutes for a hundred gigabytes
    _lengths: dict[Path, int] = field(default_factory=dict)

    def of(self, clip: Clip) -> Frames:
        """The clip's frames. Raises a Fault where a store is missing, cannot be read, or ends before the clip."""
        store = FrameStore(self.root / clip.frames_file)
        features = FeatureStore(self.features / clip.frames_file) if self.features else None
        if features and not features.path.is_file():
            raise Fault("missing-features", f"there is no feature store {features.path}")
        filmed = store.path.is_file()
        if not filmed and not features:
            raise Fault(
                "missing-store", f"there is no frame store {store.path}: data.frame_root is the folder above it"
            )
        if self.blank and not filmed:
            raise UserError(f"data.blank_images=true needs the frames themselves, and there is no {store.path}")
        for each in (store if filmed else None, features):
            if each:
                self._check(clip, each)
        if filmed and features:
            self._check_source(store, features)
        return Frames(
            clip.start,
            clip.stop,
            store if filmed else None,
            None if self.blank else features,  # features of true frames would show what is to be hidden
            clip.fps,
            self.blank,
        )

    def _check(self, clip: Clip, store: Store) -> None:
        if store.path not in self._lengths:
            self._lengths[store.path] = self._length(store)
        length = self._lengths[store.path]
        if clip.stop > length:
            raise Fault("past-store", f"the clip ends at frame {clip.stop} and {store.path} holds {length} frames")
        rate = float(store.meta.get("fps", clip.fps))  # stores written elsewhere do not say theirs
        if not isclose(rate, clip.fps, rel_tol=1e-3):  # seconds would be other frames than the ones they mean
            raise Fault("rate-differs", f"the clip has {clip.fps:g} frames a second and {store.path} has {rate:g}")

    def _length(self, store: Store) -> int:
        if self.verify and (wrong := verify(store.path)):
            raise Fault("damaged-store", f"{wrong[0]}; write it again")
        try:
            return len(store)
        except UserError as error:
            raise Fault("unreadable-store", str(error)) from error

    @staticmethod
    def _check_source(store: FrameStore, features: FeatureStore) -> None:
        """Features of a video that was cut or filmed anew would show other moments than the clip means."""
        source = features.meta.get("source")  # stores written elsewhere do not say theirs
        if source is not None and source != content_digest(store.path):
            raise Fault(
                "stale-features", f"{features.path} was made of another version of {store.path}: encode it again"
            )
