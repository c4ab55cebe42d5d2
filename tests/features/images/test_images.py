import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pil

from features.images.images import Limits, UnreadableImage, load_image

RED = (200, 30, 40)


def encoded(image: pil.Image, suffix: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, suffix, **options)
    return buffer.getvalue()


def two_halves(mode: str = "RGB") -> pil.Image:
    """40 x 20, left red, right blue."""
    image = pil.new("RGB", (40, 20), RED)
    image.paste((20, 40, 220), (20, 0, 40, 20))
    return image.convert(mode)


@pytest.mark.parametrize("suffix", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_wanted_format_gives_the_same_picture(suffix: str) -> None:
    image = load_image(encoded(two_halves(), suffix))
    assert (image.width, image.height, image.pixels.shape) == (40, 20, (20, 40, 3))
    assert image.pixels.dtype == np.uint8
    assert np.abs(image.pixels[10, 5].astype(int) - RED).max() < 12
    assert np.abs(image.pixels[10, 35].astype(int) - (20, 40, 220)).max() < 12


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "LA", "RGBA", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    source = pil.new("L", (8, 6), 255)
    if mode == "I;16":
        source = pil.fromarray(np.full((6, 8), 65535, np.uint16))
    else:
        source = source.convert("RGB").convert(mode) if mode != "LA" else source.convert("LA")
    image = load_image(encoded(source, "TIFF" if mode == "CMYK" else "PNG"))
    assert image.pixels.shape == (6, 8, 3)
    assert image.pixels.min() >= 250


def test_sixteen_bits_are_scaled_not_cut() -> None:
    ramp = np.linspace(0, 65535, 32).astype(np.uint16).reshape(1, 32)
    pixels = load_image(encoded(pil.fromarray(ramp), "PNG")).pixels[0, :, 0].astype(int)
    assert np.abs(pixels - np.linspace(0, 255, 32)).max() <= 1


def test_transparency_lies_over_white() -> None:
    clear = pil.new("RGBA", (6, 6), (0, 0, 0, 0))
    assert load_image(encoded(clear, "PNG")).pixels.min() == 255
    half = pil.new("RGBA", (6, 6), (0, 0, 0, 128))
    assert abs(int(load_image(encoded(half, "PNG")).pixels[0, 0, 0]) - 127) <= 1


def test_a_transparent_palette_lies_over_white() -> None:
    image = pil.new("P", (6, 6), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.paste(1, (3, 0, 6, 6))
    pixels = load_image(encoded(image, "PNG", transparency=0)).pixels
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[0, 5].tolist() == [200, 100, 50]


def test_exif_rotation_turns_the_pixels_upright() -> None:
    exif = pil.Exif()
    exif[0x0112] = 6  # shown turned 90 degrees clockwise
    image = load_image(encoded(two_halves(), "JPEG", exif=exif, quality=95))
    assert (image.width, image.height) == (20, 40)
    upright = np.rot90(load_image(encoded(two_halves(), "JPEG", quality=95)).pixels, -1)
    assert np.array_equal(image.pixels, upright)


def test_an_animation_gives_its_first_frame() -> None:
    frames = [pil.new("RGB", (10, 10), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert load_image(data).pixels[0, 0].tolist() == [255, 0, 0]


def test_the_hash_is_of_the_bytes_and_the_suffix_does_not_matter(tmp_path: Path) -> None:
    data = encoded(two_halves(), "PNG")
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    image = load_image(path)
    assert image.content_hash == hashlib.sha256(data).hexdigest()
    assert image.uri == str(path)
    assert np.array_equal(image.pixels, load_image(data, uri="pin 7").pixels)
    assert load_image(data, uri="pin 7").uri == "pin 7"


def test_a_bomb_is_refused_before_its_pixels_are_decoded() -> None:
    header_only = encoded(pil.new("1", (9000, 9000)), "PNG")[:60]
    with pytest.raises(UnreadableImage, match=r"9000 x 9000 pixels; the limit is 50000000"):
        load_image(header_only)


def test_limits_are_inclusive() -> None:
    data = encoded(two_halves(), "PNG")
    assert load_image(data, Limits(max_pixels=800, max_bytes=len(data))).width == 40
    with pytest.raises(UnreadableImage, match="pixels"):
        load_image(data, Limits(max_pixels=799))
    with pytest.raises(UnreadableImage, match="bytes"):
        load_image(data, Limits(max_bytes=len(data) - 1))


@pytest.mark.parametrize("suffix", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
def test_a_truncated_file_is_unreadable(suffix: str) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encoded(pil.fromarray(noise), suffix)
    with pytest.raises(UnreadableImage, match="decoded"):
        load_image(data[: len(data) // 2])


def test_what_is_no_image_says_why(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="empty"):
        load_image(b"")
    with pytest.raises(UnreadableImage, match="decoded"):
        load_image(b"<html>not found</html>")
    with pytest.raises(UnreadableImage, match="cannot be read"):
        load_image(tmp_path / "missing.jpg")
    with pytest.raises(UnreadableImage, match="cannot be read"):
        load_image(tmp_path)
    with pytest.raises(UnreadableImage, match="decoded"):
        load_image(encoded(two_halves(), "PPM"))
