//! An operator's connection: what is asked in SQL's clothes (`SHOW POOLS`) is handed to whoever answers, and the tables that
//! come back are written as PostgreSQL writes rows, in both protocols. Does not know a command; no server is asked.

use super::cancel::Registration;
use super::client::{Client, UnitEnd, frames};
use super::{End, Shared, say_goodbye, shutting_down};
use crate::wire::backend::{
    BIND_COMPLETE, CLOSE_COMPLETE, Failure, PARSE_COMPLETE, Severity, put_complete, put_failure, put_frame, put_notice,
    put_parameter, put_ready,
};
use crate::wire::frontend::{self, Bind, Malformed, Parse, Subject};
use bytes::{BufMut, BytesMut};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The database that is none.
pub const DATABASE: &str = "sidecache";

/// Names of statements and portals that one operator may have at a time.
const NAMES: usize = 256;

/// One value of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    Text(String),
    Number(i64),
    Null,
}

/// Rows under their columns' names. A column is of numbers if any of its cells is one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<Cell>>,
}

/// What a command comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub table: Option<Table>,
    /// Said beside it.
    pub notice: Option<String>,
    /// The command's tag.
    pub tag: &'static str,
}

/// An answer that is under way. Dropped when the operator leaves or cancels.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Answer, Failure>> + Send + 'a>>;

/// Who answers operators.
pub trait Console: Send + Sync {
    /// Runs one command.
    fn run<'a>(&'a self, sql: &'a str) -> Answering<'a>;

    /// Whether the command only looks, so that it may be run to learn its columns.
    fn only_looks(&self, sql: &str) -> bool;
}

/// Whether this user, who says so, may operate from where he is, or would be turned away for asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    Operator,
    /// There is a console, and it is not for this user.
    Refused,
    /// The database is one of the server's, whatever it is called.
    Elsewhere,
}

/// Operators are those who are named. Where nobody is, it is the user that Sidecache itself uses, on a Unix socket, unless the
/// name means a database of his.
pub fn entry(shared: &Shared, user: &str, database: &str, is_local: bool) -> Entry {
    let operators = &shared.upstream.live().admin_users;
    let own = &shared.config.primary;
    match database {
        DATABASE if operators.iter().any(|operator| operator == user) => Entry::Operator,
        DATABASE if !operators.is_empty() => Entry::Refused,
        DATABASE if is_local && user == own.user && own.database != DATABASE => Entry::Operator,
        _ => Entry::Elsewhere,
    }
}

/// Serves an operator, who has proven who he is, until he leaves.
pub async fn serve(mut client: Client, shared: Arc<Shared>, registration: Registration) {
    let Some(console) = shared.console.get().map(Arc::clone) else { return };
    let stop = shared.stop.child_token();
    let (statements, portals) = (HashMap::new(), HashMap::new());
    let mut desk = Desk { console, registration, stop, statements, portals, skipping: false };
    if let Err(end) = desk.run(&mut client).await {
        say_goodbye(&mut client, &end).await;
    }
}

struct Portal {
    sql: String,
    formats: Vec<bool>,
    /// Learned when it was described, and given when it is executed.
    known: Option<Answer>,
}

struct Desk {
    console: Arc<dyn Console>,
    registration: Registration,
    stop: CancellationToken,
    statements: HashMap<Vec<u8>, String>,
    portals: HashMap<Vec<u8>, Portal>,
    skipping: bool,
}

impl Desk {
    async fn run(&mut self, client: &mut Client) -> Result<(), End> {
        self.greet(&mut client.output);
        loop {
            let Some(unit) = client.unit()? else {
                client.flush().await?;
                tokio::select! {
                    read = client.read() => if !read? { return Ok(()) },
                    () = self.stop.cancelled() => return Err(shutting_down()),
                }
                continue;
            };
            if unit.end == UnitEnd::Terminate {
                return Ok(());
            }
            let bytes = client.take(unit);
            for (header, body) in frames(&bytes) {
                self.message(header.tag, body, client).await?;
            }
        }
    }

    fn greet(&self, out: &mut BytesMut) {
        put_frame(out, b'R', &0u32.to_be_bytes());
        for (name, value) in [
            ("server_version", concat!(env!("CARGO_PKG_VERSION"), "/sidecache")),
            ("client_encoding", "UTF8"),
            ("server_encoding", "UTF8"),
            ("DateStyle", "ISO"),
            ("TimeZone", "UTC"),
            ("standard_conforming_strings", "on"),
            ("integer_datetimes", "on"),
        ] {
            put_parameter(out, name, value);
        }
        let key = [&self.registration.process.to_be_bytes()[..], &self.registration.secret].concat();
        put_frame(out, b'K', &key);
        put_ready(out, b'I');
    }

