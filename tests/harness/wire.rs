//! A raw client of PostgreSQL's protocol: it sends exactly the messages it is told, in as many packets as it is told,
//! and gives back every message that comes, as tag and body. What tests of a proxy need and no driver offers.

use super::PATIENCE;
use postgres_protocol::authentication::{md5_hash, sasl};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// One message from the server: its tag and all that follows the length.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Frame {
    pub tag: u8,
    pub body: Vec<u8>,
}

impl Frame {
    /// For an error or notice: its fields by their letters, such as `C` for the SQLSTATE.
    pub fn field(&self, letter: u8) -> Option<String> {
        let fields = self.body.split(|&b| b == 0).filter(|f| !f.is_empty());
        let mut found = fields.filter(|f| f[0] == letter).map(|f| String::from_utf8_lossy(&f[1..]).into_owned());
        found.next()
    }

    /// For a DataRow: its columns, `None` for NULL.
    pub fn columns(&self) -> Vec<Option<Vec<u8>>> {
        let mut rest = &self.body[2..];
        let mut columns = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
                columns.push(None);
                rest = after;
                continue;
            };
            columns.push(Some(after[..length].to_vec()));
            rest = &after[length..];
        }
        columns
    }

    /// For a CommandComplete or another message that is one string.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.body.split(|&b| b == 0).next().unwrap_or_default()).into_owned()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({:?})", char::from(self.tag), String::from_utf8_lossy(&self.body))
    }
}

/// The tags of a list of messages as a word, such as `12DDCZ`.
pub fn tags(frames: &[Frame]) -> String {
    frames.iter().map(|f| char::from(f.tag)).collect()
}

/// Where and as whom to connect.
#[derive(Debug, Clone)]
pub struct Login {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: String,
    pub database: String,
    /// Further startup parameters, such as `options` or `replication`.
    pub parameters: Vec<(String, String)>,
}

impl Login {
    /// The same with a startup parameter more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Login {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As another user, whose password is his name (so are all of the harness's).
    #[must_use]
    pub fn user(mut self, user: &str) -> Login {
        user.clone_into(&mut self.user);
        user.clone_into(&mut self.password);
        self
    }

    /// As a URL for drivers.
    pub fn url(&self) -> String {
        let Login { host, port, user, password, database, .. } = self;
        format!("postgres://{user}:{password}@{host}:{port}/{database}")
    }
}

/// Why a connection could not be made or went on no longer.
#[derive(Debug)]
pub enum WireError {
    /// The socket failed, ended or stayed silent.
    Io(io::Error),
    /// The server refused at startup, with its ErrorResponse.
    Refused(Frame),
    /// The server asked for or said what this client does not know.
    Unexpected(String),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        WireError::Io(error)
    }
}

impl WireError {
    /// The SQLSTATE with which a server refused.
    pub fn sqlstate(&self) -> Option<String> {
        match self {
            WireError::Refused(frame) => frame.field(b'C'),
            _ => None,
        }
    }
}

/// Messages to send in one packet.
#[derive(Debug, Clone, Default)]
pub struct Batch(pub Vec<u8>);

impl Batch {
    /// No message yet.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Any message: tag and body.
    #[must_use]
    pub fn message(mut self, tag: u8, body: &[u8]) -> Batch {
        self.0.push(tag);
        self.0.extend(u32::try_from(body.len() + 4).expect("a test's message is small").to_be_bytes());
        self.0.extend(body);
        self
    }

    #[must_use]
    pub fn query(self, sql: &str) -> Batch {
        self.message(b'Q', &string(sql))
    }

    #[must_use]
    pub fn parse(self, name: &str, sql: &str, types: &[u32]) -> Batch {
        let mut body = [string(name), string(sql)].concat();
        body.extend(count(types.len()));
        types.iter().for_each(|oid| body.extend(oid.to_be_bytes()));
        self.message(b'P', &body)
    }

