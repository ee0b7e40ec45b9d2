"""Psycopg 2 against the URL in the first argument: every statement is a simple query with its parameters written in."""

import io
import select
import sys
import threading
import time

import psycopg2
import psycopg2.errorcodes
import psycopg2.extensions
import psycopg2.extras

from transcript import attempt, out

URL = sys.argv[1]

conn = psycopg2.connect(URL)
for name in ["server_version", "client_encoding", "DateStyle", "TimeZone", "integer_datetimes", "standard_conforming_strings"]:
    out("parameter", name, conn.get_parameter_status(name))
out(conn.server_version, conn.protocol_version, conn.encoding, conn.autocommit, conn.isolation_level)


def run(sql, params=None, on=None):
    with (on or conn).cursor() as cur:
        cur.execute(sql, params)
        rows = cur.fetchall() if cur.description else None
        rows = rows and [tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in rows]
        columns = [(c.name, c.type_code if c.type_code < 16384 else "own", c.internal_size) for c in cur.description or []]
        return cur.statusmessage, columns, rows


conn.autocommit = True
out("# what is there, until it is kept")
for turn in range(6):
    attempt("kept", lambda: run("SELECT * FROM warm.kept WHERE id = %s", (1,)))

out("# definitions")
run("SET client_min_messages = warning")
for sql in [
    "DROP SCHEMA IF EXISTS p2 CASCADE", "RESET client_min_messages", "CREATE SCHEMA p2",
    "CREATE TYPE p2.pair AS (a int, b text)",
    """CREATE TABLE p2.t (id int PRIMARY KEY, n numeric, s text, d date, ts timestamp, tz timestamptz, iv interval, by bytea,
       a text[], r int4range, h jsonb, p p2.pair)""",
]:
    attempt(sql[:40], lambda: run(sql))
psycopg2.extras.register_composite("p2.pair", conn)
psycopg2.extras.register_uuid(conn_or_curs=conn)
conn.autocommit = False

out("# transactions begin by themselves")
attempt("insert", lambda: run("INSERT INTO p2.t (id, n, s, d, tz, iv, by, a, r, h, p) VALUES (%s, 1.50, %s, '2024-02-29', "
                              "'2024-02-29 12:00+02', '3 days', %s, %s, '[1,5)', %s, ROW(1, 'x'))",
                              (1, "o'clock \\ ☃", b"\x00\xff", ["x", None], psycopg2.extras.Json({"a": [1]}))))
out("status", conn.get_transaction_status(), conn.status)
attempt("inside", lambda: run("SELECT * FROM p2.t"))
conn.commit()
out("status", conn.get_transaction_status())
for turn in range(3):
    attempt("read", lambda: run("SELECT * FROM p2.t WHERE id = %s", (1,)))
    conn.rollback()
with conn:
    attempt("with", lambda: run("UPDATE p2.t SET n = 2 WHERE id = 1"))
attempt("updated", lambda: run("SELECT n FROM p2.t WHERE id = 1"))
attempt("fails", lambda: run("SELECT 1/0"))
attempt("refused", lambda: run("SELECT n FROM p2.t"))
conn.rollback()

out("# the session's own settings, which psycopg 2 sends before a transaction")
for level in ["SERIALIZABLE", "REPEATABLE READ", "READ COMMITTED", "DEFAULT"]:
    conn.set_session(isolation_level=level)
    attempt(level, lambda: run("SELECT current_setting('transaction_isolation'), n FROM p2.t"))
    conn.rollback()
conn.set_session(readonly=True, deferrable=True, isolation_level="SERIALIZABLE")
attempt("readonly", lambda: run("DELETE FROM p2.t"))
conn.rollback()
conn.set_session(readonly="DEFAULT", deferrable="DEFAULT", isolation_level="DEFAULT")
conn.autocommit = True
conn.set_session(readonly=True)
attempt("autocommit and readonly", lambda: run("SHOW default_transaction_read_only"))
attempt("refused", lambda: run("DELETE FROM p2.t"))
conn.set_session(readonly="DEFAULT")
conn.set_client_encoding("LATIN1")
attempt("latin", lambda: run("SELECT 'é', octet_length('é')"))
attempt("no such letter", lambda: run("SELECT s FROM p2.t"))
conn.set_client_encoding("UTF8")
attempt("utf", lambda: run("SELECT s FROM p2.t"))
out("parameter", conn.get_parameter_status("client_encoding"))

out("# a write is seen by the next read")
for turn in range(10):
    run("UPDATE p2.t SET n = %s", (turn,))
    attempt("read", lambda: run("SELECT n FROM p2.t WHERE id = 1"))
attempt("values", lambda: psycopg2.extras.execute_values(
    conn.cursor(), "INSERT INTO p2.t (id, s) VALUES %s RETURNING id", [(n, f"row {n}") for n in range(2, 500)], fetch=True)[-1])
attempt("count", lambda: run("SELECT count(*), sum(id) FROM p2.t"))
attempt("batch", lambda: psycopg2.extras.execute_batch(
    conn.cursor(), "UPDATE p2.t SET n = %s WHERE id = %s", [(n, n) for n in range(2, 300)], page_size=50))
