"""asyncpg against the URL in the first argument, with its own defaults: named statements that it keeps, binary results,
types that it looks up in the catalog as it meets them, and a pool that resets connections."""

import asyncio
import datetime
import decimal
import sys

import asyncpg

from transcript import attempt_async as attempt, out

URL = sys.argv[1]


async def definitions(conn):
    await conn.execute("SET client_min_messages = warning; DROP SCHEMA IF EXISTS ap CASCADE; RESET client_min_messages")
    await attempt("several", conn.execute("""
        CREATE SCHEMA ap;
        CREATE TYPE ap.mood AS ENUM ('sad', 'happy');
        CREATE TYPE ap.pair AS (a int, b ap.mood);
        CREATE DOMAIN ap.positive AS int CHECK (VALUE > 0);
        CREATE TYPE ap.span AS RANGE (subtype = float8);
        CREATE TABLE ap.t (id int PRIMARY KEY, n numeric, s text, tz timestamptz, by bytea, j jsonb, a text[], m ap.mood,
                           p ap.pair, ms ap.mood[], d ap.positive, r ap.span, u uuid, iv interval)"""))


async def types(conn):
    """Each of these makes asyncpg ask for types that it has not seen, after it has turned off jit by a SELECT."""
    insert = "INSERT INTO ap.t VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, gen_random_uuid(), $13)"
    when = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc)
    await attempt("jit", conn.fetchval("SHOW jit"))
    await attempt("insert", conn.execute(insert, 1, decimal.Decimal("1.50"), "naïve ☃", when, b"\x00\xff", '{"a": 1}', ["x", None],
                                         "happy", (1, "sad"), ["sad", "happy"], 7, asyncpg.Range(1.5, 2.5),
                                         datetime.timedelta(days=3)))
    await attempt("jit", conn.fetchval("SHOW jit"))
    for turn in range(3):
        await attempt("all", conn.fetch("SELECT id, n, s, tz, by, j, a, m, p, ms, d, r, iv FROM ap.t ORDER BY id"))
    await attempt("wrong value", conn.execute("UPDATE ap.t SET m = $1", "angry"))
    await attempt("wrong type", conn.execute("UPDATE ap.t SET id = $1", "one"))
    await attempt("check", conn.execute("UPDATE ap.t SET d = $1", -1))
    await conn.set_type_codec("jsonb", encoder=str, decoder=lambda text: ("decoded", text), schema="pg_catalog")
    await attempt("codec", conn.fetchval("SELECT j FROM ap.t WHERE id = $1", 1))
    await conn.reset_type_codec("jsonb", schema="pg_catalog")
    await conn.reload_schema_state()
    await attempt("types again", conn.fetchval("SELECT p FROM ap.t WHERE id = $1", 1))


async def statements(conn):
    for n in range(2, 300):
        await conn.execute("INSERT INTO ap.t (id, s) VALUES ($1, $2)", n, f"row {n}")
    # More texts than asyncpg keeps (100): it closes old statements and makes new ones.
    total = 0
    for n in range(150):
        total += await conn.fetchval(f"SELECT id + {n} FROM ap.t WHERE id = $1", 2)
    out("total", total)
    for n in range(10):
        await conn.execute("UPDATE ap.t SET s = $1 WHERE id = 2", f"turn {n}")
        await attempt("read", conn.fetchrow("SELECT s FROM ap.t WHERE id = $1", 2))
    prepared = await conn.prepare("SELECT s, m FROM ap.t WHERE id = $1")
    out([t.name for t in prepared.get_parameters()], [(a.name, a.type.name, a.type.kind) for a in prepared.get_attributes()])
    await attempt("prepared", prepared.fetch(3))
    await attempt("explained", prepared.explain(1))
    await attempt("many", conn.executemany("UPDATE ap.t SET n = $1 WHERE id = $2", [(n, n) for n in range(2, 200)]))
    await attempt("many fail", conn.executemany("INSERT INTO ap.t (id) VALUES ($1)", [(5000,), (5001,), (1,)]))
    await attempt("none of them", conn.fetchval("SELECT count(*) FROM ap.t WHERE id >= 5000"))
    await attempt("sum", conn.fetchval("SELECT sum(n) FROM ap.t"))
    await attempt("fetchmany", conn.fetchmany("INSERT INTO ap.t (id) VALUES ($1) RETURNING id", [(6000,), (6001,)]))


async def transactions(conn):
    async with conn.transaction():
        await conn.execute("UPDATE ap.t SET s = 'outer' WHERE id = 5")
        try:
            async with conn.transaction():
                await conn.execute("UPDATE ap.t SET s = 'inner' WHERE id = 5")
                raise KeyError
        except KeyError:
            pass
        await attempt("inside", conn.fetchval("SELECT s FROM ap.t WHERE id = 5"))
        cursor = await conn.cursor("SELECT id FROM ap.t ORDER BY id")
        await attempt("cursor", cursor.fetch(3))
        await attempt("forward", cursor.forward(10))
        await attempt("cursor", cursor.fetchrow())
        total = 0
        async for row in conn.cursor("SELECT id FROM ap.t WHERE id > $1 ORDER BY id", 7, prefetch=11):
            total += row["id"]
        out("iterated", total)
    for isolation in ["read_committed", "repeatable_read", "serializable"]:
        async with conn.transaction(isolation=isolation, readonly=True):
            await attempt(isolation, conn.fetchval("SHOW transaction_isolation"))
            await attempt("read", conn.fetchval("SELECT s FROM ap.t WHERE id = $1", 5))
    await attempt("cursor outside", conn.cursor("SELECT 1"))


