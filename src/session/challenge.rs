//! The MD5 challenge towards a client, message by message. Does not know what is kept of whom.

use super::End;
use super::client::Client;
use super::sasl::{Proof, read_proof};
use super::throttle::{Attempt, TooMany};
use crate::wire::backend::{Failure, put_frame};
use crate::wire::{challenge, toil};

/// Asks for the answer of who knows what is `kept`; where nothing is, none is right.
pub(super) async fn md5(client: &mut Client, kept: Option<&str>, attempt: &mut Attempt<'_>) -> Result<Proof<()>, End> {
    let mut salt = [0; 4];
    super::cancel::random(&mut salt);
    put_frame(&mut client.output, b'R', &[&5u32.to_be_bytes()[..], &salt].concat());
    client.flush().await?;
    let body = read_proof(client, "password").await?;
    let Some((0, given)) = body.split_last() else {
        return Err(Failure::fatal("08P01", "invalid password packet size").into());
    };
    if let Err(TooMany) = attempt.look().await {
        return Ok(Proof::TooMany);
    }
    let is_right = toil::light(|| {
        let expected = challenge::answer(kept.unwrap_or_default(), salt);
        let differs =
            expected.bytes().zip(given).fold(expected.len() ^ given.len(), |diff, (a, b)| diff | usize::from(a ^ b));
        kept.is_some() && differs == 0
    });
    if is_right.await {
        return Ok(Proof::Right(()));
    }
    attempt.failed();
    Ok(Proof::Wrong)
}
