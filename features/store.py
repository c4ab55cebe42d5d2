"""The visual store: every pin's PinVisual, made once per image content and feature version."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import sqlalchemy as sa

from features.contents import Contents
from features.images import Image, UnreadableImage, load_image
from features.projection import Projection
from features.shards import read_shard, shard_hashes, shard_unreadable, write_shard
from features.visuals import PinVisual
from sql.database import Database, fingerprint
from sql.tables import METADATA, pin_objects, pin_visuals

SHARD = 256
PINS_AT_A_TIME = 1024  # in a query
BATCH = 16
Progress = Callable[[str, int, int], None]
MakeVisuals = Callable[[Sequence[Image]], list[PinVisual]]


@dataclass(frozen=True)
class VisualSummary:
    """What a refresh did: images described now, pins whose image was described before, why images
    are unreadable (by pin), and objects over all pins.
    """

    described: int
    reused: int
    unreadable: Mapping[str, str]
    objects: int


class VisualStore:
    """PinVisuals of one feature version: vectors in shards under home, rows in SQL."""

    def __init__(self, database: Database, home: Path, feature_version: str) -> None:
        self.database = database
        self.home = home
        self.feature_version = feature_version

    def refresh(
        self,
        images: Mapping[str, Path],
        make: MakeVisuals,
        progress: Progress | None = None,
        keep_others: bool = False,
    ) -> VisualSummary:
        """Makes and publishes the visuals of the pins (pin_id -> image file) that are new or whose
        image has changed, shard by shard; killed and started again, it redoes at most the shard in
        flight. Other pins lose their rows, unless keep_others.
        """
        summary = self.refresh_blocks([images], len(images), make, progress)
        if not keep_others:
            self.drop([pin for pin in self._places() if pin not in images])
        return replace(summary, objects=self._n_objects())

    def refresh_blocks(
        self,
        blocks: Iterable[Mapping[str, Path]],
        n_pins: int,
        make: MakeVisuals,
        progress: Progress | None = None,
    ) -> VisualSummary:
        """As refresh, for any number of pins, of which no more than a block is in memory at once;
        other pins keep their rows. n_pins: of all blocks together.
        """
        done, described, reused = 0, 0, 0
        unreadable: dict[str, str] = {}
        with Contents(self.home) as known:
            known.keep_only(self.feature_version, self._paths())
            for images in blocks:
                tick = None if progress is None else _offset(progress, done, n_pins)
                found = self._refresh_block(known, images, make, tick)
                described, reused = described + found.described, reused + found.reused
                unreadable |= found.unreadable
                done += len(images)
        return VisualSummary(described, reused, unreadable, self._n_objects())

    def _refresh_block(
        self,
        known: Contents,
        images: Mapping[str, Path],
        make: MakeVisuals,
        progress: Callable[[int], None] | None,
    ) -> VisualSummary:
        contents, unreadable = known.hashes(images)
        files = {content: images[pin] for pin, content in contents.items()}
        shards, bad = known.find(self.feature_version, list(files))
        todo = sorted(set(files) - set(shards) - set(bad))
        n_before = len(images) - len(todo)
        for done in range(0, len(todo), SHARD):
            part = todo[done : done + SHARD]
            tick = None if progress is None else _further(progress, n_before + done)
            found: dict[str, str] = {}
            made = describe_files([files[content] for content in part], part, make, found, tick)
            path = self._write(part, made, found)
            if path is not None:
                shards |= dict.fromkeys((visual.content_hash for visual in made), path)
                known.add(self.feature_version, path, set(part) - set(found), found)
            bad |= found
        unreadable |= {pin: bad[content] for pin, content in contents.items() if content in bad}
        pins = {pin: content for pin, content in contents.items() if content not in bad}
        self._publish(pins, shards)
        self.drop(sorted(unreadable))
        if progress is not None:
            progress(len(images))
        new = set(todo)
        reused = sum(content not in new for content in pins.values())
        described = sum(content not in bad for content in todo)
        return VisualSummary(described, reused, unreadable, 0)

    def put(self, visuals: Mapping[str, PinVisual]) -> None:
        """Publishes visuals that are made already, by pin; other pins keep their rows."""
        made = {visual.content_hash: visual for visual in visuals.values()}
        with Contents(self.home) as known:
            known.keep_only(self.feature_version, self._paths())
            shards, _ = known.find(self.feature_version, list(made))
            new = sorted(made.keys() - shards.keys())
            for start in range(0, len(new), SHARD):
                part = new[start : start + SHARD]
                if path := self._write(part, [made[content] for content in part], {}):
                    shards |= dict.fromkeys(part, path)
                    known.add(self.feature_version, path, part, {})
        self._publish({pin: visual.content_hash for pin, visual in visuals.items()}, shards)

    def project_from(self, plain: "VisualStore", projection: Projection) -> None:
        """Takes over the shards of the same visuals without projection, projected: no image is
        looked at again. What is published follows with `refresh`.
        """
        with Contents(self.home) as known:
            known.keep_only(self.feature_version, self._paths())
            for path in plain._paths():
                hashes = shard_hashes(self.home / path)
                mine, bad = known.find(self.feature_version, hashes)
                new = [content for content in hashes if content not in mine.keys() | bad.keys()]
                if not new:
                    continue
                projected = [v.projected(projection) for v in read_shard(self.home / path, new)]
                unreadable = shard_unreadable(self.home / path)
                if written := self._write(new, projected, unreadable):
                    known.add(self.feature_version, written, new, unreadable)

    def read(self, pin_ids: Sequence[str]) -> dict[str, PinVisual]:
        """PinVisuals by pin, of those given pins that have one; reads each shard once."""
        by_shard: dict[str, dict[str, list[str]]] = {}
        for pin, (content, shard) in self._places(pin_ids).items():
            by_shard.setdefault(shard, {}).setdefault(content, []).append(pin)
        found: dict[str, PinVisual] = {}
        for shard, wanted in by_shard.items():
            for visual in read_shard(self.home / shard, wanted):
                found |= dict.fromkeys(wanted[visual.content_hash], visual)
        return found

    def copy_from(self, other: "VisualStore", but_not: Sequence[str]) -> None:
        """Takes over another version's rows for all pins except those given; vectors are shared."""
        with self.database.engine.begin() as connection:
            for table in (pin_visuals, pin_objects):
                columns = [c for c in table.columns if c.name != "feature_version"]
                version = sa.literal(self.feature_version)
                mine = table.c.feature_version == self.feature_version
                taken = sa.and_(
                    table.c.feature_version == other.feature_version,
                    table.c.pin_id.not_in(but_not),
                )
                connection.execute(table.delete().where(mine, table.c.pin_id.not_in(but_not)))
                rows = sa.select(version, *columns).where(taken)
                names = ["feature_version", *(c.name for c in columns)]
                connection.execute(table.insert().from_select(names, rows))

    def _paths(self) -> list[str]:
        table = METADATA.tables["manifest"]
        query = sa.select(table.c.path).where(
            table.c.step == "visuals", table.c.feature_version == self.feature_version
        )
        paths = self.database.read(query)["path"].to_pylist()
        return [path for path in paths if (self.home / path).exists()]

    def _write(
        self, part: Sequence[str], visuals: Sequence[PinVisual], unreadable: Mapping[str, str]
    ) -> str | None:
        """The shard's path; None where no part is an image."""
        if not visuals:
            return None
        name = fingerprint(*part)
        path = f"visuals/{self.feature_version}/{name}.parquet"
        write_shard(self.home / path, visuals, unreadable)
        self.database.mark_done(
            "visuals", f"{self.feature_version}/{name}", name, len(visuals), path,
            self.feature_version,
        )  # fmt: skip
        return path

    def _places(self, pin_ids: Sequence[str] | None = None) -> dict[str, tuple[str, str]]:
        """(content hash, shard) by pin, in the order of the pins, of all pins or of those given."""
        query = sa.select(
            pin_visuals.c.pin_id, pin_visuals.c.content_hash, pin_visuals.c.shard
        ).where(pin_visuals.c.feature_version == self.feature_version)
        if pin_ids is None:
            rows = self.database.read(query).to_pylist()
            return {row["pin_id"]: (row["content_hash"], row["shard"]) for row in rows}
        found: dict[str, tuple[str, str]] = {}
        for start in range(0, len(pin_ids), PINS_AT_A_TIME):
            some = pin_ids[start : start + PINS_AT_A_TIME]
            rows = self.database.read(query.where(pin_visuals.c.pin_id.in_(some))).to_pylist()
            found |= {row["pin_id"]: (row["content_hash"], row["shard"]) for row in rows}
        return {pin: found[pin] for pin in pin_ids if pin in found}

    def _publish(self, pins: Mapping[str, str], shards: Mapping[str, str]) -> None:
        published = self._places(list(pins))
        changed: dict[str, list[str]] = {}
        for pin, content in pins.items():
            if published.get(pin) != (content, shards[content]):
                changed.setdefault(shards[content], []).append(pin)
        for shard, members in changed.items():
            contents = {pins[pin] for pin in members}
            visuals = {v.content_hash: v for v in read_shard(self.home / shard, contents)}
            for start in range(0, len(members), SHARD):
                some = members[start : start + SHARD]
                self._replace(some, {pin: visuals[pins[pin]] for pin in some}, shard)

    def drop(self, pin_ids: Sequence[str]) -> None:
        """The pins lose their rows."""
        for start in range(0, len(pin_ids), SHARD):
            self._replace(pin_ids[start : start + SHARD], {}, "")

    def drop_unknown(self) -> None:
        """Pins that are not in `pins` lose their rows."""
        known = sa.select(METADATA.tables["pins"].c.pin_id)
        with self.database.engine.begin() as connection:
            for table in (pin_objects, pin_visuals):
                mine = table.c.feature_version == self.feature_version
                connection.execute(sa.delete(table).where(mine, table.c.pin_id.not_in(known)))

    def _replace(
        self, pin_ids: Sequence[str], visuals: Mapping[str, PinVisual], shard: str
    ) -> None:
        where = {"feature_version": self.feature_version, "pin_id": list(pin_ids)}
        objects = [row for pin, v in visuals.items() for row in self._object_rows(pin, v)]
        rows = [self._pin_row(pin, visual, shard) for pin, visual in visuals.items()]
        self.database.replace(pin_objects, as_rows(pin_objects, objects), **where)
        self.database.replace(pin_visuals, as_rows(pin_visuals, rows), **where)

    def _pin_row(self, pin: str, visual: PinVisual, shard: str) -> dict[str, object]:
        dominant = visual.dominant
        return {
            "feature_version": self.feature_version,
            "pin_id": pin,
            "content_hash": visual.content_hash,
            "width": visual.width,
            "height": visual.height,
            "n_objects": len(visual.scores),
            "dominant_category": None if dominant is None else visual.categories[dominant],
            "shard": shard,
        }

    def _object_rows(self, pin: str, visual: PinVisual) -> Iterator[dict[str, object]]:
        shares = visual.area_shares
        for number, category in enumerate(visual.categories):
            x1, y1, x2, y2 = visual.boxes[number].tolist()
            lightness, a, b = visual.colours[number].tolist()
            yield {
                "feature_version": self.feature_version, "pin_id": pin, "object_no": number,
                "category": category, "score": float(visual.scores[number]),
                "x1": x1, "y1": y1, "x2": x2, "y2": y2, "area_share": float(shares[number]),
                "is_dominant": int(number == visual.dominant),
                "lab_l": lightness, "lab_a": a, "lab_b": b,
            }  # fmt: skip

    def _n_objects(self) -> int:
        query = sa.select(sa.func.count().label("n")).where(
            pin_objects.c.feature_version == self.feature_version
        )
        return int(self.database.read(query)["n"][0].as_py())


