//! tokio-postgres: prints a transcript that must not depend on who answers. It always speaks the extended protocol
//! with binary results, describes every statement first, and pipelines whatever is polled together.

use futures_util::{SinkExt, StreamExt, TryStreamExt, future, stream};
use std::fmt::Write;
use std::future::Future;
use std::time::SystemTime;
use tokio::sync::mpsc;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{AsyncMessage, Client, Error, IsolationLevel, NoTls, Row, SimpleQueryMessage};

/// Bytes of any type, as they came.
struct Raw(Vec<u8>);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Raw(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn show(row: &Row) -> String {
    let cell = |i| match row.get::<_, Option<Raw>>(i) {
        Some(Raw(bytes)) => bytes.iter().fold(String::new(), |mut text, b| {
            let _ = write!(text, "{b:02x}");
            text
        }),
        None => "null".to_owned(),
    };
    let columns = row.columns().iter().enumerate();
    columns.map(|(i, c)| format!("{}:{}={}", c.name(), c.type_().oid(), cell(i))).collect::<Vec<_>>().join(" ")
}

fn failure(error: &Error) -> String {
    match error.as_db_error() {
        Some(e) => format!("!! {} {} {:?} {:?}", e.code().code(), e.message(), e.detail(), e.position()),
        None => format!("!! {error}"),
    }
}

struct Transcript(String);

impl Transcript {
    fn line(&mut self, line: &str) {
        self.0 += line;
        self.0 += "\n";
    }

    async fn rows(&mut self, label: &str, rows: impl Future<Output = Result<Vec<Row>, Error>>) {
        match rows.await {
            Ok(rows) => {
                self.line(&format!("{label}: {} rows", rows.len()));
                rows.iter().for_each(|row| self.line(&show(row)));
            }
            Err(e) => self.line(&format!("{label} {}", failure(&e))),
        }
    }

    async fn count(&mut self, label: &str, count: impl Future<Output = Result<u64, Error>>) {
        match count.await {
            Ok(count) => self.line(&format!("{label}: {count}")),
            Err(e) => self.line(&format!("{label} {}", failure(&e))),
        }
    }

    async fn simple(&mut self, client: &Client, sql: &str) {
        self.line(sql);
        match client.simple_query(sql).await {
            Ok(messages) => messages.iter().for_each(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    let cells: Vec<_> = (0..row.len()).map(|i| row.get(i)).collect();
                    self.line(&format!("{cells:?}"));
                }
                SimpleQueryMessage::CommandComplete(n) => self.line(&format!("complete {n}")),
                SimpleQueryMessage::RowDescription(columns) => {
                    self.line(&columns.iter().map(|c| c.name()).collect::<Vec<_>>().join(","));
                }
                _ => self.line("something else"),
            }),
            Err(e) => self.line(&failure(&e)),
        }
    }
}

async fn connect(url: &str) -> (Client, mpsc::UnboundedReceiver<String>) {
    let (client, mut connection) = tokio_postgres::connect(url, NoTls).await.expect("a server that takes connections");
    let (heard, hearing) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut messages = stream::poll_fn(move |cx| connection.poll_message(cx));
        while let Some(Ok(message)) = messages.next().await {
            let _ = match message {
                AsyncMessage::Notification(n) => heard.send(format!("{} {}", n.channel(), n.payload())),
                AsyncMessage::Notice(n) => heard.send(format!("{} {}", n.code().code(), n.message())),
                _ => Ok(()),
            };
        }
    });
    (client, hearing)
}