    async fn message(&mut self, tag: u8, body: &[u8], client: &mut Client) -> Result<(), End> {
        if tag == b'S' {
            self.skipping = false;
            self.portals.clear();
            put_ready(&mut client.output, b'I');
            return Ok(());
        }
        if self.skipping {
            return Ok(());
        }
        let done = match tag {
            b'Q' => self.query(body, client).await,
            b'P' => self.parse(body, &mut client.output),
            b'B' => self.bind(body, &mut client.output),
            b'D' => self.describe(body, client).await,
            b'E' => self.execute(body, client).await,
            b'C' => self.close(body, &mut client.output),
            b'H' | b'd' | b'c' | b'f' => Ok(()),
            _ => Err(Failure::error("0A000", "the console knows no function calls").into()),
        };
        match done {
            Err(End::Failure(failure)) if failure.severity == Severity::Error => {
                put_failure(&mut client.output, &failure);
                self.skipping = !matches!(tag, b'Q' | b'F');
            }
            Err(end) => return Err(end),
            Ok(()) => {}
        }
        if matches!(tag, b'Q' | b'F') {
            put_ready(&mut client.output, b'I');
        }
        Ok(())
    }

    async fn query(&mut self, body: &[u8], client: &mut Client) -> Result<(), End> {
        let sql = text(frontend::query(body).map_err(malformed)?)?;
        if sql.is_empty() {
            put_frame(&mut client.output, b'I', b"");
            return Ok(());
        }
        let answer = self.ask(&sql, client).await?;
        if let Some(table) = &answer.table {
            put_columns(&mut client.output, table, &[]);
        }
        put_answer(&mut client.output, &answer, &[]);
        Ok(())
    }

    fn parse(&mut self, body: &[u8], out: &mut BytesMut) -> Result<(), End> {
        let parse = Parse::read(body).map_err(malformed)?;
        if self.statements.len() >= NAMES && !self.statements.contains_key(parse.name) {
            return Err(Failure::error("54000", "too many prepared statements for a console").into());
        }
        self.statements.insert(parse.name.to_vec(), text(parse.sql)?);
        out.put_slice(PARSE_COMPLETE);
        Ok(())
    }

    fn bind(&mut self, body: &[u8], out: &mut BytesMut) -> Result<(), End> {
        let bind = Bind::read(body).map_err(malformed)?;
        let Some(sql) = self.statements.get(bind.statement).cloned() else { return Err(no_statement()) };
        if bind.values().next().is_some() {
            return Err(Failure::error("08P01", "commands of the console take no parameters").into());
        }
        if self.portals.len() >= NAMES {
            return Err(Failure::error("54000", "too many portals for a console").into());
        }
        let formats = bind.result_formats.chunks_exact(2).map(|code| code == [0, 1]).collect();
        self.portals.insert(bind.portal.to_vec(), Portal { sql, formats, known: None });
        out.put_slice(BIND_COMPLETE);
        Ok(())
    }

    async fn describe(&mut self, body: &[u8], client: &mut Client) -> Result<(), End> {
        let (subject, name) = frontend::subject(body).map_err(malformed)?;
        let (sql, formats) = match subject {
            Subject::Statement => (self.statements.get(name).cloned().ok_or_else(no_statement)?, Vec::new()),
            Subject::Portal => {
                let portal = self.portals.get(name).ok_or_else(no_portal)?;
                (portal.sql.clone(), portal.formats.clone())
            }
        };
        let known = if self.console.only_looks(&sql) { Some(self.ask(&sql, client).await?) } else { None };
        if subject == Subject::Statement {
            put_frame(&mut client.output, b't', &0u16.to_be_bytes());
        }
        match known.as_ref().and_then(|answer| answer.table.as_ref()) {
            Some(table) => put_columns(&mut client.output, table, &formats),
            None => put_frame(&mut client.output, b'n', b""),
        }
        if let (Subject::Portal, Some(portal)) = (subject, self.portals.get_mut(name)) {
            portal.known = known;
        }
        Ok(())
    }

