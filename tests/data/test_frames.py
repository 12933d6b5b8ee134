"""Frame stores: what is read is what was written, and every kind of damage is found before it does harm."""

from __future__ import annotations

import base64
import io
import multiprocessing
import pickle
import random
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from prospect.data import frames as module
from prospect.data.frames import FeatureStore, FrameStore, verify, write_features, write_frames
from prospect.data.store_files import MAGIC, _mapped, manifest_of
from prospect.errors import UserError

COUNT, BATCH = 150, 64  # three record batches
META = {"fps": 2, "video": "toy_7"}


def jpeg(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 8), (shade, 255 - shade, 40)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture(scope="module")
def jpegs() -> list[bytes]:
    return [jpeg(shade) for shade in range(COUNT)]


@pytest.fixture
def path(tmp_path, jpegs, monkeypatch):
    monkeypatch.setattr(module, "FRAMES_A_BATCH", BATCH)
    write_frames(tmp_path / "toy.arrow", iter(jpegs), META)
    return tmp_path / "toy.arrow"


def published(path, values, kind, batch=7, column="frame", new=pa.ipc.new_file):
    """A store as other programs write it: any column type, any batch size, no metadata."""
    schema = pa.schema([("index", pa.int32()), (column, kind)])
    with pa.OSFile(str(path), "wb") as sink, new(sink, schema) as writer:
        for start in range(0, len(values), batch):
            part = values[start : start + batch]
            writer.write_batch(pa.record_batch([pa.array(range(len(part)), pa.int32()), pa.array(part, kind)], schema))
    return path


def features(count: int, tokens: int = 3, width: int = 5, dtype=np.float16) -> list[np.ndarray]:
    noise = np.random.default_rng(count)
    return [noise.standard_normal((tokens, width)).astype(dtype) for _ in range(count)]


class TestFrames:
    def test_bytes_come_back(self, path, jpegs):
        store = FrameStore(path)
        assert (len(store), store.fps, store.meta) == (COUNT, 2.0, META)
        assert store.jpegs(0, COUNT) == jpegs
        assert verify(path) == []
        assert [entry.name for entry in path.parent.iterdir() if entry.name.startswith(".")] == []

    def test_frames_are_decoded_to_rgb(self, tmp_path, jpegs):
        grey = io.BytesIO()
        Image.new("L", (4, 4), 200).save(grey, "JPEG")
        write_frames(tmp_path / "a", [jpegs[3], grey.getvalue()], {})
        colour, bright = FrameStore(tmp_path / "a").frames(0, 2)
        assert colour.tobytes() == Image.open(io.BytesIO(jpegs[3])).tobytes()
        assert next(FrameStore(tmp_path / "a").decoded(1, 2)).tobytes() == bright.tobytes()
        assert (bright.mode, bright.getpixel((1, 1))) == ("RGB", (200, 200, 200))

    @pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()], ids=str)
    @pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
    def test_published_forms(self, tmp_path, jpegs, kind, new):
        text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        values = [base64.b64encode(raw).decode() for raw in jpegs] if text else jpegs
        store = FrameStore(published(tmp_path / "p.arrow", values, kind, new=new))
        assert (len(store), store.meta) == (COUNT, {})
        assert store.jpegs(5, 40) == jpegs[5:40]
        with pytest.raises(UserError, match="frame rate"):
            _ = store.fps

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
    @given(ends=st.tuples(st.integers(0, COUNT), st.integers(0, COUNT)).map(sorted))
    @example(ends=[BATCH, BATCH])
    @example(ends=[BATCH - 1, 2 * BATCH + 1])
    def test_any_slice_is_the_lists(self, path, jpegs, ends):
        start, stop = ends
        assert FrameStore(path).jpegs(start, stop) == jpegs[start:stop]

    @pytest.mark.parametrize(("start", "stop"), [(0, COUNT + 1), (-1, 3), (9, 4), (COUNT + 1, COUNT + 1)])
    def test_range_beyond_the_video(self, path, start, stop):
        with pytest.raises(UserError, match=rf"toy.arrow holds {COUNT} frames and frames {start} to {stop} .*check"):
            FrameStore(path).frames(start, stop)

    def test_what_is_no_frame_store(self, tmp_path, path):
        with pytest.raises(UserError, match=r"gone.arrow cannot be opened"):
            len(FrameStore(tmp_path / "gone.arrow"))
        for name, content in (("text", b"no arrow at all, only words"), ("empty", b"")):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(UserError, match=f"{name} cannot be read as an Arrow file"):
                len(FrameStore(tmp_path / name))
        with pytest.raises(UserError, match="must have one column `feature` and has frame"):
            FeatureStore(path).features(0, 1)
        with pytest.raises(UserError, match="is int32: it must be JPEG bytes"):
            FrameStore(published(tmp_path / "n", [1, 2], pa.int32())).jpegs(0, 1)
        with pytest.raises(UserError, match="rows without a value"):
            FrameStore(published(tmp_path / "v", [b"a", None], pa.binary())).jpegs(0, 2)
        with pytest.raises(UserError, match=r"frame 1 of .* is not base64"):
            FrameStore(published(tmp_path / "b", ["YQ==", "YW*Jj"], pa.string())).jpegs(0, 2)
        with pytest.raises(UserError, match=r"frame 1 of .* is damaged"):
            FrameStore(published(tmp_path / "d", [b"", jpeg(1)[:-90]], pa.binary())).frames(1, 2)

    def test_nothing_is_left_of_a_write_that_fails(self, tmp_path):
        def broken():
            yield from [b"x"] * 100
            raise RuntimeError("the decoder died")

        with pytest.raises(RuntimeError, match="decoder"):
            write_frames(tmp_path / "a.arrow", broken(), {})
        with pytest.raises(UserError, match="no frames"):
            write_frames(tmp_path / "a.arrow", [], {})
        assert list(tmp_path.iterdir()) == []

    def test_same_content_gives_the_same_bytes(self, tmp_path, path, jpegs):
        write_frames(tmp_path / "again", jpegs, dict(reversed(META.items())))
        assert (tmp_path / "again").read_bytes() == path.read_bytes()

    def test_a_store_written_anew_is_read_anew(self, path, jpegs):
        store = FrameStore(path)
        assert len(store) == COUNT
        write_frames(path, jpegs[:9], META)
        assert (len(store), store.jpegs(7, 9), verify(path)) == (9, jpegs[7:9], [])


