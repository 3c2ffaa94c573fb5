from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from service import database
from service.database import connect, create_tables, executors, metadata


def test_a_new_sqlite_file_gets_its_folder_and_the_write_ahead_log(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path / 'new' / 'a.sqlite'}"] * 8
    with ThreadPoolExecutor(8) as pool:
        engines = list(pool.map(connect, urls))
        list(pool.map(create_tables, engines))
    with engines[0].connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert set(sa.inspect(connection).get_table_names()) >= set(metadata.tables)
    for engine in engines:
        engine.dispose()


def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'a.sqlite'}")
    create_tables(engine)
    with engine.begin() as writer:
        writer.execute(executors.insert().values(id="a", beat=0))
        with engine.connect() as reader:
            assert reader.execute(sa.select(executors.c.id)).all() == []
    with engine.connect() as reader:
        assert reader.execute(sa.select(executors.c.id, executors.c.ready)).all() == [("a", False)]
    engine.dispose()


def test_any_spelling_of_a_postgresql_url_takes_the_driver_that_is_installed() -> None:
    for scheme in ("postgresql", "postgresql+psycopg", "postgresql+psycopg2"):
        engine = connect(f"{scheme}://user:secret@host:1/name")
        assert engine.driver == "psycopg"


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_process_that_froze_in_a_transaction_holds_up_nobody(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """Whatever it has written last."""
    monkeypatch.setattr(database, "IDLE_TRANSACTION_S", 1)
    engine = connect(f"{postgres_url}/template1")
    written = sa.Table("written", sa.MetaData(), sa.Column("x", sa.Integer), prefixes=["TEMPORARY"])
    with engine.connect() as frozen, engine.connect() as other:
        frozen.execute(sa.text("SELECT pg_advisory_xact_lock(2)"))
        written.create(frozen)
        frozen.execute(written.insert(), [{"x": x} for x in range(rows)])
        other.execute(sa.text("SET LOCAL lock_timeout = '60s'"))
        other.execute(sa.text("SELECT pg_advisory_xact_lock(2)"))
        other.rollback()
        with pytest.raises(sa.exc.OperationalError, match="idle-in-transaction"):
            frozen.execute(sa.text("SELECT 1"))
        assert frozen.invalidated
    engine.dispose()
