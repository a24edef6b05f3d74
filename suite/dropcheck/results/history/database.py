"""A history in SQLite or PostgreSQL through SQLAlchemy: append-only tables, one transaction a result."""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from dropcheck.contract.errors import UsageError
from dropcheck.results.history.entries import Claim, Entry, Kept, Ratio, digest, entry, in_order

SCHEMA_VERSION = 1
WAIT_S = 60  # for other writers: each holds the file for some milliseconds
_LOCK = 20141110  # of PostgreSQL's advisory locks: two jobs that make the tables at once would refuse each other

_tables = sa.MetaData()
_schema = sa.Table("dropcheck_schema", _tables, sa.Column("version", sa.Integer, primary_key=True))
_runs = sa.Table(
    "dropcheck_runs",
    _tables,
    sa.Column("id", sa.String(32), primary_key=True),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("recorded", "kind", "dropcheck", "profile", "machine")),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),  # the whole result file, compressed with xz
)


def _of_a_run(name: str, *columns: sa.Column[Any]) -> sa.Table:
    run = sa.Column("run", sa.String(32), sa.ForeignKey("dropcheck_runs.id"), primary_key=True)
    keys = [sa.Column(key, sa.Text, primary_key=True) for key in ("target", "version")]
    return sa.Table(name, _tables, run, *keys, *columns)


def _texts(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _numbers(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Double) for name in names]


_targets = _of_a_run("dropcheck_targets", *_texts("framework", "pattern", "verdict", "error"))
_claims = _of_a_run(
    "dropcheck_claims",
    sa.Column("check", sa.Text, primary_key=True),
    *_texts("verdict", "case", "message"),
    *_numbers("estimate", "expected", "low", "high", "resolution"),
)
_ratios = _of_a_run(
    "dropcheck_ratios",
    sa.Column("cell", sa.Text, primary_key=True),
    *_texts("reference", "verdict"),
    *_numbers("ratio", "low", "high"),
)


def _plain(row: Any) -> dict[str, Any]:
    """A row with texts as keys: SQLAlchemy's are of a kind of their own."""
    return {str(key): value for key, value in row.items()}


