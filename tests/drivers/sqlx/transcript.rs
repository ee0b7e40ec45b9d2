//! sqlx against the URL in the first argument: prints a transcript that must not depend on who answers. It prepares every
//! statement under a name, keeps a hundred of them, and describes types that it does not know by queries of its own.

use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions, PgRow, PgValueFormat};
use sqlx::{AssertSqlSafe, Column, Connection, Error, Executor, Row, TypeInfo, ValueRef};
use std::str::FromStr;

fn show(row: &PgRow) -> String {
    let cell = |i: usize| {
        let value = row.try_get_raw(i).expect("a column that is there");
        let format = match value.format() {
            PgValueFormat::Text => 't',
            PgValueFormat::Binary => 'b',
        };
        let bytes = value.as_bytes().map(|bytes| bytes.escape_ascii().to_string());
        format!("{format} {}", bytes.unwrap_or("null".to_owned()))
    };
    let columns = row.columns().iter().enumerate();
    columns.map(|(i, c)| format!("{}:{}={}", c.name(), c.type_info().name(), cell(i))).collect::<Vec<_>>().join(" ")
}

fn failure(error: &Error) -> String {
    match error.as_database_error() {
        Some(e) => format!("!! {:?} {} {:?} {:?}", e.code(), e.message(), e.table(), e.constraint()),
        None => format!("!! {error}"),
    }
}

fn rows(label: &str, rows: Result<Vec<PgRow>, Error>) {
    match rows {
        Ok(rows) => {
            println!("{label}: {} rows", rows.len());
            rows.iter().for_each(|row| println!("{}", show(row)));
        }
        Err(e) => println!("{label} {}", failure(&e)),
    }
}

/// One of each, in order: what a connection's own cache of statements makes of them is part of the transcript.
async fn reads(pool: &PgPool) {
    for turn in 0..3 {
        rows("all", sqlx::query("SELECT * FROM sx.t ORDER BY id").fetch_all(pool).await);
        rows("one", sqlx::query("SELECT s, n FROM sx.t WHERE id = $1").bind(turn).fetch_all(pool).await);
        rows("none", sqlx::query("SELECT s, n FROM sx.t WHERE id = $1").bind(700).fetch_all(pool).await);
        let any = sqlx::query("SELECT s, mood FROM sx.t WHERE id = ANY($1) ORDER BY id").bind(vec![1, 2, 3]);
        rows("any", any.fetch_all(pool).await);
        let unkept = sqlx::query("SELECT i8 FROM sx.t WHERE id = $1").bind(3).persistent(false);
        rows("unkept", unkept.fetch_all(pool).await);
        rows("several", sqlx::raw_sql("SELECT 1 AS one; SELECT s FROM sx.t WHERE id = 2").fetch_all(pool).await);
        let optional = sqlx::query_scalar::<_, String>("SELECT s FROM sx.t WHERE id = $1").bind(900);
        println!("optional {:?}", optional.fetch_optional(pool).await.map_err(|e| failure(&e)));
    }
    for n in 0_i64..10 {
        let update = sqlx::query("UPDATE sx.t SET i8 = $1 WHERE id = 2").bind(n).execute(pool).await;
        println!("updated {:?}", update.map(|done| done.rows_affected()).map_err(|e| failure(&e)));
        let read = sqlx::query_scalar::<_, i64>("SELECT i8 FROM sx.t WHERE id = $1").bind(2).fetch_one(pool).await;
        println!("read {:?}", read.map_err(|e| failure(&e)));
    }
    // Taken one by one and left before the end.
    let mut stream = sqlx::query("SELECT id FROM sx.t ORDER BY id").fetch(pool);
    for _ in 0..3 {
        println!("streamed {:?}", stream.try_next().await.map(|row| row.as_ref().map(show)).map_err(|e| failure(&e)));
    }
}

async fn transactions(pool: &PgPool) -> Result<(), Error> {
    let mut outer = pool.begin().await?;
    sqlx::query("INSERT INTO sx.t (id, s) VALUES (100, 'inside')").execute(&mut *outer).await?;
    let mut inner = outer.begin().await?;
    sqlx::query("DELETE FROM sx.t WHERE id = 100").execute(&mut *inner).await?;
    rows("deleted", sqlx::query("SELECT s FROM sx.t WHERE id = $1").bind(100).fetch_all(&mut *inner).await);
    inner.rollback().await?;
    rows("back", sqlx::query("SELECT s FROM sx.t WHERE id = $1").bind(100).fetch_all(&mut *outer).await);
    outer.commit().await?;
    let mut failed = pool.begin().await?;
    rows("fails", sqlx::query("SELECT 1 / (id - $1) FROM sx.t WHERE id = 1").bind(1).fetch_all(&mut *failed).await);
    rows("refused", sqlx::query("SELECT 1").fetch_all(&mut *failed).await);
    // Rolled back by the connection's next user.
    drop(failed);
    rows("committed", sqlx::query("SELECT s FROM sx.t WHERE id = $1").bind(100).fetch_all(pool).await);
    Ok(())
}

