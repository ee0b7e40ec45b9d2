"""Psycopg 3 against the URL in the first argument: prints a transcript that must not depend on who answers.

Nothing is printed that differs between two runs on one server: no process ids, no object ids, no times.
"""

import sys
import threading
import time

import psycopg
from psycopg.rows import tuple_row

URL = sys.argv[1]


def out(*words):
    print(*words, flush=True)


def attempt(label, action):
    """Runs an action; prints its result, or the error as the server told it."""
    try:
        out(label, "->", repr(action()))
    except psycopg.Error as e:
        d = e.diag
        out(label, "!!", type(e).__name__, e.sqlstate, d.severity_nonlocalized, d.message_primary,
            d.message_detail, d.message_hint, d.statement_position, d.schema_name, d.table_name, d.constraint_name)


def described(cur):
    # Types made by this script have other ids at each run.
    return [(c.name, c.type_code if c.type_code < 16384 else "own", c.internal_size, c.precision, c.scale)
            for c in cur.description or []]


conn = psycopg.connect(URL, autocommit=True)
notices = []
conn.add_notice_handler(lambda d: notices.append((d.severity_nonlocalized, d.sqlstate, d.message_primary)))
for name in ["server_version", "server_encoding", "client_encoding", "is_superuser", "session_authorization", "DateStyle",
             "IntervalStyle", "TimeZone", "integer_datetimes", "standard_conforming_strings", "in_hot_standby",
             "default_transaction_read_only", "application_name"]:
    out("parameter", name, conn.info.parameter_status(name))


def run(sql, params=None, binary=False, prepare=None):
    with conn.cursor(binary=binary, row_factory=tuple_row) as cur:
        cur.execute(sql, params, prepare=prepare)
        rows = cur.fetchall() if cur.description else None
        return cur.statusmessage, described(cur), rows


out("# what is there, until it is kept")
for turn in range(6):
    attempt("kept", lambda: run("SELECT * FROM warm.kept WHERE id = %s", (1,), binary=turn % 2 == 1))

out("# definitions")
run("SET client_min_messages = warning")
for sql in [
    "DROP SCHEMA IF EXISTS py CASCADE",
    "RESET client_min_messages",
    "CREATE SCHEMA py",
    "CREATE TYPE py.mood AS ENUM ('sad', 'ok', 'happy')",
    """CREATE TABLE py.t (id int PRIMARY KEY, i2 int2, i8 int8, f4 float4, f8 float8, n numeric(12,3), b bool, s text,
       vc varchar(20), c char(5), by bytea, d date, tm time, ts timestamp, tz timestamptz, iv interval, u uuid, j json,
       jb jsonb, ia int[], ta text[], ir int4range, ip inet, m py.mood)""",
    "CREATE TABLE py.child (id serial PRIMARY KEY, t int REFERENCES py.t ON DELETE CASCADE, note text NOT NULL)",
    "CREATE VIEW py.v AS SELECT t.id, t.s, count(c.id) AS notes FROM py.t LEFT JOIN py.child c ON c.t = t.id GROUP BY t.id",
]:
    attempt(sql[:40], lambda: run(sql))

out("# writes")
values = (1, 2, 2**62, 1.5, -0.1, "123456.789", True, "naïve ☃ text", "vc", "c", b"\x00\xff\x01", "2024-02-29", "12:34:56.789",
          "2024-02-29 12:34:56.789", "2024-02-29 12:34:56.789+02", "1 year 2 mons 3 days 04:05:06",
          "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", '{"a": [1, 2]}', '{"b": null}', [1, None, 3], ["x", 'q"uote', None],
          "[1,5)", "192.168.0.1/24", "happy")
marks = ", ".join(["%s"] * len(values))
attempt("insert", lambda: run(f"INSERT INTO py.t VALUES ({marks}) RETURNING id", values))
attempt("insert nulls", lambda: run("INSERT INTO py.t (id) VALUES (2), (3) RETURNING *"))
attempt("children", lambda: run("INSERT INTO py.child (t, note) SELECT 1 + g % 3, 'note ' || g FROM generate_series(1, 9) g"))

out("# typed reads, text and binary, cold and warm")
for turn in range(3):
    for binary in (False, True):
        attempt(f"all {binary}", lambda: run("SELECT * FROM py.t ORDER BY id", binary=binary))
        attempt(f"one {binary}", lambda: run("SELECT s, n, tz FROM py.t WHERE id = %s", (1,), binary=binary))
        attempt(f"none {binary}", lambda: run("SELECT s, n FROM py.t WHERE id = %s", (99,), binary=binary))
        attempt(f"join {binary}", lambda: run(
            "SELECT t.id, c.note FROM py.t JOIN py.child c ON c.t = t.id WHERE t.id = %b ORDER BY c.id", (2,), binary=binary))
        attempt(f"view {binary}", lambda: run("SELECT * FROM py.v ORDER BY id", binary=binary))

