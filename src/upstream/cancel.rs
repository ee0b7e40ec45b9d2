//! Cancelling a query: a connection of its own that carries process and key, and nothing else. Who asks waits until
//! the server has closed it, since only then has the signal been sent: the cancelled connection must not meanwhile
//! serve another query.

use super::BackendKey;
use super::transport::Target;
use bytes::{BufMut, BytesMut};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// `CANCEL_REQUEST_CODE`: 1234 and 5678, where a protocol version would stand.
const CANCEL_REQUEST: u32 = 1234 << 16 | 5678;

/// The key's bytes as the server gave them: four in protocol 3.0, up to 256 in 3.2.
fn request(key: &BackendKey) -> io::Result<BytesMut> {
    let length = u32::try_from(12 + key.secret.len()).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
    let mut request = BytesMut::with_capacity(12 + key.secret.len());
    request.put_u32(length);
    request.put_u32(CANCEL_REQUEST);
    request.put_u32(key.process);
    request.put_slice(&key.secret);
    Ok(request)
}

/// Sends the request and waits for the end, both within the time for connecting.
pub(super) async fn cancel(target: &Target, key: &BackendKey) -> io::Result<()> {
    let request = request(key)?;
    let work = async {
        let mut stream = target.open().await?;
        stream.write_all(&request).await?;
        stream.flush().await?;
        // The server answers nothing. How it closes, cleanly or by reset, is no news either.
        let mut nothing = [0u8; 64];
        while matches!(stream.read(&mut nothing).await, Ok(read) if read > 0) {}
        Ok(())
    };
    tokio::time::timeout(target.connect_timeout, work)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the cancel request was not taken in time")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn r12_keys_of_any_length_are_sent_as_they_were_given() {
        let key = BackendKey { process: 7, secret: Bytes::from_static(&[9, 8, 7, 6]) };
        assert_eq!(&request(&key).unwrap()[..], [0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 7, 9, 8, 7, 6]);
        let long = BackendKey { process: 7, secret: Bytes::from(vec![1; 256]) };
        assert_eq!(request(&long).unwrap().len(), 268);
    }
}
