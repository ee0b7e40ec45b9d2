//! The stream's messages, whole, cut and hostile, over a socket pair.

use super::*;
use tokio::net::UnixStream;

fn reader() -> (Reader, Confirmer, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a socket pair");
    let (read, write) = tokio::io::split(Stream::Unix(ours));
    (Reader { read, input: BytesMut::new(), skip: 0 }, Confirmer { write }, theirs)
}

fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag], &length.to_be_bytes()[..], body].concat()
}

fn data(start: u64, payload: &[u8]) -> Vec<u8> {
    frame(b'd', &[b"w", &start.to_be_bytes()[..], &[0; 16], payload].concat())
}

fn keep_alive(end: u64, reply: u8) -> Vec<u8> {
    frame(b'd', &[b"k", &end.to_be_bytes()[..], &[0; 8], &[reply]].concat())
}

#[tokio::test]
async fn a_huge_row_is_skipped_and_the_next_message_read() {
    let (mut reader, _confirmer, mut theirs) = reader();
    let writer = tokio::spawn(async move {
        theirs.write_all(&data(1, &vec![b'x'; 5_000_000])).await.unwrap();
        theirs.write_all(&keep_alive(9, 1)).await.unwrap();
        theirs
    });
    let Message::Data { start, payload } = reader.next().await.unwrap() else { panic!("data") };
    assert_eq!((start, payload.len()), (Lsn::new(1), KEPT - HEADER - 25));
    assert_eq!(reader.next().await.unwrap(), Message::KeepAlive { end: Lsn::new(9), reply: Reply::Wanted });
    assert!(reader.input.capacity() < 1_000_000);
    drop(writer.await.unwrap());
    assert!(matches!(reader.next().await, Err(ReplicationError::Closed)));
}

#[tokio::test]
async fn messages_are_read_however_they_are_cut() {
    let (mut reader, _confirmer, mut theirs) = reader();
    let all = [frame(b'N', b"\0"), data(3, b"COMMIT 5"), frame(b'S', b"a\0b\0"), keep_alive(4, 0)].concat();
    tokio::spawn(async move {
        for byte in all {
            theirs.write_all(&[byte]).await.unwrap();
            theirs.flush().await.unwrap();
        }
        theirs.write_all(&frame(b'E', b"SERROR\0C57P01\0Mgone\0\0")).await.unwrap();
    });
    let first = reader.next().await.unwrap();
    assert_eq!(first, Message::Data { start: Lsn::new(3), payload: Bytes::from_static(b"COMMIT 5") });
    assert_eq!(reader.next().await.unwrap(), Message::KeepAlive { end: Lsn::new(4), reply: Reply::NotWanted });
    assert_eq!(reader.next().await.unwrap_err().sqlstate(), Some("57P01"));
}

#[tokio::test]
async fn hostile_frames_are_errors() {
    for bytes in [
        &b"d\0\0\0\x04"[..],
        b"d\0\0\0\x05w",
        b"d\0\0\0\x05k",
        b"d\0\0\0\x05?",
        b"d\0\0\0\x03",
        b"d\xff\xff\xff\xff",
        b"?\0\0\0\x04",
        b"c\0\0\0\x04",
    ] {
        let (mut reader, _confirmer, mut theirs) = reader();
        theirs.write_all(bytes).await.unwrap();
        assert!(reader.next().await.is_err(), "{bytes:?}");
    }
    for row in [&b""[..], b"\0", b"\0\x01", b"\0\x01\0\0\0\x09a", b"\xff\xff"] {
        assert!(data_row(Bytes::copy_from_slice(row)).is_err(), "{row:?}");
    }
    assert_eq!(data_row(Bytes::from_static(b"\0\x02\xff\xff\xff\xff\0\0\0\x01a")).unwrap(), [None, Some("a".into())]);
}

#[tokio::test]
async fn a_status_carries_the_position_three_times() {
    let (_reader, mut confirmer, mut theirs) = reader();
    confirmer.confirm(Lsn::new(7), Reply::Wanted).await.unwrap();
    let mut sent = [0; 39];
    theirs.read_exact(&mut sent).await.unwrap();
    assert_eq!(sent[..6], *b"d\0\0\0\x26r");
    assert_eq!(sent[6..30], *[7u64.to_be_bytes(); 3].concat());
    assert_eq!(sent[38], 1);
}