async fn errors(pool: &PgPool) {
    for sql in
        ["SELEC 1", "SELECT * FROM sx.nowhere", "SELECT 1/0", "INSERT INTO sx.t (id) VALUES (1)", "SELECT 'x'::int"]
    {
        rows(sql, sqlx::query(sql).fetch_all(pool).await);
    }
    let overflow = sqlx::query("SELECT i8 * $1 FROM sx.t WHERE id = 3").bind(i64::MAX);
    rows("overflow", overflow.fetch_all(pool).await);
    // One connection of the two that the pool may have by now: which of them knows the statement by its name must not be chance.
    let mut one = pool.acquire().await.expect("a connection");
    for column in ["one", "two"] {
        let altered = AssertSqlSafe(format!("ALTER TABLE sx.t ADD COLUMN {column} int DEFAULT 9"));
        println!("{column} {:?}", one.execute(altered).await.map(|_| ()).map_err(|e| failure(&e)));
        // A row of another shape would be an error of sqlx's own.
        for _ in 0..2 {
            rows("altered", sqlx::query("SELECT * FROM sx.t WHERE id = $1").bind(3).fetch_all(&mut *one).await);
        }
    }
    drop(one);
    // More statements than a connection keeps, so that the eldest are closed.
    for n in 0..120 {
        let many = AssertSqlSafe(format!("SELECT {n} + count(*) AS sum FROM sx.child"));
        rows("many", sqlx::query(many).fetch_all(pool).await);
    }
}

async fn bulk(pool: &PgPool, url: &str) -> Result<(), Error> {
    let mut connection = pool.acquire().await?;
    let mut copy = connection.copy_in_raw("COPY sx.child FROM STDIN").await?;
    for n in 0..2000 {
        copy.send(format!("{n}\t{}\tcopied {n}\n", n % 40).as_bytes()).await?;
    }
    println!("copied {:?}", copy.finish().await.map_err(|e| failure(&e)));
    let mut copy = connection.copy_in_raw("COPY sx.child FROM STDIN").await?;
    copy.send(&b"1\t1\ttwice\n"[..]).await?;
    println!("copied wrongly {:?}", copy.finish().await.map_err(|e| failure(&e)));
    let out = connection.copy_out_raw("COPY (SELECT * FROM sx.child ORDER BY id) TO STDOUT").await?;
    let out = out.try_fold((0, 0), async |(n, sum), part| {
        Ok((n + part.len(), sum + part.iter().map(|b| u64::from(*b)).sum::<u64>()))
    });
    println!("copied out {:?}", out.await?);
    rows("cascade", sqlx::query("DELETE FROM sx.t WHERE id = 5 RETURNING id").fetch_all(pool).await);
    rows("cascaded", sqlx::query("SELECT count(*) FROM sx.child").fetch_all(pool).await);
    drop(connection);

    let mut listener = PgListener::connect(url).await?;
    listener.listen("news").await?;
    for n in 0..3 {
        sqlx::query("SELECT pg_notify('news', $1)").bind(format!("number {n}")).execute(pool).await?;
        let heard = listener.recv().await?;
        println!("heard {} {}", heard.channel(), heard.payload());
    }
    Ok(())
}

async fn transcript(url: &str) -> Result<(), Error> {
    // Options of an application: settings that come with the startup packet, and a small cache of statements.
    let options = PgConnectOptions::from_str(url)?
        .application_name("sqlx")
        .options([("geqo", "off"), ("statement_timeout", "60s")])
        .statement_cache_capacity(20);
    let pool = PgPoolOptions::new().max_connections(2).connect_with(options).await?;
    for _ in 0..6 {
        rows("kept", sqlx::query("SELECT * FROM warm.kept WHERE id = $1").bind(1).fetch_all(&pool).await);
    }
    for sql in [
        "SET client_min_messages = warning; DROP SCHEMA IF EXISTS sx CASCADE; RESET client_min_messages",
        "CREATE SCHEMA sx",
        "CREATE TYPE sx.mood AS ENUM ('glad', 'sad')",
        "CREATE TABLE sx.t (id int PRIMARY KEY, i8 int8, f8 float8, n numeric, s text, tz timestamptz, by bytea, a text[], mood sx.mood)",
        "CREATE TABLE sx.child (id int PRIMARY KEY, t int REFERENCES sx.t ON DELETE CASCADE, note text)",
        "INSERT INTO sx.t SELECT g, g * 10, g / 3.0, g / 7.0, 'row ' || g, '2024-02-29 12:00Z', '\\x00ff', '{x,NULL}', 'glad' \
         FROM generate_series(1, 40) g",
        "INSERT INTO sx.t (id) VALUES (0)",
    ] {
        println!("{sql} {:?}", sqlx::raw_sql(sql).execute(&pool).await.map(|_| ()).map_err(|e| failure(&e)));
    }
    rows("geqo", sqlx::query("SHOW geqo").fetch_all(&pool).await);
    reads(&pool).await;
    transactions(&pool).await?;
    errors(&pool).await;
    bulk(&pool, url).await?;
    let mut connection = pool.acquire().await?;
    connection.ping().await?;
    connection.clear_cached_statements().await?;
    rows("after", sqlx::query("SELECT s FROM sx.t WHERE id = $1").bind(1).fetch_all(&mut *connection).await);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let url = std::env::args().nth(1).expect("a URL");
    let done = tokio::time::timeout(std::time::Duration::from_secs(120), transcript(&url)).await;
    done.expect("an end in time").unwrap_or_else(|e| panic!("{}", failure(&e)));
}
