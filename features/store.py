"""The visual store: every pin's PinVisual, made once per image content and feature version."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import sqlalchemy as sa

from features.describing import Files, MakeVisuals, Shard, ShardMaker, written
from features.engine import Engine, Loop
from features.images import UnreadableImage, open_image
from features.projection import Projection
from features.shards import read_shard, shard_hashes, shard_unreadable
from features.visuals import PinVisual
from sql.database import Database
from sql.tables import METADATA, pin_objects, pin_visuals

SHARD = 256
Progress = Callable[[str, int, int], None]


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
        engine: Engine | None = None,
    ) -> VisualSummary:
        """Makes and publishes the visuals of the pins (pin_id -> image file) that are new or whose
        image has changed, shard by shard, by the engine (this process by default); killed and
        started again, it redoes at most the shards in flight. Other pins lose their rows, unless
        keep_others.
        """
        contents, unreadable = _hash_files(images)
        shards = self._shards_by_hash()
        files = {content: images[pin] for pin, content in contents.items()}
        bad = self._unreadable()
        todo = sorted(set(files) - set(shards) - set(bad))
        pieces = [
            Files({content: files[content] for content in todo[start : start + SHARD]})
            for start in range(0, len(todo), SHARD)
        ]
        for shard in self._made(pieces, make, engine or Loop(), progress):
            shards.update(self._record(shard))
            bad |= shard.unreadable
        unreadable |= {pin: bad[content] for pin, content in contents.items() if content in bad}
        pins = {pin: content for pin, content in contents.items() if content not in bad}
        self._publish(pins, shards, keep_others)
        new = set(todo)
        reused = sum(content not in new for content in pins.values())
        described = sum(content not in bad for content in todo)
        return VisualSummary(described, reused, unreadable, self._n_objects())

    def project_from(self, plain: "VisualStore", projection: Projection) -> None:
        """Takes over the shards of the same visuals without projection, projected: no image is
        looked at again. What is published follows with `refresh`.
        """
        mine = self._shards_by_hash()
        for path in sorted(set(plain._shards_by_hash().values())):
            visuals = [v for v in read_shard(self.home / path) if v.content_hash not in mine]
            projected = [visual.projected(projection) for visual in visuals]
            hashes = [visual.content_hash for visual in visuals]
            bad = shard_unreadable(self.home / path)
            self._record(written(self.home, self.feature_version, hashes, projected, bad))

    def read(self, pin_ids: Sequence[str]) -> dict[str, PinVisual]:
        """PinVisuals by pin, of those given pins that have one; reads each shard once."""
        places = self._places()
        by_shard: dict[str, dict[str, list[str]]] = {}
        for pin in pin_ids:
            if pin in places:
                content, shard = places[pin]
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

    def _shards_by_hash(self) -> dict[str, str]:
        return {
            content: path for path in self._paths() for content in shard_hashes(self.home / path)
        }

    def _unreadable(self) -> dict[str, str]:
        found = (shard_unreadable(self.home / path) for path in self._paths())
        return {content: reason for some in found for content, reason in some.items()}

    def _made(
        self, pieces: Sequence[Files], make: MakeVisuals, engine: Engine, progress: Progress | None
    ) -> Iterator[Shard]:
        """Shards as they are made; nobody but this process writes SQL."""
        total, done = sum(len(piece.files) for piece in pieces), 0

        def tick(more: int) -> None:
            if progress is not None:
                progress("visuals", done + more, total)

        maker = ShardMaker(make, self.home, self.feature_version, tick)
        for shard in engine.run(maker, pieces, gpu=True):
            done += len(shard)
            tick(0)
            yield shard

    def _record(self, shard: Shard) -> dict[str, str]:
        """The shard's row in the manifest; its path by content hash."""
        if shard.path is None:
            return {}
        self.database.mark_done(
            "visuals", f"{self.feature_version}/{shard.name}", shard.name, len(shard.contents),
            shard.path, self.feature_version,
        )  # fmt: skip
        return dict.fromkeys(shard.contents, shard.path)

    def _places(self) -> dict[str, tuple[str, str]]:
        query = sa.select(
            pin_visuals.c.pin_id, pin_visuals.c.content_hash, pin_visuals.c.shard
        ).where(pin_visuals.c.feature_version == self.feature_version)
        rows = self.database.read(query).to_pylist()
        return {row["pin_id"]: (row["content_hash"], row["shard"]) for row in rows}

    def _publish(
        self, pins: Mapping[str, str], shards: Mapping[str, str], keep_others: bool
    ) -> None:
        published = self._places()
        wanted = {pin: (content, shards[content]) for pin, content in pins.items()}
        gone = [] if keep_others else sorted(set(published) - set(wanted))
        changed: dict[str, list[str]] = {}
        for pin, place in wanted.items():
            if published.get(pin) != place:
                changed.setdefault(place[1], []).append(pin)
        for start in range(0, len(gone), SHARD):
            self._replace(gone[start : start + SHARD], {}, "")
        for shard, members in changed.items():
            contents = {pins[pin] for pin in members}
            visuals = {v.content_hash: v for v in read_shard(self.home / shard, contents)}
            self._replace(members, {pin: visuals[pins[pin]] for pin in members}, shard)

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


def _hash_files(images: Mapping[str, Path]) -> tuple[dict[str, str], dict[str, str]]:
    """(pin -> content hash, pin -> why its image file cannot be read)."""
    contents: dict[str, str] = {}
    unreadable: dict[str, str] = {}

    def digest(path: Path) -> str | UnreadableImage:
        try:
            with open_image(path) as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except UnreadableImage as error:
            return error
        except OSError as error:
            return UnreadableImage(f"The file cannot be read ({error.strerror}).")

    with ThreadPoolExecutor() as pool:
        for pin, result in zip(images, pool.map(digest, images.values()), strict=True):
            if isinstance(result, UnreadableImage):
                unreadable[pin] = str(result)
            else:
                contents[pin] = result
    return contents, unreadable