    /// Binds with parameters in text.
    #[must_use]
    pub fn bind(self, portal: &str, statement: &str, parameters: &[Option<&str>], results: Format) -> Batch {
        let parameters: Vec<Option<&[u8]>> = parameters.iter().map(|p| p.map(str::as_bytes)).collect();
        self.bind_as(portal, statement, &[], &parameters, &[results])
    }

    /// Binds with every field as given.
    #[must_use]
    pub fn bind_as(
        self,
        portal: &str,
        statement: &str,
        formats: &[Format],
        parameters: &[Option<&[u8]>],
        results: &[Format],
    ) -> Batch {
        let mut body = [string(portal), string(statement)].concat();
        body.extend(count(formats.len()));
        formats.iter().for_each(|f| body.extend(f.code()));
        body.extend(count(parameters.len()));
        for parameter in parameters {
            match parameter {
                Some(bytes) => {
                    body.extend(i32::try_from(bytes.len()).expect("a test's parameter is small").to_be_bytes());
                    body.extend(*bytes);
                }
                None => body.extend((-1_i32).to_be_bytes()),
            }
        }
        body.extend(count(results.len()));
        results.iter().for_each(|f| body.extend(f.code()));
        self.message(b'B', &body)
    }

    #[must_use]
    pub fn describe_statement(self, name: &str) -> Batch {
        self.message(b'D', &[b"S".to_vec(), string(name)].concat())
    }

    #[must_use]
    pub fn describe_portal(self, name: &str) -> Batch {
        self.message(b'D', &[b"P".to_vec(), string(name)].concat())
    }

    /// Executes a portal; `limit` 0 means all rows.
    #[must_use]
    pub fn execute(self, portal: &str, limit: u32) -> Batch {
        self.message(b'E', &[string(portal), limit.to_be_bytes().to_vec()].concat())
    }

    #[must_use]
    pub fn close_statement(self, name: &str) -> Batch {
        self.message(b'C', &[b"S".to_vec(), string(name)].concat())
    }

    #[must_use]
    pub fn close_portal(self, name: &str) -> Batch {
        self.message(b'C', &[b"P".to_vec(), string(name)].concat())
    }

    #[must_use]
    pub fn sync(self) -> Batch {
        self.message(b'S', b"")
    }

    #[must_use]
    pub fn flush(self) -> Batch {
        self.message(b'H', b"")
    }

    #[must_use]
    pub fn copy_data(self, data: &[u8]) -> Batch {
        self.message(b'd', data)
    }

    #[must_use]
    pub fn copy_done(self) -> Batch {
        self.message(b'c', b"")
    }

    #[must_use]
    pub fn copy_fail(self, why: &str) -> Batch {
        self.message(b'f', &string(why))
    }

    #[must_use]
    pub fn terminate(self) -> Batch {
        self.message(b'X', b"")
    }

    /// One whole extended query on unnamed statement and portal, `Sync` included.
    #[must_use]
    pub fn extended(self, sql: &str, parameters: &[Option<&str>], results: Format) -> Batch {
        self.parse("", sql, &[]).bind("", "", parameters, results).describe_portal("").execute("", 0).sync()
    }
}

fn string(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

fn count(n: usize) -> [u8; 2] {
    u16::try_from(n).expect("a test's list is short").to_be_bytes()
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Text,
    Binary,
}

impl Format {
    fn code(self) -> [u8; 2] {
        match self {
            Format::Text => [0, 0],
            Format::Binary => [0, 1],
        }
    }
}

/// A connection.
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What BackendKeyData gave: process id and secret.
    pub key: (u32, Vec<u8>),
    /// The messages of startup after authentication, ReadyForQuery included.
    pub startup: Vec<Frame>,
    login: Login,
}

impl Wire {
    /// Connects and authenticates; returns at the first ReadyForQuery.
    pub fn connect(login: &Login) -> Result<Wire, WireError> {
        Wire::connect_speaking(0, login)
    }

    /// The same, asking for this minor version of protocol 3.
    pub fn connect_speaking(minor: u16, login: &Login) -> Result<Wire, WireError> {
        Wire::over(TcpStream::connect((login.host.as_str(), login.port))?, minor, login)
    }

