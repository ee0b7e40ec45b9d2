//! Replication connections (`replication=database` or `true` at the start): the client gets a connection of its own to the
//! primary, and bytes go both ways as they come. Knows nothing of what they say but where the server's messages end: what such a client
//! writes is heard as everybody's writes are.

use super::cancel::Who;
use super::client::Client;
use super::hold::succeeded;
use super::startup::{Seed, no_connection, put_key, secret_length};
use super::{End, Shared, say_goodbye, shutting_down};
use crate::wire::backend::{Failure, put_frame, put_parameter, put_ready};
use crate::wire::startup::Startup;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};

/// Bytes read at a time, each way. The next are read when these are written: who reads slowly slows the sender.
const PIECE: usize = 64 * 1024;

/// What a startup message's `replication` asks for (`ProcessStartupPacket` in PostgreSQL).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// An ordinary session.
    Nothing,
    /// Physical replication: no SQL.
    Physical,
    /// Logical replication, and SQL.
    Database,
}

/// # Errors
/// A value that PostgreSQL does not know.
fn asked(startup: &Startup) -> Result<Asked, Failure> {
    let Some(value) = startup.parameter("replication") else { return Ok(Asked::Nothing) };
    match (value, boolean(value)) {
        ("database", _) => Ok(Asked::Database),
        (_, Some(true)) => Ok(Asked::Physical),
        (_, Some(false)) => Ok(Asked::Nothing),
        _ => {
            let text = format!("invalid value for parameter \"replication\": \"{value}\"");
            Err(Failure::fatal("22023", text))
        }
    }
}

