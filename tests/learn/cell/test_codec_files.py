"""Files of codecs and reports: truncated, altered and hostile ones are refused in a sentence."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from tests.learn.cell.conftest import AXES

from sitetwin.errors import SiteTwinError
from sitetwin.learn import CellCodec, Reports
from sitetwin.untrusted.tensors import read_safetensors


@pytest.fixture(scope="module")
def sound(codec, tmp_path_factory):
    file = tmp_path_factory.mktemp("codec") / "cell.codec"
    codec.save(file)
    return file.read_bytes()


def rewritten(sound, change):
    """The file with another header of ours."""
    (length,) = struct.unpack_from("<Q", sound)
    header = json.loads(sound[8 : 8 + length])
    about = json.loads(header["__metadata__"]["sitetwin"])
    change(about)
    header["__metadata__"]["sitetwin"] = json.dumps(about)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + sound[8 + length :]


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.01, 0.5, 0.999])
def test_truncated_codecs(sound, tmp_path, share):
    (tmp_path / "a.codec").write_bytes(sound[: int(share * len(sound))])
    with pytest.raises(SiteTwinError, match=r"^the codec '.*a.codec' is damaged"):
        CellCodec.load(tmp_path / "a.codec")


def test_an_altered_number_is_noticed(sound, tmp_path):
    changed = bytearray(sound)
    changed[-3] ^= 1
    (tmp_path / "a.codec").write_bytes(changed)
    with pytest.raises(SiteTwinError, match=r"its hash is another|not finite"):
        CellCodec.load(tmp_path / "a.codec")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda about: about.update(version=7), "was altered"),
        (lambda about: about["link"].update(carrier_hz=28e9), "was altered"),
        (lambda about: about.update(format="sitetwin.codec/9"), "of the format 'sitetwin.codec/9'"),
        (lambda about: about.pop("link"), "its header is wrong at 'link'"),
        (lambda about: about.update(secret=1), "its header is wrong at 'secret'"),
    ],
)
def test_altered_headers(sound, tmp_path, change, said):
    (tmp_path / "a.codec").write_bytes(rewritten(sound, change))
    with pytest.raises(SiteTwinError, match=said):
        CellCodec.load(tmp_path / "a.codec")


def resealed(sound, change):
    """The file with another header and the hash of its content: made on purpose."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from sitetwin.learn.cell.codec_file import CodecContent, content_hash, read_codec, write_codec

    with TemporaryDirectory() as folder:
        file = Path(folder) / "a"
        file.write_bytes(sound)
        content = read_codec(file)
        data, tensors = content.about.model_dump(mode="json"), dict(content.tensors)
        change(data, tensors)
        about = type(content.about).model_validate(data)
        about = about.model_copy(update={"hash": content_hash(about, tensors)})
        write_codec(Path(folder) / "b", CodecContent(about, tensors))
        return (Path(folder) / "b").read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda data, tensors: data.update(kind="pickle"),
        lambda data, tensors: data.update(shape=[12, 8]),
        lambda data, tensors: data.update(parents=["a" * 64]),
        lambda data, tensors: data.update(training={}),
        lambda data, tensors: data["link"].update(taps=10**9),
        lambda data, tensors: data["link"].update(taps="many"),
        lambda data, tensors: data["link"].update(colour="red"),
        lambda data, tensors: data["link"]["array"].update(rows_columns=[4, 5]),
        lambda data, tensors: data["link"]["array"].update(rows_columns="1x16"),
        lambda data, tensors: data["parameters"].update(codec="klt2"),
        lambda data, tensors: data["parameters"].update(parameters=[]),
        lambda data, tensors: tensors.pop("codec.front"),
        lambda data, tensors: tensors.pop("quantiser.bits"),
        lambda data, tensors: tensors.update({"quantiser.bits": tensors["quantiser.bits"] + 60}),
        lambda data, tensors: tensors.update({"quantiser.low": tensors["quantiser.high"] + 1}),
        lambda data, tensors: tensors.update({"codec.bases": tensors["codec.bases"][:, :-1]}),
    ],
)
def test_forged_codecs(sound, tmp_path, change):
    (tmp_path / "a.codec").write_bytes(resealed(sound, change))
    with pytest.raises(SiteTwinError, match=r"a\.codec"):
        CellCodec.load(tmp_path / "a.codec")