async def bulk(conn):
    rows = [(10000 + n, f"copied {n}") for n in range(3000)]
    await attempt("copy in", conn.copy_records_to_table("t", records=rows, columns=["id", "s"], schema_name="ap"))
    await attempt("copy twice", conn.copy_records_to_table("t", records=rows, columns=["id", "s"], schema_name="ap"))
    data = bytearray()

    async def take(block):
        data.extend(block)

    await attempt("copy out", conn.copy_from_query("SELECT id, s FROM ap.t WHERE id > $1 ORDER BY id", 100, output=take,
                                                   format="csv"))
    out("copied", len(data), sum(data))
    for turn in range(2):
        await attempt("big", conn.fetchval("SELECT length(repeat($1, 3000000))", "x"))


async def talk(conn):
    heard = asyncio.Queue()
    noticed = []
    conn.add_log_listener(lambda _, message: noticed.append((message.sqlstate, message.message)))
    await conn.execute("DO $$ BEGIN RAISE NOTICE 'hello'; END $$")
    other = await asyncpg.connect(URL)
    listener = lambda _, pid, channel, payload: heard.put_nowait((channel, payload))
    await conn.add_listener("news", listener)
    await other.execute("SELECT pg_notify('news', $1)", "from another")
    out(await asyncio.wait_for(heard.get(), 30))
    await conn.remove_listener("news", listener)
    out("noticed", noticed)

    sleep = "SELECT pg_sleep(600) -- asyncpg cancels"
    task = asyncio.create_task(conn.execute(sleep))
    seen = "SELECT count(*) FROM pg_stat_activity WHERE query = $1 AND wait_event = 'PgSleep'"
    while await other.fetchval(seen, sleep) == 0:
        await asyncio.sleep(0.01)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        out("cancelled")
    await attempt("after", conn.fetchval("SELECT s FROM ap.t WHERE id = $1", 5))
    while await other.fetchval(seen, sleep) != 0:
        await asyncio.sleep(0.01)
    await attempt("timed out", conn.fetchval("SELECT pg_sleep(600)", timeout=0.05))
    await attempt("after", conn.fetchval("SELECT s FROM ap.t WHERE id = $1", 5))
    await other.close()


async def pool():
    async with asyncpg.create_pool(URL, min_size=2, max_size=5) as pool:
        async def one(n):
            async with pool.acquire() as conn:
                await conn.execute("SET application_name = 'mine'")
                async with conn.transaction():
                    await conn.execute("UPDATE ap.t SET n = n + 1 WHERE id = 2")
                    return await conn.fetchval("SELECT id FROM ap.t WHERE id = $1", 1 + n % 50)
        out("pool", await asyncio.gather(*(one(n) for n in range(60))))
        # A connection that was given back has been reset.
        out("reset", set(await asyncio.gather(*(pool.fetchval("SHOW application_name") for _ in range(20)))))
        await attempt("sum", pool.fetchval("SELECT n FROM ap.t WHERE id = 2"))


async def altered(conn):
    # The plan that asyncpg holds no longer fits; outside a transaction it forgets it and asks again.
    star = "SELECT * FROM (SELECT id, s FROM ap.u) x WHERE id = $1"
    await conn.execute("CREATE TABLE ap.u AS SELECT 1 AS id, 'one' AS s")
    await attempt("before", conn.fetchrow("SELECT * FROM ap.u WHERE id = $1", 1))
    await conn.execute("ALTER TABLE ap.u ADD COLUMN more int DEFAULT 3")
    await attempt("altered", conn.fetchrow("SELECT * FROM ap.u WHERE id = $1", 1))
    await attempt("altered", conn.fetchrow("SELECT * FROM ap.u WHERE id = $1", 1))
    await attempt("other", conn.fetchrow(star, 1))
    async with conn.transaction():
        await attempt("inside", conn.fetchrow("SELECT * FROM ap.u WHERE id = $1", 1))
    await conn.execute("ALTER TABLE ap.u ALTER COLUMN s TYPE varchar(7)")
    try:
        async with conn.transaction():
            await attempt("stale inside", conn.fetchrow("SELECT * FROM ap.u WHERE id = $1", 1))
    except asyncpg.PostgresError as e:
        out("transaction", type(e).__name__)
    await attempt("after", conn.fetchrow("SELECT * FROM ap.u WHERE id = $1", 1))
    await conn.execute("DROP TABLE ap.u")
    await attempt("dropped", conn.fetchrow("SELECT * FROM ap.u WHERE id = $1", 1))


async def main():
    conn = await asyncpg.connect(URL, server_settings={"jit": "on"})
    out(conn.get_server_version(), conn.get_settings().client_encoding, conn.get_settings().TimeZone)
    for turn in range(6):
        await attempt("kept", conn.fetch("SELECT * FROM warm.kept WHERE id = $1", 1))
    await definitions(conn)
    await types(conn)
    await statements(conn)
    await transactions(conn)
    await altered(conn)
    await bulk(conn)
    await talk(conn)
    await attempt("reset", conn.reset())
    await attempt("still", conn.fetchval("SELECT s FROM ap.t WHERE id = $1", 5))
    await conn.close()
    await pool()
    plain = await asyncpg.connect(URL, statement_cache_size=0, server_settings={"search_path": "ap", "application_name": "start"})
    for turn in range(3):
        await attempt("without a cache of statements", plain.fetchrow("SELECT s, m, current_setting('application_name') FROM t WHERE id = $1", 1))
    await plain.close()
    await attempt("wrong password", asyncpg.connect(URL.replace("app:app@", "app:wrong@")))
    await attempt("no such database", asyncpg.connect(URL.rsplit("/", 1)[0] + "/nowhere_at_all"))


asyncio.run(main())