class TestFeatures:
    @pytest.mark.parametrize("dtype", [np.float16, np.float32])
    def test_come_back_across_batches(self, tmp_path, monkeypatch, dtype):
        monkeypatch.setattr(module, "FEATURE_BATCH_BYTES", 400)
        arrays = features(64, dtype=dtype)
        write_features(tmp_path / "f", iter(arrays), {"fps": 2, "weights": "ab12", "grid": [3, 5]})
        store = FeatureStore(tmp_path / "f")
        assert (len(store), store.shape, store.dtype, store.meta["grid"]) == (64, (3, 5), dtype, [3, 5])
        for start, stop in ((0, 64), (3, 4), (11, 41), (64, 64)):
            got = store.features(start, stop)
            assert got.dtype == dtype
            assert np.array_equal(got, np.array(arrays)[start:stop].reshape(-1, 3, 5))
            assert not got.flags.writeable

    def test_one_batch_is_a_view_that_outlives_the_store(self, tmp_path):
        arrays = features(20)
        write_features(tmp_path / "f", arrays, {})
        got, again = (FeatureStore(tmp_path / "f").features(4, 9) for _ in range(2))
        assert np.shares_memory(got, again)
        (tmp_path / "f").unlink()
        assert np.array_equal(got, arrays[4:9])

    @pytest.mark.parametrize("nested", [True, False])
    def test_fixed_size_lists(self, tmp_path, nested):
        arrays = features(10, dtype=np.float32)
        kind = pa.list_(pa.list_(pa.float32(), 5), 3) if nested else pa.list_(pa.list_(pa.float32()))
        store = FeatureStore(published(tmp_path / "f", [a.tolist() for a in arrays], kind, column="feature"))
        if nested:
            assert np.array_equal(store.features(2, 9), arrays[2:9])
        else:
            with pytest.raises(UserError, match="it must be a fixed-shape tensor"):
                store.features(2, 9)

    def test_missing_values_do_not_shift_the_rest(self, tmp_path):
        kind = pa.list_(pa.list_(pa.float32(), 2), 2)
        rows = [[[1, 2], [3, 4]], [[5, 6], None], [[7, 8], [9, None]]]
        store = FeatureStore(published(tmp_path / "f", rows, kind, column="feature"))
        assert store.features(0, 1).tolist() == rows[:1]
        for row in (1, 2):
            with pytest.raises(UserError, match="without a value"):
                store.features(row, row + 1)

    def test_frames_that_do_not_fit_together(self, tmp_path):
        for other in (features(1, tokens=4), features(1, dtype=np.float32)):
            with pytest.raises(ValueError, match=r"same shape|in a store of"):
                write_features(tmp_path / "f", features(2) + other, {})
        with pytest.raises(ValueError, match="tokens, floats"):
            write_features(tmp_path / "f", [np.zeros((2, 2))], {})
        with pytest.raises(UserError, match="no frames"):
            write_features(tmp_path / "f", [], {})
        assert list(tmp_path.iterdir()) == []


