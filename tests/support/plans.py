"""How SQLite reads what a store asks for."""

from contextlib import contextmanager

from sqlalchemy import create_engine, event

from chassis.migrate import upgrade


@contextmanager
def explained(path, package):
    """A connection to an empty database of a service, and the plan of each statement on it."""
    url = f"sqlite:///{path}/plans.db"
    upgrade(url, package)
    engine, plans = create_engine(url), []

    def explain(_connection, cursor, statement, parameters, _context, _many):
        if not statement.startswith("EXPLAIN"):
            rows = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.append([row[3] for row in rows])

    event.listen(engine, "before_cursor_execute", explain)
    with engine.connect() as connection:
        yield connection, plans
    engine.dispose()
