"""A picture of a search: the query with numbered boxes, and a row of results for each of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image as pil
from PIL import ImageDraw, ImageFont, ImageOps

from features.images.images import UnreadableImage, load_image
from features.picture import colour_of
from features.search.results import Box, Match, ObjectResults, SearchResults

SHOWN = 10  # results in a row
TILE = 150
GAP = 12
HEAD = 30
FOOT = 22
QUERY = (420, 640)
INK, FAINT, PAPER = (17, 24, 39), (107, 114, 128), (255, 255, 255)


def contact_sheet(query: pil.Image, results: SearchResults, files: Mapping[str, Path]) -> pil.Image:
    """The query with its boxes numbered, a row of up to SHOWN results for each, and one for the
    image as a whole; matched objects are outlined in what surrounds them.

    files: pin -> image file. A result without a readable one is drawn as an empty tile.
    """
    picture = ImageOps.contain(query, QUERY)
    n_rows = len(results.objects) + 1
    row = HEAD + TILE + FOOT + GAP
    height = max(picture.height, n_rows * row) + 2 * GAP
    sheet = pil.new("RGB", (picture.width + (SHOWN + 1) * (TILE + GAP) + 3 * GAP, height), PAPER)
    sheet.paste(picture, (GAP, GAP))
    pen, left = ImageDraw.Draw(sheet), picture.width + 3 * GAP
    scale = picture.width / query.width
    for number, found in enumerate(results.objects, start=1):
        top = GAP + (number - 1) * row
        box = [GAP + edge * scale for edge in found.box]
        _numbered(pen, (box[0], box[1], box[2], box[3]), number, _colour(found), found.offered)
        _heading(pen, left, top, _title(number, found), _trust(found))
        sheet.paste(_in_context(query, found.box, _colour(found)), (left, top + HEAD))
        _tiles(sheet, left + TILE + GAP, top, found.matches, files)
    top = GAP + (n_rows - 1) * row
    _heading(pen, left, top, "whole image", "")
    sheet.paste(_fitted(query), (left, top + HEAD))
    _tiles(sheet, left + TILE + GAP, top, results.whole, files)
    return sheet


def _title(number: int, found: ObjectResults) -> str:
    score = "" if found.score is None else f" {found.score:.0%}"
    return f"{number}  {found.category or 'crop'}{score}"


def _trust(found: ObjectResults) -> str:
    return f"agreement {found.agreement:.2f}{'' if found.offered else ', not offered'}"


def _colour(found: ObjectResults) -> tuple[int, int, int]:
    return colour_of(found.category or "crop")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _heading(pen: ImageDraw.ImageDraw, left: int, top: int, title: str, note: str) -> None:
    pen.text((left, top + 6), title, font=_font(17), fill=INK)
    pen.text((left + pen.textlength(title, font=_font(17)) + 14, top + 9), note, font=_font(13),
             fill=FAINT)  # fmt: skip


def _numbered(
    pen: ImageDraw.ImageDraw, box: Box, number: int, colour: tuple[int, int, int], offered: bool
) -> None:
    """The outline of a box on the query, thin where it is not offered, and its number."""
    pen.rectangle(box, outline=colour, width=4 if offered else 1)
    middle, radius = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), 13
    pen.circle(middle, radius, fill=colour if offered else PAPER, outline=PAPER, width=2)
    pen.text(middle, str(number), font=_font(15), fill=PAPER if offered else INK, anchor="mm")


def _tiles(
    sheet: pil.Image, left: int, top: int, matches: Sequence[Match], files: Mapping[str, Path]
) -> None:
    pen = ImageDraw.Draw(sheet)
    for place, match in enumerate(matches[:SHOWN]):
        x, y = left + place * (TILE + GAP), top + HEAD
        sheet.paste(_tile(match, files.get(match.pin_id)), (x, y))
        pen.text((x, y + TILE + 4), f"{match.cosine:.2f}", font=_font(13), fill=INK)
        pen.text((x + 36, y + TILE + 4), match.pin_id[:14], font=_font(13), fill=FAINT)


def _tile(match: Match, file: Path | None) -> pil.Image:
    try:
        if file is None:
            raise UnreadableImage("There is no file.")
        picture = pil.fromarray(load_image(file).pixels)
    except UnreadableImage:
        return pil.new("RGB", (TILE, TILE), (229, 231, 235))
    if match.box is None:
        return _fitted(picture)
    return _in_context(picture, match.box, colour_of(match.category or "crop"))


def _fitted(picture: pil.Image) -> pil.Image:
    return ImageOps.pad(picture, (TILE, TILE), color=PAPER)


def _in_context(picture: pil.Image, box: Box, colour: tuple[int, int, int]) -> pil.Image:
    """A square around a box, with half as much again around it, and the box outlined."""
    x1, y1, x2, y2 = box
    side = min(max(x2 - x1, y2 - y1) * 1.5, max(picture.size))
    left, top = (
        min(max(middle - side / 2, 0), max(extent - side, 0))
        for middle, extent in (((x1 + x2) / 2, picture.width), ((y1 + y2) / 2, picture.height))
    )
    right, bottom = min(left + side, picture.width), min(top + side, picture.height)
    tile = pil.new("RGB", (TILE, TILE), PAPER)
    scale = TILE / side
    size = max(round((right - left) * scale), 1), max(round((bottom - top) * scale), 1)
    window = picture.resize(size, pil.Resampling.LANCZOS, (left, top, right, bottom))
    at = (TILE - size[0]) // 2, (TILE - size[1]) // 2
    tile.paste(window, at)
    outline = (at[0] + (x1 - left) * scale, at[1] + (y1 - top) * scale,
               at[0] + (x2 - left) * scale - 1, at[1] + (y2 - top) * scale - 1)  # fmt: skip
    ImageDraw.Draw(tile).rectangle(outline, outline=colour, width=2)
    return tile
