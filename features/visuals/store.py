"""The visual store: every pin's PinVisual, made once per image content and feature version."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import sqlalchemy as sa

from features.embedding.projection import Projection
from features.engine.engine import Engine, Loop
from features.images.contents import Contents
from features.visuals.describing import Files, MakeVisuals, Shard, ShardMaker, written
from features.visuals.rows import object_rows, pin_row
from features.visuals.shards import read_shard, shard_hashes, shard_unreadable
from features.visuals.visuals import PinVisual
from sql.database import Database
from sql.tables import METADATA, pin_objects, pin_visuals

SHARD = 256
IMAGES_AT_A_TIME = 65_536  # to be described before their pins are published
PINS_AT_A_TIME = 1024  # in a query
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
        summary = self.refresh_blocks([(images, {})], len(images), make, progress, engine)
        if not keep_others:
            self.drop([pin for pin in self._places() if pin not in images])
        return replace(summary, objects=self._n_objects())

    def refresh_blocks(
        self,
        blocks: Iterable[tuple[Mapping[str, Path], Mapping[str, str]]],
        n_pins: int,
        make: MakeVisuals,
        progress: Progress | None = None,
        engine: Engine | None = None,
    ) -> VisualSummary:
        """As refresh, for blocks of pins: (pin_id -> image file, pin_id -> why it has none). Memory
        is bounded by a block and by IMAGES_AT_A_TIME. Pins in no block keep their rows. n_pins: in
        all blocks together.
        """
        run = _Run(make, engine or Loop(), n_pins, progress)
        with Contents(self.home) as known:
            known.keep_only(self.feature_version, self._paths())
            for images, refused in blocks:
                self._publish_known(known, images, refused, run)
                if len(run.files) >= IMAGES_AT_A_TIME:
                    self._describe(known, run)
            self._describe(known, run)
        return VisualSummary(run.described, run.reused, run.unreadable, self._n_objects())

    def put(self, visuals: Mapping[str, PinVisual]) -> None:
        """Publishes visuals that are made already, by pin; other pins keep their rows."""
        made = {visual.content_hash: visual for visual in visuals.values()}
        with Contents(self.home) as known:
            known.keep_only(self.feature_version, self._paths())
            shards, _ = known.find(self.feature_version, list(made))
            new = sorted(made.keys() - shards.keys())
            for start in range(0, len(new), SHARD):
                part = {content: made[content] for content in new[start : start + SHARD]}
                shards |= self._record(known, self._written(part, {}))
        self._publish({pin: visual.content_hash for pin, visual in visuals.items()}, shards)

    def project_from(self, plain: "VisualStore", projection: Projection) -> None:
        """Takes over the shards of the same visuals without projection, projected: no image is
        looked at again. What is published follows with `refresh`.
        """
        with Contents(self.home) as known:
            known.keep_only(self.feature_version, self._paths())
            for path in sorted(plain._paths()):
                hashes = shard_hashes(self.home / path)
                mine, bad = known.find(self.feature_version, hashes)
                if new := set(hashes) - mine.keys() - bad.keys():
                    visuals = read_shard(self.home / path, new)
                    part = {v.content_hash: v.projected(projection) for v in visuals}
                    bad = shard_unreadable(self.home / path)
                    self._record(known, self._written(part, bad))

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

    def _publish_known(
        self,
        known: Contents,
        images: Mapping[str, Path],
        refused: Mapping[str, str],
        run: "_Run",
    ) -> None:
        """Publishes the pins whose images were described before; the others are to be described."""
        contents, unreadable = known.hashes(images)
        shards, bad = known.find(self.feature_version, list(set(contents.values())))
        unreadable |= {pin: bad[content] for pin, content in contents.items() if content in bad}
        unreadable |= refused
        here = {pin: content for pin, content in contents.items() if content in shards}
        for pin, content in contents.items():
            if content not in shards and content not in bad:
                run.files[content], run.pins[pin] = images[pin], content
        self._publish(here, shards)
        self.drop(sorted(unreadable))
        run.unreadable |= unreadable
        run.reused += len(here)
        run.tick(len(here) + len(unreadable))

    def _describe(self, known: Contents, run: "_Run") -> None:
        """Describes what is to be described, and publishes its pins."""
        if not run.files:
            return
        files, pins, shards, bad = run.files, run.pins, dict[str, str](), dict[str, str]()
        todo = sorted(files)
        pieces = [
            Files({content: files[content] for content in todo[start : start + SHARD]})
            for start in range(0, len(todo), SHARD)
        ]
        done, ahead = 0, len(pins) - len(files)  # pins that share an image count with the last

        def tick(more: int) -> None:
            run.show(done + more)

        maker = ShardMaker(run.make, self.home, self.feature_version, tick)
        for shard in run.engine.run(maker, pieces, gpu=True):
            shards |= self._record(known, shard)
            bad |= shard.unreadable
            done += len(shard)
            tick(0)
        unreadable = {pin: bad[content] for pin, content in pins.items() if content in bad}
        self._publish({pin: c for pin, c in pins.items() if c in shards}, shards)
        self.drop(sorted(unreadable))
        run.unreadable |= unreadable
        run.described += len(shards)
        run.tick(done + ahead)
        run.files, run.pins = {}, {}

    def _paths(self) -> list[str]:
        table = METADATA.tables["manifest"]
        query = sa.select(table.c.path).where(
            table.c.step == "visuals", table.c.feature_version == self.feature_version
        )
        paths = self.database.read(query)["path"].to_pylist()
        return [path for path in paths if (self.home / path).exists()]

    def _written(self, part: Mapping[str, PinVisual], unreadable: dict[str, str]) -> Shard:
        visuals = list(part.values())
        return written(self.home, self.feature_version, list(part), visuals, unreadable)

    def _record(self, known: Contents, shard: Shard) -> dict[str, str]:
        """The shard's row in the manifest; its path by content hash."""
        if shard.path is None:
            return {}
        self.database.mark_done(
            "visuals", f"{self.feature_version}/{shard.name}", shard.name, len(shard.contents),
            shard.path, self.feature_version,
        )  # fmt: skip
        known.add(self.feature_version, shard.path, shard.contents, shard.unreadable)
        return dict.fromkeys(shard.contents, shard.path)

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

    def _replace(
        self, pin_ids: Sequence[str], visuals: Mapping[str, PinVisual], shard: str
    ) -> None:
        version = self.feature_version
        where = {"feature_version": version, "pin_id": list(pin_ids)}
        objects = [row for pin, v in visuals.items() for row in object_rows(version, pin, v)]
        rows = [pin_row(version, pin, visual, shard) for pin, visual in visuals.items()]
        self.database.replace(pin_objects, as_rows(pin_objects, objects), **where)
        self.database.replace(pin_visuals, as_rows(pin_visuals, rows), **where)

    def _n_objects(self) -> int:
        query = sa.select(sa.func.count().label("n")).where(
            pin_objects.c.feature_version == self.feature_version
        )
        return int(self.database.read(query)["n"][0].as_py())


@dataclass
class _Run:
    """A refresh as it goes: what is to be described (image files by content, contents by pin), and
    what was done."""

    make: MakeVisuals
    engine: Engine
    n_pins: int
    progress: Progress | None
    files: dict[str, Path] = field(default_factory=dict)
    pins: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    described: int = 0
    reused: int = 0
    done: int = 0

    def show(self, more: int) -> None:
        if self.progress is not None:
            self.progress("visuals", self.done + more, self.n_pins)

    def tick(self, more: int) -> None:
        self.done += more
        self.show(0)


def as_rows(table: sa.Table, rows: Sequence[Mapping[str, object]]) -> pa.Table:
    """Rows as an Arrow table with the columns of a SQL table."""
    return pa.table({c.name: [row[c.name] for row in rows] for c in table.columns})
