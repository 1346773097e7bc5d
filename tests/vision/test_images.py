"""Images of strangers: read whole, refused in a sentence, or flagged in the middle of a drive."""

import struct
import zlib

import cv2
import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.site import Pose
from sitetwin.vision import Camera, flags, frame_from_file, read_image

CAMERA = Camera.from_view(Pose((0.0, 0.0, 5.0)), width=64, height=36)
PICTURE = np.random.default_rng(1).integers(90, 255, (36, 64, 3), dtype=np.uint8)


def jpeg(image=PICTURE):
    return cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()


def png(image=PICTURE):
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


def png_of_size(width, height):
    """A small file that says it has many pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    chunks = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_a_png_comes_back_in_red_green_blue(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), PICTURE)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GIF89a",
        jpeg()[:400],
        jpeg()[:-2],
        png()[:-20],
        png()[:200] + b"x" + png()[201:],
        png_of_size(60_000, 60_000),
        png_of_size(0, 3),
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xe0\x00\x01",
    ],
)
def test_what_is_no_whole_image_is_refused_and_flagged(tmp_path, content):
    file = tmp_path / "broken.jpg"
    file.write_bytes(content)
    with pytest.raises(SiteTwinError, match=r"broken\.jpg"):
        read_image(file)
    frame = frame_from_file(file, CAMERA, 3.0)
    assert frame.flags == (flags.BROKEN_IMAGE,)
    assert (frame.image.shape, frame.image.max(), frame.time) == ((36, 64, 3), 0, 3.0)


def test_a_moment_without_an_image_is_flagged(tmp_path):
    assert frame_from_file(None, CAMERA).flags == (flags.NO_IMAGE,)
    assert frame_from_file(tmp_path / "none.jpg", CAMERA).flags == (flags.NO_IMAGE,)
    assert frame_from_file(tmp_path, CAMERA).flags == (flags.BROKEN_IMAGE,)


def test_an_image_of_another_size_is_scaled_or_flagged(tmp_path):
    (tmp_path / "large.png").write_bytes(png(np.full((72, 128, 3), 200, np.uint8)))
    (tmp_path / "square.png").write_bytes(png(np.full((50, 50, 3), 200, np.uint8)))
    large, square = (frame_from_file(tmp_path / f"{name}.png", CAMERA) for name in ("large", "square"))
    assert large.flags == (flags.RESIZED,)
    assert large.image.shape == (36, 64, 3)
    assert large.image.min() == 200
    assert square.flags == (flags.WRONG_SIZE,)


def test_night_is_flagged(tmp_path):
    (tmp_path / "night.png").write_bytes(png(PICTURE // 8))
    assert frame_from_file(tmp_path / "night.png", CAMERA).flags == (flags.DARK,)


def test_grey_deep_and_transparent_images_become_colours(tmp_path):
    for name, image in (
        ("grey", np.full((36, 64), 100, np.uint8)),
        ("deep", np.full((36, 64, 3), 100 * 257, np.uint16)),
        ("clear", np.full((36, 64, 4), 100, np.uint8)),
    ):
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
        np.testing.assert_allclose(read_image(tmp_path / f"{name}.png"), 100, atol=1)
