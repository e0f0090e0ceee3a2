"""Statements that a database is given: counted, or made to fail at the n-th one."""

from contextlib import contextmanager


class Died(BaseException):
    """The process was gone; nobody heard an answer."""


@contextmanager
def statements(billing, at_each=None):
    """Collects statements of writes, and lets `at_each` fail before the n-th, counted from 1."""
    database, seen = billing.database, []
    write = database.write

    async def watched(work):
        def watching(connection):
            execute = connection.execute

            def executing(statement, *values):
                seen.append(statement)
                if at_each is not None:
                    at_each(len(seen), connection)
                return execute(statement, *values)

            connection.execute = executing
            try:
                return work(connection)
            finally:
                del connection.execute

        return await write(watching)

    database.write = watched
    try:
        yield seen
    finally:
        del database.write


def dying_at(number):
    """For `statements`: the process dies before the n-th."""

    def at_each(seen, _connection):
        if seen == number:
            raise Died

    return at_each