class Database:
    """Tables ``dropcheck_*`` of one database; made by the first writer, and read only by whoever reads."""

    def __init__(self, url: str) -> None:
        try:
            parsed = sa.make_url(url)
        except sa.exc.ArgumentError as error:
            raise UsageError(
                f"--history {url!r} is no URL of a database; expected sqlite:///PATH or postgresql://..."
            ) from error
        self.file = Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None
        if self.file is not None and str(self.file) in ("", ".", ":memory:"):
            raise UsageError(f"--history {url} names no file; expected sqlite:///PATH")
        self.shown = str(self.file) if self.file is not None else parsed.render_as_string(hide_password=True)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        self._url = parsed

    def exists(self) -> bool:
        if self.file is not None and not self.file.is_file():
            return False
        with self._connected(writing=False) as connection:
            found = sa.inspect(connection).has_table(_schema.name)
            if found:
                self._check(connection)
            return found

    def add(self, document: bytes, recorded: str) -> bool:
        """Keep a result file, all of it or nothing. Raises UsageError where the database cannot be written."""
        made = entry(document, recorded, "the result")
        if self.file is not None:
            try:
                self.file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UsageError(f"--history {self.shown} cannot be written: {error.strerror or error}") from error
        row = {n: getattr(made, n) for n in ("id", "recorded", "kind", "dropcheck", "profile", "machine", "seed")}
        insert = sqlite.insert if self.file is not None else postgresql.insert
        with self._connected(writing=True) as connection:
            self._ready(connection)
            adding = insert(_runs).values(**row, document=lzma.compress(document, preset=1))
            # another writer of the same result is waited for, and then nothing is left to do
            if connection.execute(adding.on_conflict_do_nothing().returning(_runs.c.id)).first() is None:
                return False
            for one in made.targets:
                key = {"run": made.id, "target": one.target, "version": one.version}
                values = msgspec.to_builtins(one)
                claims, ratios = values.pop("claims"), values.pop("ratios")
                connection.execute(_targets.insert().values(**{**values, **key}))
                for table, some in ((_claims, claims), (_ratios, ratios)):
                    if some:
                        connection.execute(table.insert(), [{**each, **key} for each in some])
        return True

    def entries(self) -> list[Entry]:
        with self._connected(writing=False) as connection:
            self._check(connection)
            kept: dict[tuple[str, str, str], dict[str, Any]] = {}
            for row in connection.execute(sa.select(_targets)).mappings():
                kept[(row["run"], row["target"], row["version"])] = {**_plain(row), "claims": [], "ratios": []}
            for table, kind, name in ((_claims, Claim, "claims"), (_ratios, Ratio, "ratios")):
                for row in connection.execute(sa.select(table)).mappings():
                    kept[(row["run"], row["target"], row["version"])][name].append(msgspec.convert(_plain(row), kind))
            by_run: dict[str, list[Kept]] = {}
            for (run, _, _), values in kept.items():
                by_run.setdefault(run, []).append(msgspec.convert(values, Kept))
            columns = [c for c in _runs.columns if c.name != "document"]
            rows = connection.execute(sa.select(*columns)).mappings()
            return in_order(
                msgspec.convert({**_plain(row), "targets": by_run.get(row["id"], [])}, Entry) for row in rows
            )

    def document(self, run: str) -> bytes:
        """The result file of a run. Raises UsageError where it is not there, or is not what was kept."""
        with self._connected(writing=False) as connection:
            found = connection.execute(sa.select(_runs.c.document).where(_runs.c.id == run)).scalar_one_or_none()
            if found is None:
                raise UsageError(f"--history {self.shown} has no run {run!r}")
            whole = lzma.decompress(found)
        if digest(whole) != run:
            raise UsageError(f"--history {self.shown} is damaged: run {run} is not what was kept")
        return whole

    @contextmanager
    def _connected(self, writing: bool) -> Iterator[sa.Connection]:
        """A connection in one transaction. What the database refuses is a UsageError of one sentence."""
        waits = {"timeout": WAIT_S, "isolation_level": None} if self.file is not None else {"connect_timeout": 10}
        try:
            engine = sa.create_engine(self._url, poolclass=sa.NullPool, connect_args=waits)
        except ImportError as error:
            raise UsageError(
                f"--history {self.shown} needs a driver: pip install 'dropcheck[history]' ({error})"
            ) from error
        if self.file is not None:
            # a writer takes the file at once and waits for others, instead of failing when it is about to write. The plain
            # rollback journal leaves one file that can be copied anywhere, and a killed writer's is undone by whoever comes next
            sa.event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN"))
        try:
            with engine.begin() as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            said = str(getattr(error, "orig", None) or error).strip().splitlines()
            raise UsageError(f"--history {self.shown}: {said[0] if said else type(error).__name__}") from error
        except (msgspec.ValidationError, lzma.LZMAError, KeyError) as error:
            raise UsageError(f"--history {self.shown} is damaged: {error}") from error
        finally:
            engine.dispose()

    def _ready(self, connection: sa.Connection) -> None:
        if self.file is None:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        if not sa.inspect(connection).has_table(_schema.name):
            _tables.create_all(connection)
            connection.execute(_schema.insert().values(version=SCHEMA_VERSION))
        self._check(connection)

    def _check(self, connection: sa.Connection) -> None:
        version = connection.execute(sa.select(sa.func.max(_schema.c.version))).scalar_one()
        if version != SCHEMA_VERSION:
            newer = isinstance(version, int) and version > SCHEMA_VERSION
            raise UsageError(
                f"--history {self.shown} has schema {version}, this release of dropcheck knows {SCHEMA_VERSION}: "
                + ("it was made by a newer release; update dropcheck" if newer else "it was made by something else")
            )