class TestDamage:
    def test_every_flipped_bit_is_found_and_none_ends_the_process(self, path, jpegs):
        sound, dice = path.read_bytes(), random.Random(0)
        for _ in range(300):
            place, bit = dice.randrange(len(sound)), 1 << dice.randrange(8)
            path.write_bytes(sound[:place] + bytes([sound[place] ^ bit]) + sound[place + 1 :])
            assert verify(path) == [f"{path} has changed since it was written"]
            _mapped.cache_clear()  # the clock of a file system may be too coarse to tell two quick writes apart
            with suppress(UserError):  # refusing is right, so are other bytes than were written: verify tells
                FrameStore(path).jpegs(0, COUNT)

    def test_damaged_metadata_is_refused(self, path):
        path.write_bytes(path.read_bytes().replace(b'{"fps": 2', b'["fps": 2'))
        with pytest.raises(UserError, match="metadata is no JSON object"):
            _ = FrameStore(path).fps

    def test_damaged_offsets_are_refused(self, path, jpegs):
        sound = path.read_bytes()
        offsets = np.cumsum([0] + [len(raw) for raw in jpegs[:BATCH]]).astype(np.int64).tobytes()
        place = sound.index(offsets) + 8 * 10
        path.write_bytes(sound[:place] + (2**40).to_bytes(8, "little") + sound[place + 8 :])
        with pytest.raises(UserError, match="is damaged"):
            FrameStore(path).jpegs(0, 20)

    @pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
    def test_cut_short(self, tmp_path, jpegs, new):
        path = published(tmp_path / "p", jpegs, pa.binary(), new=new)
        path.write_bytes(path.read_bytes()[:-2000])
        with pytest.raises(UserError, match="cut short"):
            len(FrameStore(path))

    def test_cut_or_grown_files_and_missing_manifests(self, path):
        sound = path.read_bytes()
        assert sound.startswith(MAGIC)
        for content in (sound[:-1], sound + b"\0"):
            path.write_bytes(content)
            assert verify(path) == [f"{path} has {len(content)} bytes instead of {len(sound)}"]
        for note in ("{", "{}", "[]", '{"size": null, "sha256": 1}'):
            manifest_of(path).write_text(note)
            assert verify(path) == [f"{manifest_of(path)} is damaged"]
        manifest_of(path).unlink()
        assert "has no toy.arrow.manifest.json" in verify(path)[0]
        path.unlink()
        assert verify(path) == [f"{path} is missing"]


class TestProcesses:
    def test_an_opened_store_travels(self, path, jpegs):
        store = FrameStore(path)
        assert len(store) == COUNT
        pickled = pickle.dumps(store)
        assert len(pickled) < 1000
        assert pickle.loads(pickled) == store
        assert pickle.loads(pickled).jpegs(1, 3) == jpegs[1:3]

    @pytest.mark.parametrize("way", ["fork", "spawn"])
    def test_two_processes_read_at_once(self, path, jpegs, way):
        store = FrameStore(path)
        assert store.jpegs(0, 1) == jpegs[:1]  # the parent has it open
        with multiprocessing.get_context(way).Pool(2) as pool:
            got = pool.starmap(store.jpegs, [(start, start + 30) for start in range(120)], chunksize=5)
        assert got == [jpegs[start : start + 30] for start in range(120)]

    def test_memory_does_not_grow_with_the_store(self, tmp_path):
        raw = random.Random(0).randbytes(2000)
        write_frames(tmp_path / "long", (raw for _ in range(20_000)), {})  # 40 MB
        before = private_memory()
        store = FrameStore(tmp_path / "long")
        assert store.jpegs(15_000, 15_010) == [raw] * 10
        assert private_memory() - before < 2 * 2**20


def private_memory() -> int:
    try:
        with open("/proc/self/status") as file:  # noqa: PTH123
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon"))
    except (OSError, StopIteration):
        pytest.skip("no figures about this process's memory here")