out("# a write is seen by the next read")
for turn in range(10):
    attempt("update", lambda: run("UPDATE py.t SET i8 = %s WHERE id = 2", (turn,)))
    attempt("read", lambda: run("SELECT i8 FROM py.t WHERE id = 2"))
attempt("delete", lambda: run("DELETE FROM py.t WHERE id = 3"))
attempt("cascade", lambda: run("SELECT count(*) FROM py.child"))
attempt("view", lambda: run("SELECT * FROM py.v ORDER BY id"))

out("# prepared")
for turn in range(8):
    attempt("prepared", lambda: run("SELECT id, s FROM py.t WHERE id = %s", (turn % 3,), prepare=True))
attempt("sql prepare", lambda: run("PREPARE q (int) AS SELECT s FROM py.t WHERE id = $1"))
for turn in range(3):
    attempt("sql execute", lambda: run("EXECUTE q (1)"))
attempt("deallocate", lambda: run("DEALLOCATE q"))
attempt("execute", lambda: run("EXECUTE q (1)"))

out("# transactions")


def committed():
    with conn.transaction():
        run("INSERT INTO py.t (id, s) VALUES (10, 'in transaction')")
        inside = run("SELECT s FROM py.t WHERE id = 10")
        try:
            with conn.transaction():
                run("UPDATE py.t SET s = 'savepoint' WHERE id = 10")
                raise KeyError("back")
        except KeyError:
            pass
        return inside, run("SELECT s FROM py.t WHERE id = 10")


def rolled_back():
    try:
        with conn.transaction():
            run("DELETE FROM py.t")
            gone = run("SELECT count(*) FROM py.t")
            raise KeyError("back")
    except KeyError:
        return gone, run("SELECT count(*) FROM py.t")


def failed():
    run("BEGIN")
    attempt("fails", lambda: run("SELECT 1/0"))
    attempt("refused", lambda: run("SELECT s FROM py.t WHERE id = 1"))
    status = conn.info.transaction_status.name
    return status, run("ROLLBACK"), run("SELECT s FROM py.t WHERE id = 1")


def isolated(level):
    run(f"BEGIN ISOLATION LEVEL {level}")
    rows = [run("SHOW transaction_isolation"), run("SELECT s FROM py.t WHERE id = 1")]
    return rows, run("COMMIT")


attempt("committed", committed)
attempt("rolled back", rolled_back)
attempt("failed", failed)
for level in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE", "READ COMMITTED READ ONLY"]:
    attempt(level, lambda: isolated(level))

out("# errors")
for sql in [
    "SELEC 1", "SELECT * FROM py.nowhere", "SELECT nothing FROM py.t", "SELECT 1/0", "SELECT 'x'::int",
    "INSERT INTO py.t (id) VALUES (1)", "INSERT INTO py.child (t, note) VALUES (77, 'orphan')",
    "INSERT INTO py.child (t) VALUES (1)", "SELECT 1; SELECT 1/0; SELECT 3",
]:
    attempt(sql, lambda: run(sql))
attempt("wrong parameter", lambda: run("SELECT s FROM py.t WHERE id = %s::int", ("seven",)))
attempt("several", lambda: run("SELECT 1; SELECT 2"))
attempt("empty", lambda: run(""))
attempt("notice", lambda: run("DO $$ BEGIN RAISE NOTICE 'hello %', 1; RAISE WARNING 'careful'; END $$"))
out("notices", notices)

out("# settings")
for sql in ["SET TimeZone = 'Asia/Tokyo'", "SELECT tz, ts FROM py.t WHERE id = 1", "SET DateStyle = 'German'",
            "SELECT tz::text, d::text FROM py.t WHERE id = 1", "SET search_path = py", "SELECT s FROM t WHERE id = 1",
            "SELECT set_config('extra_float_digits', '0', false)", "SELECT f4::text, f8::text FROM t WHERE id = 1",
            "RESET ALL", "SELECT tz::text, d::text FROM py.t WHERE id = 1", "SHOW TimeZone", "SELECT s FROM t WHERE id = 1"]:
    attempt(sql, lambda: run(sql))
out("parameter TimeZone", conn.info.parameter_status("TimeZone"))

out("# temporary objects and cursors")
attempt("temp", lambda: run("CREATE TEMP TABLE tmp AS SELECT g AS id FROM generate_series(1, 5) g"))
attempt("temp read", lambda: run("SELECT count(*) FROM tmp"))
attempt("drop", lambda: run("DROP TABLE tmp"))


def cursor():
    with conn.transaction():
        with conn.cursor(name="walk") as cur:
            cur.itersize = 7
            cur.execute("SELECT g, 'row ' || g FROM generate_series(1, 20) g")
            return cur.fetchmany(3), len(cur.fetchall())


