"""Hundreds of small image files of every bad kind, always the same, by what must become of them.

`good/`: an upright RGB image. `bad/`: UnreadableImage. `any/`: one of the two.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from itertools import chain

import numpy as np
from PIL import Image as pil
from PIL import ImageCms, TiffImagePlugin

WIDTH, HEIGHT = 24, 16
CORNERS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220), "white": (250,) * 3}
ORIENT = {  # how the stored picture is made from the upright one, by EXIF orientation
    1: None, 2: pil.Transpose.FLIP_LEFT_RIGHT, 3: pil.Transpose.ROTATE_180,
    4: pil.Transpose.FLIP_TOP_BOTTOM, 5: pil.Transpose.TRANSPOSE, 6: pil.Transpose.ROTATE_90,
    7: pil.Transpose.TRANSVERSE, 8: pil.Transpose.ROTATE_270,
}  # fmt: skip


def picture() -> pil.Image:
    """24 x 16 pixels, a colour in each quarter: red, green / blue, white."""
    image = pil.new("RGB", (WIDTH, HEIGHT))
    for number, colour in enumerate(CORNERS.values()):
        image.paste(colour, (WIDTH // 2 * (number % 2), HEIGHT // 2 * (number // 2), WIDTH, HEIGHT))
    return image


def noise(seed: int, width: int = 32, height: int = 24) -> pil.Image:
    rng = np.random.default_rng(seed)
    return pil.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8))


def encoded(image: pil.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def corpus() -> dict[str, bytes]:
    """Name -> bytes; names are distinct paths."""
    found: dict[str, bytes] = {}
    parts = (modes(), orientations(), animations(), truncations(), corruptions(), bombs(),
             strange_sizes(), not_images(), polyglots(), metadata(), tiffs())  # fmt: skip
    for name, data in chain(*parts):
        assert name not in found
        found[name] = data
    return found


def modes() -> Iterator[tuple[str, bytes]]:
    image = picture()
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        for suffix in ("jpg", "png", "txt", "exe", "svg"):
            yield f"good/{kind} called {suffix}.{suffix}", encoded(image, kind)
    for mode in (
        "1",
        "L",
        "LA",
        "P",
        "PA",
        "RGBA",
        "CMYK",
        "YCbCr",
        "LAB",
        "HSV",
        "I;16",
        "F",
        "I",
    ):
        for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
            try:
                plain = image.convert("L") if mode == "I;16" else image
                yield f"good/mode {mode}.{kind}", encoded(plain.convert(mode), kind)
            except (OSError, ValueError, KeyError):
                continue  # the format has no such mode
    yield "good/progressive.jpg", encoded(noise(1), "JPEG", progressive=True)
    yield "good/arithmetic.jpg", encoded(noise(1), "JPEG", subsampling=0, quality=100)
    yield "good/interlaced.gif", encoded(image, "GIF", interlace=1)
    yield "good/lossless.webp", encoded(image, "WEBP", lossless=True)
    sixteen = pil.fromarray(np.linspace(0, 65535, 384).astype(np.uint16).reshape(16, 24))
    yield "good/16 bit.png", encoded(sixteen, "PNG")
    for name, values in {
        "NaN": [np.nan],
        "infinite": [np.inf, 1, -np.inf],
        "one value": [3],
    }.items():
        floats = pil.fromarray(np.resize(np.array(values, np.float32), (16, 24)))
        yield f"good/{name}.tif", encoded(floats, "TIFF")
    clear = image.convert("RGBA")
    clear.putalpha(pil.linear_gradient("L").resize(clear.size))
    for kind in ("PNG", "WEBP", "TIFF", "GIF"):
        yield f"good/transparent.{kind}", encoded(clear, kind)


def orientations() -> Iterator[tuple[str, bytes]]:
    for value, turn in ORIENT.items():
        stored = picture() if turn is None else picture().transpose(turn)
        exif = pil.Exif()
        exif[0x0112] = value
        for kind in ("PNG", "WEBP", "TIFF", "JPEG"):
            options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
            data = encoded(stored, kind, exif=exif, **options.get(kind, {}))
            yield f"good/orientation {value}.{kind}", data
    for value in (0, 9, 255, 65535):
        exif = pil.Exif()
        exif[0x0112] = value
        yield f"good/no such orientation {value}.jpg", encoded(picture(), "JPEG", exif=exif)


def animations() -> Iterator[tuple[str, bytes]]:
    frames = [pil.new("RGB", (9, 7), colour) for colour in ("red", "blue", "lime")]
    for kind in ("GIF", "WEBP", "PNG"):
        more = {"save_all": True, "append_images": frames[1:], "duration": 50}
        yield f"good/animation.{kind}", encoded(frames[0], kind, **more)
    yield "good/pages.TIFF", encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    yield "good/stereo.MPO", encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])


def truncations() -> Iterator[tuple[str, bytes]]:
    """Cut at every tenth byte. Without its very end, a file may still hold all its pixels."""
    for kind in ("JPEG", "PNG", "WEBP"):
        data = encoded(noise(2, 20, 16), kind)
        for end in range(0, len(data), 10):
            what = "any" if len(data) - end < 20 else "bad"
            yield f"{what}/{kind} cut at {end}", data[:end]
    for kind in ("GIF", "BMP", "TIFF"):
        data = encoded(noise(3, 10, 8), kind)
        for end in range(0, len(data), 40):
            yield f"any/{kind} cut at {end}", data[:end]


def corruptions() -> Iterator[tuple[str, bytes]]:
    """Some bytes changed at random."""
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        data = encoded(noise(4, 16, 16), kind)
        for seed in range(25):
            rng, changed = np.random.default_rng(seed), bytearray(data)
            for at in rng.integers(0, min(len(data), 200 if seed % 2 else len(data)), 1 + seed % 6):
                changed[at] = rng.integers(256)
            yield f"any/{kind} changed {seed}", bytes(changed)


def png(width: int, height: int, pixels: bytes, *chunks: bytes, mode: int = 0) -> bytes:
    """A PNG file of 8-bit grey (mode 0) or colour (2) with zlib-compressed lines."""
    header = struct.pack(">IIBBBBB", width, height, 8, mode, 0, 0, 0)
    parts = [png_chunk(b"IHDR", header), *chunks, png_chunk(b"IDAT", pixels),
             png_chunk(b"IEND", b"")]  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def zeros(n: int) -> bytes:
    """n zero bytes, compressed, without ever holding them."""
    packer, block = zlib.compressobj(9), bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(n >> 20)]
    return b"".join([*parts, packer.compress(bytes(n & 0xFFFFF)), packer.flush()])


def bombs() -> Iterator[tuple[str, bytes]]:
    yield "bad/bomb 30000.png", png(30_000, 30_000, zeros(50_000_000))
    yield "bad/bomb of 2**31.png", png(2**31 - 1, 2**31 - 1, zeros(1000))
    yield "bad/bomb wide.png", png(2**31 - 1, 1, zeros(1000))
    gif = bytearray(encoded(picture(), "GIF"))
    gif[6:10] = b"\xff\xff\xff\xff"
    yield "bad/bomb screen.gif", bytes(gif)
    gif = bytearray(encoded(picture(), "GIF"))
    frame = gif.index(b"\x2c", 13 + 3 * 2 ** ((gif[10] & 7) + 1))
    gif[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    yield "bad/bomb frame.gif", bytes(gif)
    for kind, at in (("BMP", 18), ("WEBP", 24)):
        data = bytearray(
            encoded(picture(), kind, **({"lossless": False} if kind == "WEBP" else {}))
        )
        data[at : at + 4] = struct.pack("<I", 60_000) if kind == "BMP" else b"\xff\x3f\xff\x3f"
        yield f"any/bomb.{kind}", bytes(data)
    yield "bad/bomb canvas.webp", wide_canvas()
    jpeg = bytearray(encoded(picture(), "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    yield "bad/bomb.jpg", bytes(jpeg)
    yield "bad/bomb of scans.jpg", many_scans(4000)
    text = png_chunk(b"zTXt", b"Comment\0\0" + zeros(200_000_000))
    yield "any/bomb in text.png", png(WIDTH, HEIGHT, zeros((WIDTH + 1) * HEIGHT), text)
    profile = png_chunk(b"iCCP", b"profile\0\0" + zeros(200_000_000))
    yield "any/bomb in profile.png", png(WIDTH, HEIGHT, zeros((WIDTH + 1) * HEIGHT), profile)
    yield "good/too much data.png", png(WIDTH, HEIGHT, zeros(100_000_000))


def wide_canvas() -> bytes:
    """An animation whose two small frames lie on a canvas of 16384 x 16384 pixels."""
    frames = [pil.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = bytearray(encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    at = data.index(b"VP8X")
    data[at + 12 : at + 18] = b"\xff\x3f\x00\xff\x3f\x00"
    return bytes(data)


def many_scans(n: int) -> bytes:
    """A progressive JPEG of 6000 x 6000 pixels that goes over them n times more than it must."""
    data = encoded(pil.new("L", (6000, 6000), 90), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    return data[:start] + n * data[start:-2] + data[-2:]


def strange_sizes() -> Iterator[tuple[str, bytes]]:
    for width, height in ((1, 1), (1, 20_000), (20_000, 1), (2, 3), (3000, 7)):
        for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF"):
            data = encoded(pil.new("RGB", (width, height), "red"), kind)
            yield f"good/{width} x {height}.{kind}", data
    yield "bad/0 x 5.png", png(0, 5, zeros(5))
    yield "bad/5 x 0.png", png(5, 0, zeros(5))
    for kind, at in (("GIF", 6), ("BMP", 18)):
        data = bytearray(encoded(picture(), kind))
        data[at : at + 4] = bytes(4)
        yield f"any/no width.{kind}", bytes(data)
    jpeg = bytearray(encoded(picture(), "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = bytes(4)
    yield "bad/no size.jpg", bytes(jpeg)


def not_images() -> Iterator[tuple[str, bytes]]:
    texts = {
        "empty.jpg": "", "text.jpg": "not a picture", "newlines.png": "\n" * 100,
        "page.jpg": "<!DOCTYPE html><html><body>404</body></html>",
        "drawing.svg": '<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>',
        "entities.svg": '<!DOCTYPE s [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><svg>&c;</svg>',
        "script.gif": "GIF89a=1;alert(1)", "program.jpg": "#!/bin/sh\necho",
        "data.json": '{"a": 1}',
    }  # fmt: skip
    for name, text in texts.items():
        yield f"bad/{name}", text.encode()
    yield "bad/zeros.png", bytes(5000)
    yield "bad/random.jpg", np.random.default_rng(0).bytes(5000)
    yield "bad/archive.jpg", archive()
    for kind in ("PDF", "ICO", "PPM", "TGA", "PCX", "SGI", "EPS", "ICNS", "JPEG2000", "DDS"):
        image = picture().resize((32, 32))
        yield f"bad/{kind} called jpg.jpg", encoded(image, kind)
    for start in (b"\xff\xd8", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF",
                  b"RIFF\x10\0\0\0WEBPVP8 ", b"BM", b"II*\0", b"MM\0*", b"II+\0"):  # fmt: skip
        yield f"bad/start {start.hex()}", start
        yield f"bad/start {start.hex()} and zeros", start + bytes(500)
        yield f"bad/start {start.hex()} and ones", start + b"\xff" * 500


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("evil.sh", "rm -rf /")
    return buffer.getvalue()


def polyglots() -> Iterator[tuple[str, bytes]]:
    for kind in ("JPEG", "PNG", "GIF", "WEBP"):
        data = encoded(picture(), kind)
        yield f"good/{kind} and archive", data + archive()
        yield f"good/{kind} and page", data + b"<script>alert(1)</script>"
        yield f"bad/page and {kind}", b"<script>alert(1)</script>" + data
        yield f"good/{kind} twice", data + data
    gif = bytearray(encoded(picture(), "GIF", comment=b"*/=1;alert(1)//"))
    yield "good/script in the comment.gif", bytes(gif)


def metadata() -> Iterator[tuple[str, bytes]]:
    rng = np.random.default_rng(5)
    good = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profiles = {"right": good, "cut": good[:100], "random": rng.bytes(3000), "none": b"\0"}
    for (name, profile), kind in (
        (p, k) for p in profiles.items() for k in ("JPEG", "PNG", "WEBP")
    ):
        yield f"good/profile {name}.{kind}", encoded(picture(), kind, icc_profile=profile)
    for seed, kind in ((s, k) for s in range(10) for k in ("JPEG", "PNG", "WEBP")):
        exif = b"Exif\0\0" + (b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"")[seed % 3]
        data = exif + np.random.default_rng(seed).bytes(20 + 40 * seed)
        yield f"good/random EXIF {seed}.{kind}", encoded(picture(), kind, exif=data)
    exif = pil.Exif()
    exif[0x010E] = "x" * 60_000
    yield "good/huge EXIF.jpg", encoded(picture(), "JPEG", exif=exif)
    exif[0x010E] = "x" * 2_000_000
    yield "good/huge EXIF.png", encoded(picture(), "PNG", exif=exif)
    plain = encoded(picture(), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", 65_535) + b"http://ns.adobe.com/xap/1.0/\0"
    filler = segment + bytes(65_535 + 2 - len(segment))
    yield "good/a hundred segments.jpg", plain[:2] + 30 * filler + plain[2:]
    yield "any/segment past the end.jpg", plain[:2] + b"\xff\xe1\xff\xff" + plain[2:]


def tiffs() -> Iterator[tuple[str, bytes]]:
    """TIFF files one tag of which says something else."""
    tags = {256: "width", 257: "height", 258: "bits", 259: "compression", 262: "photometric",
            273: "strip offsets", 274: "orientation", 277: "samples", 278: "rows per strip",
            279: "strip bytes", 284: "planar", 317: "predictor", 322: "tile width",
            323: "tile height", 324: "tile offsets", 325: "tile bytes", 338: "extra",
            339: "format", 700: "xmp", 34675: "profile", 34665: "exif"}  # fmt: skip
    for (tag, name), value in (
        (t, v) for t in tags.items() for v in (0, 7, 65_000, 2**31, 2**32 - 1)
    ):
        yield f"any/{name} is {value}.tif", changed_tag(tag, value)
    for pages in (0, 8):
        data = bytearray(encoded(picture(), "TIFF"))
        data[-4:] = struct.pack("<I", pages)  # the next page is this one
        yield f"any/pages in a circle {pages}.tif", bytes(data)
    for compression in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits", "group4"):
        image = picture().convert("1") if compression == "group4" else picture()
        data = encoded(image, "TIFF", compression=compression)
        yield f"good/{compression}.tif", data
        for seed in range(6):
            rng, worse = np.random.default_rng(seed), bytearray(data)
            for at in rng.integers(8, len(data), 3):
                worse[at] = rng.integers(256)
            yield f"any/{compression} changed {seed}.tif", bytes(worse)
    yield "bad/tiles of 60000.tif", tiles(60_000)


def changed_tag(tag: int, value: int) -> bytes:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[65_000] = "marker"
    data = bytearray(encoded(picture(), "TIFF", tiffinfo=info))
    (start,) = struct.unpack_from("<I", data, 4)
    (n,) = struct.unpack_from("<H", data, start)
    entries = [start + 2 + 12 * i for i in range(n)]
    there = [e for e in entries if struct.unpack_from("<H", data, e)[0] == tag]
    at = there[0] if there else entries[-1]
    struct.pack_into("<HHII", data, at, tag, 4, 1, value)
    return bytes(data)


def tiles(side: int) -> bytes:
    """A TIFF image of 16 x 16 pixels in one tile of side x side, compressed by LZW."""
    entries = [(256, 16), (257, 16), (258, 8), (259, 5), (262, 1), (277, 1), (322, side),
               (323, side), (324, 8), (325, 8)]  # fmt: skip
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    head = b"II*\0" + struct.pack("<I", 16) + bytes.fromhex("8000000000000000")
    return head + struct.pack("<H", len(entries)) + table + bytes(4)