/// Everything, in order.
pub async fn transcript(url: &str) -> Result<String, Error> {
    let mut t = Transcript(String::new());
    let (mut client, mut hearing) = connect(url).await;
    for _ in 0..6 {
        t.rows("kept", client.query("SELECT * FROM warm.kept WHERE id = $1", &[&1])).await;
    }
    for sql in [
        "SET client_min_messages = warning; DROP SCHEMA IF EXISTS rs CASCADE; RESET client_min_messages",
        "CREATE SCHEMA rs",
        "CREATE TABLE rs.t (id int PRIMARY KEY, i8 int8, f8 float8, n numeric, s text, tz timestamptz, by bytea, a text[])",
        "CREATE TABLE rs.child (id int PRIMARY KEY, t int REFERENCES rs.t ON DELETE CASCADE, note text)",
        "INSERT INTO rs.t SELECT g, g * 10, g / 3.0, g / 7.0, 'row ' || g, '2024-02-29 12:00Z', '\\x00ff', '{x,NULL}' \
         FROM generate_series(1, 40) g",
        "INSERT INTO rs.t (id) VALUES (0)",
        "SELECT 1 AS one; SELECT 2 AS two; SELECT 1/0",
    ] {
        t.simple(&client, sql).await;
    }
    reads(&mut t, &client).await;
    transactions(&mut t, &mut client).await?;
    errors(&mut t, &client).await;
    bulk(&mut t, &client).await?;
    talk(&mut t, &client, &mut hearing, url).await;
    Ok(t.0)
}

async fn reads(t: &mut Transcript, client: &Client) {
    for _ in 0..3 {
        t.rows("all", client.query("SELECT * FROM rs.t ORDER BY id", &[])).await;
        t.rows("one", client.query("SELECT s, n FROM rs.t WHERE id = $1", &[&7])).await;
        t.rows("none", client.query("SELECT s, n FROM rs.t WHERE id = $1", &[&700])).await;
        t.rows("any", client.query("SELECT s FROM rs.t WHERE id = ANY($1) ORDER BY id", &[&vec![1, 2, 3]])).await;
        let typed = client.query_typed("SELECT i8 FROM rs.t WHERE id = $1", &[(&3_i32, Type::INT4)]);
        t.rows("typed", typed).await;
    }
    let prepared = client.prepare("SELECT i8, s FROM rs.t WHERE id = $1").await.expect("a good statement");
    for n in 0_i64..10 {
        t.count("update", client.execute("UPDATE rs.t SET i8 = $1 WHERE id = 2", &[&n])).await;
        t.rows("prepared", client.query(&prepared, &[&2])).await;
        t.simple(client, "SELECT i8 FROM rs.t WHERE id = 2").await;
    }
    // Polled together, so that they go out in one pipeline.
    let ask = |id: i32| {
        let prepared = &prepared;
        async move { client.query(prepared, &[&id]).await }
    };
    for answer in future::join_all((0..30).map(ask)).await {
        t.rows("pipelined", future::ready(answer)).await;
    }
}

async fn transactions(t: &mut Transcript, client: &mut Client) -> Result<(), Error> {
    let mut outer = client.transaction().await?;
    t.count("insert", outer.execute("INSERT INTO rs.t (id, s) VALUES (100, 'inside')", &[])).await;
    let inner = outer.transaction().await?;
    t.count("delete", inner.execute("DELETE FROM rs.t WHERE id = 100", &[])).await;
    t.rows("deleted", inner.query("SELECT s FROM rs.t WHERE id = $1", &[&100])).await;
    inner.rollback().await?;
    t.rows("back", outer.query("SELECT s FROM rs.t WHERE id = $1", &[&100])).await;
    outer.commit().await?;
    t.rows("committed", client.query("SELECT s FROM rs.t WHERE id = $1", &[&100])).await;
    for level in [IsolationLevel::ReadCommitted, IsolationLevel::RepeatableRead, IsolationLevel::Serializable] {
        let transaction = client.build_transaction().isolation_level(level).read_only(true).start().await?;
        t.rows("isolation", transaction.query("SELECT current_setting('transaction_isolation')", &[])).await;
        t.rows("read", transaction.query("SELECT s FROM rs.t WHERE id = $1", &[&100])).await;
        t.count("write", transaction.execute("DELETE FROM rs.t", &[])).await;
        transaction.rollback().await?;
    }
    let transaction = client.transaction().await?;
    let statement = transaction.prepare("SELECT id FROM rs.t WHERE id > $1 ORDER BY id").await?;
    let portal = transaction.bind(&statement, &[&10]).await?;
    for limit in [3, 5, 1000, 3] {
        t.rows("portal", transaction.query_portal(&portal, limit)).await;
    }
    transaction.commit().await
}