def as_rows(table: sa.Table, rows: Sequence[Mapping[str, object]]) -> pa.Table:
    """Rows as an Arrow table with the columns of a SQL table."""
    return pa.table({c.name: [row[c.name] for row in rows] for c in table.columns})


def describe_files(
    files: Sequence[Path],
    contents: Sequence[str],
    make: MakeVisuals,
    bad: dict[str, str],
    progress: Callable[[int], None] | None,
) -> list[PinVisual]:
    """Visuals of the files that are images, in order; images are decoded two batches ahead.

    contents: content hash of each file. Why the others are no images goes into `bad`, by content
    hash. progress is called with the number of files that are done.
    """
    visuals: list[PinVisual] = []
    with ThreadPoolExecutor(2) as pool:
        batches = [slice(start, start + BATCH) for start in range(0, len(files), BATCH)]
        loading = [[pool.submit(_load, path) for path in files[batch]] for batch in batches[:2]]
        for number, batch in enumerate(batches):
            if number + 2 < len(batches):
                ahead = files[batches[number + 2]]
                loading.append([pool.submit(_load, path) for path in ahead])
            loaded = [future.result() for future in loading[number]]
            loading[number] = []
            images = []
            for content, result in zip(contents[batch], loaded, strict=True):
                if isinstance(result, UnreadableImage):
                    bad[content] = str(result)
                else:
                    images.append(result)
            visuals += make(images) if images else []
            if progress is not None:
                progress(min(batch.stop, len(files)))
    return visuals


def _load(path: Path) -> Image | UnreadableImage:
    try:
        return load_image(path)
    except UnreadableImage as error:
        return error


def _offset(progress: Progress, done: int, total: int) -> Callable[[int], None]:
    return lambda n: progress("visuals", done + n, total)


def _further(progress: Callable[[int], None], done: int) -> Callable[[int], None]:
    return lambda n: progress(done + n)