def test_missing_and_foreign_files(codec, tmp_path):
    with pytest.raises(SiteTwinError, match=r"cannot be read"):
        CellCodec.load(tmp_path / "none.codec")
    (tmp_path / "b.codec").write_bytes(b"PK\x03\x04 an archive of some kind")
    with pytest.raises(SiteTwinError, match=r"damaged"):
        CellCodec.load(tmp_path / "b.codec")
    text = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    (tmp_path / "c.codec").write_bytes(struct.pack("<Q", len(text)) + text + b"\0\0\0\0")
    with pytest.raises(SiteTwinError, match=r"but not of sitetwin's"):
        CellCodec.load(tmp_path / "c.codec")
    codec.save(tmp_path / "d.codec")
    with pytest.raises(SiteTwinError, match=r"exists already"):
        codec.save(tmp_path / "d.codec")


@pytest.mark.parametrize(
    "about",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": 1, "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [0]},
        {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]},
        {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]},
        [],
    ],
)
def test_tensors_that_are_not_where_they_should_be(tmp_path, about):
    text = json.dumps({"a": about}).encode()
    (tmp_path / "a").write_bytes(struct.pack("<Q", len(text)) + text + b"\0\0\0\0")
    with pytest.raises(SiteTwinError, match=r"^the file"):
        read_safetensors(tmp_path / "a", "the file", "mend it")


@settings(deadline=None, max_examples=60)
@given(some.integers(0, 10**9), some.integers(1, 255))
def test_a_flipped_byte_never_passes(sound, tmp_path_factory, place, flip):
    changed = bytearray(sound)
    changed[place % len(sound)] ^= flip
    file = tmp_path_factory.mktemp("flip") / "a.codec"
    file.write_bytes(changed)
    try:
        CellCodec.load(file)
    except SiteTwinError:
        return
    # Blanks of JSON may change into other blanks without a change of the content.
    assert bytes(changed).replace(b"\t", b" ").replace(b"\n", b" ").replace(b"\r", b" ") == sound


def test_reports_that_are_none(codec, others, tmp_path):
    codec.encode(others, axes=AXES).save(tmp_path / "r.npz")
    content = (tmp_path / "r.npz").read_bytes()
    (tmp_path / "short.npz").write_bytes(content[:-40])
    with pytest.raises(SiteTwinError, match=r"damaged"):
        Reports.load(tmp_path / "short.npz")
    np.savez(tmp_path / "other.npz", about=np.zeros(3, np.uint8), payload=np.zeros(3), bits=np.zeros(3, np.int64))
    with pytest.raises(SiteTwinError, match=r"other types"):
        Reports.load(tmp_path / "other.npz")
    text = np.frombuffer(b'{"format": "sitetwin.csi-reports/1", "codec": "x", "version": 1}', np.uint8)
    np.savez(tmp_path / "who.npz", about=text, payload=np.zeros(3, np.uint8), bits=np.zeros(3, np.int64))
    with pytest.raises(SiteTwinError, match=r"does not say whose"):
        Reports.load(tmp_path / "who.npz")
    text = np.frombuffer(
        json.dumps({"format": "sitetwin.csi-reports/1", "codec": "a" * 64, "version": 1}).encode(), np.uint8
    )
    np.savez(tmp_path / "long.npz", about=text, payload=np.zeros(3, np.uint8), bits=np.array([-8, 32]))
    with pytest.raises(SiteTwinError, match=r"other lengths"):
        Reports.load(tmp_path / "long.npz")
    with pytest.raises(SiteTwinError, match=r"does not end in .npz"):
        codec.encode(others, axes=AXES).save(tmp_path / "r.bin")