attempt("sum", lambda: run("SELECT sum(n) FROM p2.t"))
attempt("several", lambda: run("SELECT 1; SELECT 2"))
attempt("several, one fails", lambda: run("UPDATE p2.t SET n = 0; SELECT 1/0"))
attempt("nothing of it", lambda: run("SELECT sum(n) FROM p2.t"))
attempt("empty", lambda: run(""))
attempt("notice", lambda: run("DO $$ BEGIN RAISE NOTICE 'hello'; END $$"))
out(conn.notices)

out("# cursors of the server")
conn.autocommit = False


def walk(name, **how):
    with conn.cursor(name, **how) as cur:
        cur.itersize = 13
        cur.execute("SELECT id FROM p2.t ORDER BY id")
        seen = [cur.fetchone(), cur.fetchmany(3)]
        if how.get("scrollable"):
            cur.scroll(-2)
        if how.get("withhold"):
            conn.commit()
        return seen, cur.fetchone(), sum(row[0] for row in cur)


attempt("cursor", lambda: walk("one"))
attempt("scrollable", lambda: walk("two", scrollable=True))
attempt("held", lambda: walk("three", withhold=True))
conn.commit()

out("# copy")


def copies(cur):
    cur.copy_from(io.StringIO("".join(f"{1000 + n}\tcopied {n}\n" for n in range(2000))), "t", columns=("id", "s"))
    to = io.StringIO()
    cur.copy_expert("COPY (SELECT id, s FROM p2.t ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER)", to)
    return cur.rowcount, len(to.getvalue()), to.getvalue()[:60]


run("SET search_path = p2")
attempt("copies", lambda: copies(conn.cursor()))
attempt("wrong", lambda: conn.cursor().copy_from(io.StringIO("x\ty\n"), "t", columns=("id", "s")))
conn.rollback()
attempt("the setting is undone", lambda: run("SHOW search_path"))
conn.rollback()

out("# two phases")
xid = conn.xid(1, "psycopg2", "sidecache")
conn.tpc_begin(xid)
attempt("prepared", lambda: run("INSERT INTO p2.t (id, s) VALUES (9000, 'prepared')"))
attempt("prepare", conn.tpc_prepare)
attempt("commit", conn.tpc_commit)
attempt("read", lambda: run("SELECT s FROM p2.t WHERE id = 9000"))
conn.rollback()
conn.tpc_begin(conn.xid(1, "psycopg2", "sidecache too"))
run("DELETE FROM p2.t")
conn.tpc_prepare()
conn.reset()
with psycopg2.connect(URL) as other:
    mine = [str(x) for x in other.tpc_recover() if x.bqual == "sidecache too"]
    out("recovered", mine)
other.rollback()
other.tpc_rollback(other.xid(1, "psycopg2", "sidecache too"))
other.close()
attempt("rolled back", lambda: run("SELECT count(*) FROM p2.t"))
conn.rollback()

out("# large objects")


def large():
    made = conn.lobject(0, "wb")
    made.write(b"x" * 100000)
    made.close()
    again = conn.lobject(made.oid, "rb")
    again.seek(99990)
    rest = again.read()
    again.unlink()
    return rest


attempt("large", large)
conn.commit()

out("# listen, poll and cancel")
conn.autocommit = True
run("LISTEN news")
with psycopg2.connect(URL) as other:
    run("NOTIFY news, 'hello'", on=other)
other.close()
while not conn.notifies:
    assert select.select([conn], [], [], 30)[0], "no notification came"
    conn.poll()
out([(n.channel, n.payload) for n in conn.notifies])
run("UNLISTEN *")

SLEEP = "SELECT pg_sleep(600) -- psycopg 2 cancels"


def cancelled():
    other = psycopg2.connect(URL)
    other.autocommit = True

    def when_running():
        while not run("SELECT 1 FROM pg_stat_activity WHERE query = %s AND wait_event = 'PgSleep'", (SLEEP,), on=other)[2]:
            time.sleep(0.01)
        conn.cancel()

    thread = threading.Thread(target=when_running)
    thread.start()
    try:
        return run(SLEEP)
    finally:
        thread.join()
        other.close()


attempt("cancelled", cancelled)
attempt("after", lambda: run("SELECT n FROM p2.t WHERE id = 1"))

out("# reset is what pools do")
run("SET TimeZone = 'Asia/Tokyo'")
run("SET extra_float_digits = 0")
conn.reset()
attempt("reset", lambda: run("SELECT current_setting('TimeZone'), current_setting('extra_float_digits'), tz::text FROM p2.t WHERE id = 1"))
conn.close()

out("# asynchronous")
later = psycopg2.connect(URL, async_=True)
psycopg2.extras.wait_select(later)
cur = later.cursor()
for turn in range(3):
    cur.execute("SELECT id, s FROM p2.t WHERE id < %s ORDER BY id", (5 + turn,))
    psycopg2.extras.wait_select(later)
    out(cur.fetchall())
later.close()
attempt("options", lambda: run("SHOW statement_timeout", on=psycopg2.connect(URL, options="-c statement_timeout=12345")))
attempt("no such database", lambda: psycopg2.connect(URL.rsplit("/", 1)[0] + "/nowhere_at_all"))