    async fn execute(&mut self, body: &[u8], client: &mut Client) -> Result<(), End> {
        let (name, _) = frontend::execute(body).map_err(malformed)?;
        let portal = self.portals.get_mut(name).ok_or_else(no_portal)?;
        let (sql, formats, known) = (portal.sql.clone(), portal.formats.clone(), portal.known.take());
        if sql.is_empty() {
            put_frame(&mut client.output, b'I', b"");
            return Ok(());
        }
        let answer = match known {
            Some(answer) => answer,
            None => self.ask(&sql, client).await?,
        };
        put_answer(&mut client.output, &answer, &formats);
        Ok(())
    }

    fn close(&mut self, body: &[u8], out: &mut BytesMut) -> Result<(), End> {
        match frontend::subject(body).map_err(malformed)? {
            (Subject::Statement, name) => drop(self.statements.remove(name)),
            (Subject::Portal, name) => drop(self.portals.remove(name)),
        }
        out.put_slice(CLOSE_COMPLETE);
        Ok(())
    }

    /// Runs a command, for as long as the operator stays and does not cancel.
    async fn ask(&self, sql: &str, client: &mut Client) -> Result<Answer, End> {
        let cancelled = self.registration.running.wait();
        let mut answering = self.console.run(sql);
        client.flush().await?;
        tokio::pin!(cancelled);
        loop {
            tokio::select! {
                biased;
                answer = &mut answering => return Ok(answer?),
                Ok(()) = &mut cancelled => {
                    return Err(Failure::error("57014", "canceling statement due to user request").into());
                }
                () = self.stop.cancelled() => return Err(shutting_down()),
                read = client.read(), if client.input.len() < 64 * 1024 => {
                    if !read? {
                        return Err(End::Closed);
                    }
                }
            }
        }
    }
}

/// A command as it was sent, without what surrounds it.
fn text(sql: &[u8]) -> Result<String, End> {
    let sql = std::str::from_utf8(sql).map_err(|_| Failure::error("22021", "a command is UTF-8"))?;
    Ok(sql.trim().trim_end_matches(';').trim_end().to_owned())
}

fn malformed(malformed: Malformed) -> End {
    Failure::fatal("08P01", malformed.to_string()).into()
}

fn no_statement() -> End {
    Failure::error("26000", "no such prepared statement").into()
}

fn no_portal() -> End {
    Failure::error("34000", "no such portal").into()
}

/// PostgreSQL's oids of text and int8.
const TEXT: u32 = 25;
const INT8: u32 = 20;

/// The format of a column: one code for all, or one for each; text where none was asked for.
fn is_binary(formats: &[bool], column: usize) -> bool {
    match formats {
        [all] => *all,
        each => each.get(column).copied().unwrap_or(false),
    }
}

fn put_columns(out: &mut BytesMut, table: &Table, formats: &[bool]) {
    let mut body = count(table.columns.len()).to_vec();
    for (index, name) in table.columns.iter().enumerate() {
        let is_number = table.rows.iter().any(|row| matches!(row.get(index), Some(Cell::Number(_))));
        let (oid, length) = if is_number { (INT8, 8i16) } else { (TEXT, -1) };
        body.extend_from_slice(name.as_bytes());
        // No table and no column of one.
        body.extend_from_slice(&[0; 7]);
        body.extend_from_slice(&oid.to_be_bytes());
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(&(-1i32).to_be_bytes());
        body.extend_from_slice(&u16::from(is_binary(formats, index)).to_be_bytes());
    }
    put_frame(out, b'T', &body);
}

/// Rows and the tag.
fn put_answer(out: &mut BytesMut, answer: &Answer, formats: &[bool]) {
    if let Some(notice) = &answer.notice {
        put_notice(out, "00000", notice);
    }
    for row in answer.table.iter().flat_map(|table| &table.rows) {
        let mut body = count(row.len()).to_vec();
        for (index, cell) in row.iter().enumerate() {
            let value = match cell {
                Cell::Null => None,
                Cell::Text(text) => Some(text.clone().into_bytes()),
                Cell::Number(number) if is_binary(formats, index) => Some(number.to_be_bytes().to_vec()),
                Cell::Number(number) => Some(number.to_string().into_bytes()),
            };
            let length =
                value.as_ref().map_or(-1, |value| i32::try_from(value.len()).expect("our own values are short"));
            body.extend_from_slice(&length.to_be_bytes());
            body.extend(value.into_iter().flatten());
        }
        put_frame(out, b'D', &body);
    }
    put_complete(out, answer.tag);
}

fn count(number: usize) -> [u8; 2] {
    u16::try_from(number).expect("our own tables are narrow").to_be_bytes()
}
