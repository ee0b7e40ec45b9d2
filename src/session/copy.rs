//! COPY … FROM STDIN: the client's data goes to the server as it comes, while the server may object at any time.

use super::client::Client;
use super::exchange::{Broken, Held, Round};
use super::flow::{Owner, Step};
use crate::wire::frame::{HEADER, frontend_limit, header};
use bytes::{Buf, BytesMut};
use std::io;

/// Relays copy data until the client ends it, and what the server says meanwhile.
///
/// In an extended batch PostgreSQL ignores Flush and Sync while it copies (`CopyGetData` in copyfromparse.c): the Sync that the
/// client sends behind CopyDone is the one that is answered.
pub async fn copy_in(held: &mut Held, client: &mut Client, round: &mut Round) -> Result<(), Broken> {
    round.copy_in = false;
    let extended = held.flow.copy_began();
    client.flush().await.map_err(Broken::Client)?;
    let mut passing = 0;
    let mut ended = false;
    loop {
        let mut out = BytesMut::new();
        loop {
            if passing > 0 {
                let piece = client.input.split_to(client.input.len().min(passing));
                passing -= piece.len();
                out.unsplit(piece);
                if passing > 0 {
                    break;
                }
            }
            let next = header(&client.input, frontend_limit)
                .map_err(|bad| Broken::Client(io::Error::new(io::ErrorKind::InvalidData, bad)))?;
            let Some(next) = next else { break };
            match next.tag {
                b'd' => passing = next.len,
                _ if client.input.len() < next.len => break,
                b'c' | b'f' => {
                    out.extend_from_slice(&client.input[..next.len]);
                    client.input.advance(next.len);
                    ended = true;
                }
                b'S' | b'H' if !ended => client.input.advance(HEADER),
                b'S' if extended => {
                    out.extend_from_slice(&client.input[..next.len]);
                    client.input.advance(next.len);
                    held.flow.sent(Step::Sync(Owner::Client));
                    return held.pump(&mut out, client, round).await;
                }
                _ => {
                    // Anything else ends the copy with an error of the server's; in a simple copy it is the next unit.
                    return held.pump(&mut out, client, round).await;
                }
            }
            if ended && !extended {
                return held.pump(&mut out, client, round).await;
            }
        }
        held.push(&mut out, client, round).await?;
        if held.flow.is_done() {
            // A simple copy failed: the server has answered, and what data still comes is ignored.
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