/// As `parse_bool` in bool.c: any beginning of a word that is no other's.
fn boolean(value: &str) -> Option<bool> {
    let value = value.to_ascii_lowercase();
    let begins = |word: &str, least: usize| value.len() >= least && word.starts_with(&value);
    if begins("true", 1) || begins("yes", 1) || begins("on", 2) || value == "1" {
        Some(true)
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || value == "0" {
        Some(false)
    } else {
        None
    }
}

/// Whether this client is served here, be it by a refusal.
pub fn is_asked(startup: &Startup) -> bool {
    asked(startup) != Ok(Asked::Nothing)
}

/// Serves the client until either side ends, or the process does, of which nobody is told; or another server becomes the primary, of
/// which the client is told where no message has begun.
pub async fn run(client: &mut Client, shared: &Arc<Shared>, seed: Seed) -> Result<(), End> {
    let asked = asked(&seed.startup)?;
    let named = |name: &str| matches!(name, "user" | "database");
    let parameters: Vec<(&str, &str)> =
        seed.startup.parameters.iter().filter(|(n, _)| !named(n)).map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let opened = tokio::select! {
        opened = shared.upstream.own_connection(&seed.account, &seed.database, &parameters) => opened,
        () = shared.stop.cancelled() => return Err(shutting_down()),
    };
    let (reign, mut opened) = match opened {
        Ok(opened) => opened,
        Err(error) => return Err(no_connection(client, error).await),
    };
    let who = Who::new(&seed.account.user, seed.database.as_str().into(), &client.stream);
    let registration = shared.common.cancels.register(secret_length(&seed.startup), who);
    // The connection is this client's alone: a cancel may come at any time.
    registration.running.begin(reign.server(), &opened.key);
    let out = &mut client.output;
    put_frame(out, b'R', &0u32.to_be_bytes());
    for (name, value) in &opened.parameters {
        put_parameter(out, name, value);
    }
    put_key(out, &registration);
    put_ready(out, b'I');
    out.extend_from_slice(&opened.input);
    let mut told = Told::default();
    told.passed(&opened.input);
    client.flush().await?;
    opened.stream.write_all(&client.input).await?;
    opened.stream.flush().await?;
    let (mut from_client, mut to_client) = split(&mut client.stream);
    let (mut from_server, mut to_server) = split(&mut opened.stream);
    let asking = async {
        // What breaks on this way ends the other: the server closes when it is told no more.
        let _ = pump(&mut from_client, &mut to_server, |_| {}).await;
        let _ = to_server.shutdown().await;
        std::future::pending::<()>().await;
    };
    // SQL may have written: who hears of it must not be given what the clock kept from before.
    let hears = |step: Step| match step {
        Step::Begun => {
            told.is_under_way = true;
            if asked == Asked::Database {
                shared.wrote();
            }
        }
        Step::Done(piece) => told.passed(piece),
    };
    let relayed = tokio::select! {
        // First, so that nothing that an old primary says by then is taken for the primary's word.
        biased;
        () = reign.over() => None,
        () = shared.stop.cancelled() => Some(Ok(())),
        relayed = pump(&mut from_server, &mut to_client, hears) => Some(relayed),
        () = asking => unreachable!("it waits for the other way"),
    };
    let Some(relayed) = relayed else {
        // The server is left first: a client that does not read may keep us from the rest.
        drop(opened);
        // In the middle of a message a client would take it for the rest.
        if told.is_whole() {
            say_goodbye(client, &succeeded()).await;
            let _ = client.stream.shutdown().await;
        }
        return Ok(());
    };
    if let Err(error) = relayed {
        tracing::debug!(%error, "a replication connection broke");
    }
    // A client that is gone needs no goodbye.
    let _ = client.stream.shutdown().await;
    Ok(())
}

/// What comes of a piece.
enum Step<'a> {
    /// It is about to be written, and may be in part.
    Begun,
    /// It is written.
    Done(&'a [u8]),
}

/// Where the client is in the server's messages.
#[derive(Debug, Default)]
struct Told {
    /// A piece is being written: how far is not known.
    is_under_way: bool,
    /// What is there of a tag and a length.
    header: Vec<u8>,
    /// Bytes that the message has yet to come to.
    left: usize,
}

impl Told {
    fn passed(&mut self, mut piece: &[u8]) {
        self.is_under_way = false;
        while let Some((&first, rest)) = piece.split_first() {
            if self.left > 0 {
                let more = self.left.min(piece.len());
                self.left -= more;
                piece = &piece[more..];
                continue;
            }
            self.header.push(first);
            piece = rest;
            if let [_, length @ ..] = &self.header[..]
                && let Ok(length) = <[u8; 4]>::try_from(length)
            {
                // It counts itself.
                self.left = (u32::from_be_bytes(length) as usize).saturating_sub(4);
                self.header.clear();
            }
        }
    }

    fn is_whole(&self) -> bool {
        !self.is_under_way && self.header.is_empty() && self.left == 0
    }
}

/// Copies until the end, each piece as soon as it is there.
async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut at: impl FnMut(Step<'_>),
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let read = from.read(&mut piece).await?;
        if read == 0 {
            return Ok(());
        }
        at(Step::Begun);
        to.write_all(&piece[..read]).await?;
        to.flush().await?;
        at(Step::Done(&piece[..read]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_ended_where_the_next_begins() {
        let bytes = b"S\0\0\0\x04d\0\0\0\x07abcZ\0\0\0\x05I";
        for size in 1..=bytes.len() {
            let (mut told, mut at) = (Told::default(), 0);
            for piece in bytes.chunks(size) {
                told.is_under_way = true;
                assert!(!told.is_whole());
                told.passed(piece);
                at += piece.len();
                assert_eq!(told.is_whole(), [5, 13, 19].contains(&at), "after {at} bytes, {size} at a time");
            }
        }
    }

    #[test]
    fn what_is_asked_is_read_as_postgresql_reads_it() {
        let startup = |value: &str| Startup {
            parameters: vec![("replication".to_owned(), value.to_owned())],
            ..Startup::default()
        };
        for (value, expected) in [
            ("database", Some(Asked::Database)),
            ("tru", Some(Asked::Physical)),
            ("ON", Some(Asked::Physical)),
            ("1", Some(Asked::Physical)),
            ("of", Some(Asked::Nothing)),
            ("N", Some(Asked::Nothing)),
            ("0", Some(Asked::Nothing)),
            ("o", None),
            ("", None),
            ("truer", None),
            ("Database", None),
        ] {
            assert_eq!(asked(&startup(value)).ok(), expected, "{value:?}");
        }
        assert_eq!(asked(&Startup::default()), Ok(Asked::Nothing));
    }
}
