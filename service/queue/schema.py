"""Bringing a database up to date, before anything else is asked of it."""

import time

import sqlalchemy as sa
import structlog
from dbos import DBOS

from service.database import connect, create_tables

log = structlog.get_logger(__name__)


def prepare(database_url: str, patience_s: float = 60) -> None:
    """Create or migrate the tables of DBOS and ours. Every process calls it first; they take turns.

    Waits up to `patience_s` for a database server that is not up yet.
    """
    give_up_at = time.monotonic() + patience_s
    while True:
        engine = connect(database_url)
        try:
            create_tables(engine)
            break
        except sa.exc.OperationalError as error:
            if engine.dialect.name == "sqlite" or time.monotonic() > give_up_at:
                raise
            log.warning("waiting for the database", error=str(error.orig).strip())
            time.sleep(1)
        finally:
            engine.dispose()
    DBOS.migrate(database_url)