    /// The same over a connection that was made already.
    pub fn over(stream: TcpStream, minor: u16, login: &Login) -> Result<Wire, WireError> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let (key, startup) = ((0, Vec::new()), Vec::new());
        let mut wire = Wire { stream, buffer: Vec::new(), key, startup, login: login.clone() };
        wire.send_bytes(&startup_message(minor, login))?;
        wire.authenticate()?;
        let frames = wire.read_until_ready()?;
        if let Some(refused) = frames.iter().find(|f| f.tag == b'E') {
            return Err(WireError::Refused(refused.clone()));
        }
        if let Some(key) = frames.iter().find(|f| f.tag == b'K' && f.body.len() >= 8) {
            let (pid, secret) = key.body.split_first_chunk::<4>().expect("at least eight bytes");
            wire.key = (u32::from_be_bytes(*pid), secret.to_vec());
        }
        wire.startup = frames;
        Ok(wire)
    }

    fn authenticate(&mut self) -> Result<(), WireError> {
        let mut scram: Option<sasl::ScramSha256> = None;
        loop {
            let frame = self.read_frame()?;
            if frame.tag == b'v' {
                continue;
            }
            let Some((kind, rest)) = frame.body.split_first_chunk::<4>().filter(|_| frame.tag == b'R') else {
                return Err(if frame.tag == b'E' {
                    WireError::Refused(frame)
                } else {
                    WireError::Unexpected(format!("{frame:?} during authentication"))
                });
            };
            match (u32::from_be_bytes(*kind), &mut scram) {
                (0, _) => return Ok(()),
                (3, _) => {
                    let password = string(&self.login.password);
                    self.send(&Batch::new().message(b'p', &password))?;
                }
                (5, _) => {
                    let salt = rest.try_into().map_err(|_| WireError::Unexpected("a salt of md5".to_owned()))?;
                    let hash = md5_hash(self.login.user.as_bytes(), self.login.password.as_bytes(), salt);
                    self.send(&Batch::new().message(b'p', &string(&hash)))?;
                }
                (10, none @ None) => {
                    let binding = sasl::ChannelBinding::unsupported();
                    let client = none.insert(sasl::ScramSha256::new(self.login.password.as_bytes(), binding));
                    let first = client.message();
                    let length = u32::try_from(first.len()).expect("a SCRAM message is small");
                    let body = [&string("SCRAM-SHA-256"), &length.to_be_bytes()[..], first].concat();
                    self.send(&Batch::new().message(b'p', &body))?;
                }
                (11, Some(client)) => {
                    client.update(rest)?;
                    let answer = client.message().to_vec();
                    self.send(&Batch::new().message(b'p', &answer))?;
                }
                (12, Some(client)) => client.finish(rest)?,
                (other, _) => return Err(WireError::Unexpected(format!("authentication {other}"))),
            }
        }
    }

    /// Sends messages in one packet.
    pub fn send(&mut self, batch: &Batch) -> io::Result<()> {
        self.send_bytes(&batch.0)
    }

    /// Sends bytes that need not be messages at all.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The sending end, for a thread of its own.
    pub fn writer(&self) -> io::Result<TcpStream> {
        self.stream.try_clone()
    }

    /// How long a read may stay without a byte; it then fails with `WouldBlock`, and nothing is lost.
    pub fn set_patience(&mut self, patience: Duration) {
        self.stream.set_read_timeout(Some(patience)).expect("a duration above zero");
    }

    /// The next message.
    pub fn read_frame(&mut self) -> io::Result<Frame> {
        loop {
            if let Some((head, rest)) = self.buffer.split_first_chunk::<5>() {
                let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
                let Some(body) = length.checked_sub(4) else {
                    return Err(io::Error::other(format!("a message of length {length}")));
                };
                if rest.len() >= body {
                    let frame = Frame { tag: head[0], body: rest[..body].to_vec() };
                    self.buffer.drain(..5 + body);
                    return Ok(frame);
                }
            }
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => self.buffer.extend(&chunk[..n]),
            }
        }
    }

    /// All messages up to and including the next one with this tag, or the end of a session (an error of severity
    /// FATAL).
    pub fn read_until(&mut self, tag: u8) -> io::Result<Vec<Frame>> {
        let mut frames = Vec::new();
        loop {
            let frame = self.read_frame()?;
            let last = frame.tag == tag || (frame.tag == b'E' && frame.field(b'V').as_deref() == Some("FATAL"));
            frames.push(frame);
            if last {
                return Ok(frames);
            }
        }
    }

    /// All messages up to and including ReadyForQuery.
    pub fn read_until_ready(&mut self) -> io::Result<Vec<Frame>> {
        self.read_until(b'Z')
    }

    /// Sends a batch that ends in `Sync` or is a simple query, and reads its answer.
    pub fn run(&mut self, batch: &Batch) -> io::Result<Vec<Frame>> {
        self.send(batch)?;
        self.read_until_ready()
    }

    /// A simple query and its answer.
    pub fn query(&mut self, sql: &str) -> io::Result<Vec<Frame>> {
        self.run(&Batch::new().query(sql))
    }

    /// The rows of a simple query as text; panics on any error.
    pub fn rows(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        let frames = self.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        rows(&frames).unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    /// The one value of a simple query, NULL as an empty text; panics on any error or if there is none.
    pub fn value(&mut self, sql: &str) -> String {
        let row = self.rows(sql).into_iter().next().unwrap_or_else(|| panic!("{sql}: no row"));
        row.into_iter().next().flatten().unwrap_or_default()
    }

    /// The rows of an extended query with parameters and results in text; panics on any error.
    pub fn extended(&mut self, sql: &str, parameters: &[Option<&str>]) -> Vec<Vec<Option<String>>> {
        let frames = self.run(&Batch::new().extended(sql, parameters, Format::Text));
        let frames = frames.unwrap_or_else(|e| panic!("{sql}: {e}"));
        rows(&frames).unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    /// The SQLSTATE with which a simple query fails; panics if it does not fail.
    pub fn error(&mut self, sql: &str) -> String {
        let frames = self.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        let error = frames.iter().find(|f| f.tag == b'E').and_then(|f| f.field(b'C'));
        error.unwrap_or_else(|| panic!("{sql}: no error but {frames:?}"))
    }

    /// Sends a cancel request for this connection's running query, on a connection of its own.
    pub fn cancel(&self) -> io::Result<()> {
        let mut stream = TcpStream::connect((self.login.host.as_str(), self.login.port))?;
        let length = u32::try_from(12 + self.key.1.len()).expect("a cancel key is small");
        let code = 80_877_102_u32;
        let head = [length.to_be_bytes(), code.to_be_bytes(), self.key.0.to_be_bytes()].concat();
        stream.write_all(&[head, self.key.1.clone()].concat())?;
        // The server closes without a word once it has acted.
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.read(&mut [0]).map(drop)
    }
}

fn startup_message(minor: u16, login: &Login) -> Vec<u8> {
    let mut body = (196_608 + u32::from(minor)).to_be_bytes().to_vec();
    let fixed = [("user", login.user.as_str()), ("database", login.database.as_str())];
    let more = login.parameters.iter().map(|(n, v)| (n.as_str(), v.as_str()));
    for (name, value) in fixed.into_iter().chain(more) {
        body.extend([string(name), string(value)].concat());
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).expect("a startup message is small");
    [length.to_be_bytes().to_vec(), body].concat()
}

/// The rows among messages, as text; the first error as its message.
pub fn rows(frames: &[Frame]) -> Result<Vec<Vec<Option<String>>>, String> {
    if let Some(error) = frames.iter().find(|f| f.tag == b'E') {
        let part = |letter| error.field(letter).unwrap_or_default();
        return Err(format!("{}: {}", part(b'C'), part(b'M')));
    }
    let text = |column: Vec<u8>| String::from_utf8_lossy(&column).into_owned();
    let data = frames.iter().filter(|f| f.tag == b'D');
    Ok(data.map(|f| f.columns().into_iter().map(|c| c.map(text)).collect()).collect())
}