def held():
    with conn.cursor(name="held", withhold=True) as cur:
        cur.execute("SELECT id FROM py.t ORDER BY id")
        return cur.fetchone(), cur.fetchall()


attempt("cursor", cursor)
attempt("held cursor", held)

out("# copy")


def copy_in():
    with conn.cursor() as cur:
        with cur.copy("COPY py.child (t, note) FROM STDIN") as copy:
            for n in range(5000):
                copy.write_row((1, f"copied {n}"))
        return cur.rowcount


def copy_out(how):
    with conn.cursor() as cur, cur.copy(f"COPY (SELECT id, t, note FROM py.child ORDER BY id) TO STDOUT {how}") as copy:
        data = b"".join(bytes(block) for block in copy)
        return len(data), sum(data), data[:40]


def copy_wrong():
    with conn.cursor() as cur, cur.copy("COPY py.child (t, note) FROM STDIN") as copy:
        copy.write("1\tfine\nnot a number\twrong\n")


attempt("copy in", copy_in)
attempt("count", lambda: run("SELECT count(*) FROM py.child"))
attempt("copy out", lambda: copy_out(""))
attempt("copy binary", lambda: copy_out("(FORMAT binary)"))
attempt("copy wrong", copy_wrong)
attempt("count", lambda: run("SELECT count(*) FROM py.child"))

out("# big rows")
for turn in range(2):
    attempt("big", lambda: [len(r[0]) for r in run("SELECT repeat('x', 3000000) FROM generate_series(1, 3)")[2]])
    attempt("many", lambda: sum(r[0] for r in run("SELECT g FROM generate_series(1, 50000) g")[2]))
attempt("big in", lambda: run("SELECT length(%s), md5(%s::bytea)", ("y" * 2000000, b"z" * 2000000)))

out("# pipeline")


def pipeline():
    with conn.pipeline():
        cursors = [conn.execute("SELECT %s::int + id FROM py.t WHERE id = 1", (n,)) for n in range(20)]
        update = conn.execute("UPDATE py.t SET i8 = 1000 WHERE id = 2")
        cursors.append(conn.execute("SELECT i8 FROM py.t WHERE id = 2"))
    return [c.fetchone() for c in cursors], update.statusmessage


def pipeline_error():
    with conn.pipeline():
        first = conn.execute("SELECT 1")
        conn.execute("SELECT 1/0")
        conn.execute("SELECT 3")
        return first.fetchone()


attempt("pipeline", pipeline)
attempt("pipeline error", pipeline_error)
attempt("after", lambda: run("SELECT i8 FROM py.t WHERE id = 2"))

out("# many statements at once")
attempt("executemany", lambda: conn.cursor().executemany(
    "INSERT INTO py.child (t, note) VALUES (%s, %s)", [(2, f"many {n}") for n in range(100)]))
attempt("count", lambda: run("SELECT count(*) FROM py.child WHERE note LIKE 'many%'"))

out("# listen and notify")


def listen():
    run("LISTEN news")
    with psycopg.connect(URL, autocommit=True) as other:
        other.execute("NOTIFY news, 'from another'")
    run("NOTIFY news, 'own'")
    heard = []
    for note in conn.notifies(timeout=30):
        heard.append((note.channel, note.payload))
        if len(heard) == 2:
            break
    run("UNLISTEN *")
    return sorted(heard)


attempt("listen", listen)

out("# cancel")


def cancel():
    marker = "SELECT pg_sleep(600) -- psycopg cancels"
    with psycopg.connect(URL, autocommit=True) as other:

        def when_running():
            while other.execute("SELECT count(*) FROM pg_stat_activity WHERE query = %s AND wait_event = 'PgSleep'",
                                (marker,)).fetchone() == (0,):
                time.sleep(0.01)
            conn.cancel_safe(timeout=30)

        thread = threading.Thread(target=when_running)
        thread.start()
        try:
            return run(marker)
        finally:
            thread.join()


attempt("cancelled", cancel)
attempt("after", lambda: run("SELECT s FROM py.t WHERE id = 1"))

out("# advisory locks and identity")
attempt("lock", lambda: run("SELECT pg_advisory_lock(42)"))
attempt("held", lambda: run("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 42"))
attempt("unlock", lambda: run("SELECT pg_advisory_unlock(42)"))
attempt("unlock again", lambda: run("SELECT pg_advisory_unlock(42)"))
attempt("discard", lambda: run("DISCARD ALL"))
attempt("who", lambda: run("SELECT current_user, session_user"))
conn.close()
attempt("closed", lambda: run("SELECT 1"))

try:
    psycopg.connect(URL.replace("app:app@", "app:wrong@"))
except psycopg.OperationalError as e:
    out("wrong password", "password authentication failed" in str(e))
