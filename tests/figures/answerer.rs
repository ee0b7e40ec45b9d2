//! A server that answers without looking: it takes any client, and gives for each message the bytes that PostgreSQL
//! would give for a row of one integer. The upper limit of what any proxy could reach on the same machine.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("a small message");
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

fn row_description() -> Vec<u8> {
    let numbers =
        [&0_u32.to_be_bytes()[..], &[0, 5], &23_u32.to_be_bytes(), &[0, 4, 255, 255, 255, 255, 0, 0]].concat();
    message(b'T', &[&[0, 1][..], b"abalance\0", &numbers].concat())
}

/// What each message of a client brings back.
struct Answers {
    parse: Vec<u8>,
    bind: Vec<u8>,
    describe: Vec<u8>,
    execute: Vec<u8>,
    ready: Vec<u8>,
    simple: Vec<u8>,
}

impl Answers {
    fn new() -> Answers {
        let row = message(b'D', &[&[0, 1, 0, 0, 0, 1][..], b"0"].concat());
        let execute = [row, message(b'C', b"SELECT 1\0")].concat();
        let (describe, ready) = (row_description(), message(b'Z', b"I"));
        let simple = [describe.clone(), execute.clone(), ready.clone()].concat();
        Answers { parse: message(b'1', b""), bind: message(b'2', b""), describe, execute, ready, simple }
    }

    fn to(&self, tag: u8) -> &[u8] {
        match tag {
            b'P' => &self.parse,
            b'B' => &self.bind,
            b'D' => &self.describe,
            b'E' => &self.execute,
            b'S' => &self.ready,
            b'Q' => &self.simple,
            _ => &[],
        }
    }
}

/// Serves until it is killed.
pub fn serve(port: u16) {
    let runtime = tokio::runtime::Runtime::new().expect("an operating system with threads");
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
        let answers: &'static Answers = Box::leak(Box::new(Answers::new()));
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(session(stream, answers));
        }
    });
}

async fn session(mut stream: TcpStream, answers: &Answers) -> std::io::Result<()> {
    loop {
        let length = stream.read_u32().await? as usize;
        let mut startup = vec![0; length.saturating_sub(4)];
        stream.read_exact(&mut startup).await?;
        match startup.get(..4) {
            // TLS or GSSAPI is asked for, and declined.
            Some([4, 210, 22, 47 | 48]) => stream.write_all(b"N").await?,
            _ => break,
        }
    }
    let parameter = |name: &str, value: &str| message(b'S', format!("{name}\0{value}\0").as_bytes());
    let hello = [
        message(b'R', &[0; 4]),
        parameter("server_version", "15.0"),
        parameter("client_encoding", "UTF8"),
        parameter("standard_conforming_strings", "on"),
        message(b'K', &[0, 0, 0, 1, 0, 0, 0, 1]),
        answers.ready.clone(),
    ];
    stream.write_all(&hello.concat()).await?;
    let (mut input, mut output) = (Vec::with_capacity(8192), Vec::with_capacity(8192));
    while stream.read_buf(&mut input).await? > 0 {
        let mut at = 0;
        while let Some(&[tag, a, b, c, d]) = input.get(at..at + 5).and_then(|head| head.first_chunk()) {
            let end = at + 1 + u32::from_be_bytes([a, b, c, d]) as usize;
            if end > input.len() {
                break;
            }
            output.extend_from_slice(answers.to(tag));
            at = end;
        }
        input.drain(..at);
        stream.write_all(&output).await?;
        output.clear();
    }
    Ok(())
}