async fn errors(t: &mut Transcript, client: &Client) {
    for sql in
        ["SELEC 1", "SELECT * FROM rs.nowhere", "SELECT 1/0", "INSERT INTO rs.t (id) VALUES (1)", "SELECT 'x'::int"]
    {
        t.line(sql);
        t.rows("extended", client.query(sql, &[])).await;
        t.simple(client, sql).await;
    }
    t.rows("overflow", client.query("SELECT i8 * $1 FROM rs.t WHERE id = 3", &[&i64::MAX])).await;
    t.rows("after", client.query("SELECT i8 FROM rs.t WHERE id = 3", &[])).await;
    t.simple(client, "ALTER TABLE rs.t ADD COLUMN extra int DEFAULT 9").await;
    t.rows("altered", client.query("SELECT * FROM rs.t WHERE id = 3", &[])).await;
}

async fn bulk(t: &mut Transcript, client: &Client) -> Result<(), Error> {
    let sink = client.copy_in("COPY rs.child FROM STDIN").await?;
    tokio::pin!(sink);
    for n in 0..5000 {
        sink.send(bytes::Bytes::from(format!("{n}\t{}\tcopied {n}\n", n % 40))).await?;
    }
    t.count("copied", sink.finish()).await;
    let sink = client.copy_in("COPY rs.child FROM STDIN").await?;
    tokio::pin!(sink);
    sink.send(bytes::Bytes::from_static(b"1\t1\ttwice\n")).await?;
    t.count("copied wrongly", sink.finish()).await;
    for how in ["", "(FORMAT binary)"] {
        let out = client.copy_out(&format!("COPY (SELECT * FROM rs.child ORDER BY id) TO STDOUT {how}")).await?;
        let data: Vec<bytes::Bytes> = out.try_collect().await?;
        let sum: u64 = data.iter().flatten().map(|&b| u64::from(b)).sum();
        t.line(&format!("copied out {} rows, sum {sum}", data.len()));
    }
    t.rows("cascade", client.query("DELETE FROM rs.t WHERE id = 5 RETURNING id", &[])).await;
    t.rows("cascaded", client.query("SELECT count(*) FROM rs.child", &[])).await;
    for _ in 0..2 {
        let rows = client.query("SELECT repeat('x', 3000000) FROM generate_series(1, 3)", &[]).await?;
        t.line(&format!("big {:?}", rows.iter().map(|r| r.get::<_, &str>(0).len()).collect::<Vec<_>>()));
    }
    t.rows("big in", client.query("SELECT length($1), md5($1)", &[&"y".repeat(2_000_000)])).await;
    let past: SystemTime = client.query_one("SELECT tz FROM rs.t WHERE id = 1", &[]).await?.get(0);
    t.line(&format!("{past:?}"));
    Ok(())
}

async fn talk(t: &mut Transcript, client: &Client, hearing: &mut mpsc::UnboundedReceiver<String>, url: &str) {
    let (other, _) = connect(url).await;
    t.simple(client, "DO $$ BEGIN RAISE NOTICE 'hello'; END $$").await;
    t.line(&format!("{:?}", hearing.recv().await));
    t.simple(client, "LISTEN news").await;
    t.simple(&other, "NOTIFY news, 'from another'").await;
    t.line(&format!("{:?}", hearing.recv().await));
    t.simple(client, "NOTIFY news, 'own'").await;
    t.line(&format!("{:?}", hearing.recv().await));
    t.simple(client, "UNLISTEN *").await;

    let sleep = "SELECT pg_sleep(600) /* tokio-postgres cancels */";
    let token = client.cancel_token();
    let cancel = async {
        let seen = "SELECT 1 FROM pg_stat_activity WHERE query = $1 AND wait_event = 'PgSleep'";
        while other.query(seen, &[&sleep]).await.expect("a connection that lives").is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        token.cancel_query(NoTls).await.expect("a server that takes cancels");
    };
    let (slept, ()) = future::join(client.query(sleep, &[]), cancel).await;
    t.rows("cancelled", future::ready(slept)).await;
    t.rows("after", client.query("SELECT s FROM rs.t WHERE id = $1", &[&1])).await;
}
