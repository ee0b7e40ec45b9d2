//! COPY … FROM STDIN: the client's data goes to the server as it comes, while the server may object at any time.

use super::client::{BadFrame, Client};
use super::exchange::{Broken, Held};
use super::flow::{Owner, Step};
use super::round::Round;
use crate::wire::frame::{frontend_limit, header};
use crate::wire::frontend;
use bytes::BytesMut;
use std::io;

/// Relays copy data until the client ends it, and what the server says meanwhile.
///
/// In an extended batch PostgreSQL ignores Flush and Sync while it copies (`CopyGetData` in copyfromparse.c): the Sync that the
/// client sends behind CopyDone is the one that is answered.
pub async fn copy_in(held: &mut Held, client: &mut Client, round: &mut Round) -> Result<(), Broken> {
    round.copy_in = false;
    let mut copying = Copying { extended: held.flow.copy_began(), passing: 0, ended: false };
    // What came behind the CopyInResponse: a copy can fail before it reads anything.
    held.digest(&mut client.output, round)?;
    client.flush().await.map_err(Broken::Client)?;
    loop {
        let mut out = BytesMut::new();
        while copying.passing > 0 || !held.flow.is_done() {
            match copying.take(client, &mut out)? {
                Taken::More => {}
                Taken::Nothing => break,
                Taken::Sync => {
                    held.flow.sent(Step::Sync(Owner::Client));
                    return held.pump(&mut out, client, round).await;
                }
                Taken::End => return held.pump(&mut out, client, round).await,
            }
        }
        held.push(&mut out, client, round).await?;
        if held.flow.is_done() && copying.passing == 0 {
            // The copy failed: the server has answered, and what data still comes is ignored.
            return Ok(());
        }
        client.flush().await.map_err(Broken::Client)?;
        tokio::select! {
            read = client.read() => {
                if !read.map_err(Broken::Client)? {
                    return Err(Broken::Client(io::ErrorKind::UnexpectedEof.into()));
                }
            }
            pulled = held.pull(round) => {
                let output = pulled?;
                client.output.extend_from_slice(&output);
            }
        }
    }
}

/// How far the client has come with its data.
struct Copying {
    extended: bool,
    /// Bytes of a message that are still to come.
    passing: usize,
    /// CopyDone or CopyFail was seen.
    ended: bool,
}

/// What was taken from the client's input.
enum Taken {
    More,
    /// There is no whole message.
    Nothing,
    /// The Sync that is answered.
    Sync,
    /// What the server answers to, or the next unit's beginning.
    End,
}

impl Copying {
    /// Takes one message, or what is there of a long one.
    fn take(&mut self, client: &mut Client, out: &mut BytesMut) -> Result<Taken, Broken> {
        if self.passing > 0 {
            let piece = client.input.split_to(client.input.len().min(self.passing));
            self.passing -= piece.len();
            out.unsplit(piece);
            return Ok(if self.passing > 0 { Taken::Nothing } else { Taken::More });
        }
        let next = header(&client.input, frontend_limit).map_err(BadFrame::Length).map_err(Broken::Frame)?;
        let Some(next) = next else { return Ok(Taken::Nothing) };
        if next.tag == b'd' && !self.ended {
            self.passing = next.len;
            return Ok(Taken::More);
        }
        if client.input.len() < next.len {
            return Ok(Taken::Nothing);
        }
        if self.ended && !matches!(next.tag, b'S' | b'H') {
            // The next unit, whose answer the client cannot see before this one's.
            frontend::put_flush(out);
            return Ok(Taken::End);
        }
        let frame = client.input.split_to(next.len);
        Ok(match next.tag {
            b'S' | b'H' if !self.ended => Taken::More,
            b'c' | b'f' => {
                out.unsplit(frame);
                self.ended = true;
                if self.extended { Taken::More } else { Taken::End }
            }
            // Anything else ends the copy, and the session, with an error of the server's.
            tag => {
                out.unsplit(frame);
                if tag == b'S' { Taken::Sync } else { Taken::End }
            }
        })
    }
}
