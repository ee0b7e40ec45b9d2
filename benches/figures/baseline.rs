//! The least that any server of this kind must do: it finds where messages end and answers every query with the same
//! bytes, without looking. What Sidecache's hits are measured against.

use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The answer of `SELECT abalance FROM pgbench_accounts` for one account, as PostgreSQL sends it.
const DESCRIPTION: &[u8] = b"T\0\0\0\x21\0\x01abalance\0\0\0\x40\x08\0\x03\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0";
const ROWS: &[u8] = b"D\0\0\0\x0b\0\x01\0\0\0\x010C\0\0\0\x0dSELECT 1\0";
const PARSE_COMPLETE: &[u8] = b"1\0\0\0\x04";
const BIND_COMPLETE: &[u8] = b"2\0\0\0\x04";
const READY: &[u8] = b"Z\0\0\0\x05I";

/// AuthenticationOk and the parameters that libpq wants to know.
fn greeting() -> Vec<u8> {
    let mut out = b"R\0\0\0\x08\0\0\0\0".to_vec();
    for (name, value) in [
        ("server_version", "15.0"),
        ("server_encoding", "UTF8"),
        ("client_encoding", "UTF8"),
        ("standard_conforming_strings", "on"),
        ("integer_datetimes", "on"),
    ] {
        let length = u32::try_from(4 + name.len() + value.len() + 2).expect("short texts");
        out.push(b'S');
        out.extend_from_slice(&length.to_be_bytes());
        for text in [name, value] {
            out.extend_from_slice(text.as_bytes());
            out.push(0);
        }
    }
    out.extend_from_slice(b"K\0\0\0\x0c\0\0\0\x01\0\0\0\x01");
    out.extend_from_slice(READY);
    out
}

/// The runtime is as Sidecache's own. Never ends by itself.
pub fn serve(port: u16) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // A client that left is no error of this server's.
            tokio::spawn(async move { drop(session(stream).await) });
        }
    })
}

async fn session(mut stream: TcpStream) -> io::Result<()> {
    startup(&mut stream).await?;
    stream.write_all(&greeting()).await?;
    let mut input = Vec::with_capacity(8 * 1024);
    let mut output = Vec::with_capacity(8 * 1024);
    while stream.read_buf(&mut input).await? > 0 {
        let mut at = 0;
        while let Some((tag, length)) = frame(&input[at..]) {
            at += length;
            if tag == b'X' {
                return Ok(());
            }
            answer(tag, &mut output);
        }
        input.drain(..at);
        stream.write_all(&output).await?;
        output.clear();
    }
    Ok(())
}

/// Refuses encryption and takes whatever startup message follows.
async fn startup(stream: &mut TcpStream) -> io::Result<()> {
    loop {
        let length = stream.read_u32().await?;
        let mut body = vec![0; usize::try_from(length).unwrap_or(0).saturating_sub(4).min(10_000)];
        stream.read_exact(&mut body).await?;
        if !body.starts_with(&[4, 0xd2, 0x16]) {
            return Ok(());
        }
        stream.write_all(b"N").await?;
    }
}

/// The tag and length of the message at the start of `bytes`, if all of it is there.
fn frame(bytes: &[u8]) -> Option<(u8, usize)> {
    let (&[tag, a, b, c, d], _) = bytes.split_first_chunk::<5>()?;
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()? + 1;
    (bytes.len() >= length).then_some((tag, length))
}

fn answer(tag: u8, output: &mut Vec<u8>) {
    match tag {
        b'Q' => [DESCRIPTION, ROWS, READY].iter().for_each(|part| output.extend_from_slice(part)),
        b'P' => output.extend_from_slice(PARSE_COMPLETE),
        b'B' => output.extend_from_slice(BIND_COMPLETE),
        b'D' => output.extend_from_slice(DESCRIPTION),
        b'E' => output.extend_from_slice(ROWS),
        b'S' => output.extend_from_slice(READY),
        _ => {}
    }
}
