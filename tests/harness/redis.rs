//! A Redis server on a free port, with nothing on disk, and a client of a few lines for looking into it.

use super::process::{End, Process, Scratch, Signal};
use super::{PATIENCE, eventually, free_port};
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Command;

/// A Redis server, running or stopped.
pub struct Redis {
    pub port: u16,
    password: Option<String>,
    process: Option<Process>,
    scratch: Scratch,
}

impl Redis {
    /// Starts one without a password.
    pub fn start() -> Redis {
        Redis::start_as(None)
    }

    /// Starts one that asks for this password.
    pub fn start_with_password(password: &str) -> Redis {
        Redis::start_as(Some(password))
    }

    fn start_as(password: Option<&str>) -> Redis {
        let (port, password) = (free_port(), password.map(str::to_owned));
        let mut redis = Redis { port, password, process: None, scratch: Scratch::new() };
        redis.restart();
        redis
    }

    /// Stops it if it runs, and starts it empty on the same port.
    pub fn restart(&mut self) {
        self.stop();
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
        command.arg("--dir").arg(self.scratch.path());
        if let Some(password) = &self.password {
            command.args(["--requirepass", password]);
        }
        let log = self.scratch.path().join("redis.log");
        let process = self.process.insert(Process::spawn("redis-server", &mut command, &log, End::Term));
        let (port, password) = (self.port, self.password.clone());
        eventually("redis to answer", || {
            process.must_live();
            call(port, password.as_deref(), &["PING"]).ok()
        });
    }

    /// Stops it, losing everything in it.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Freezes it: connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.process.as_ref().expect("a running redis").signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.process.as_ref().expect("a running redis").signal(Signal::CONT);
    }

    /// Its URL, password included.
    pub fn url(&self) -> String {
        match &self.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{}/", self.port),
            None => format!("redis://127.0.0.1:{}/", self.port),
        }
    }

    /// Runs a command and returns its answer as flat list of strings (integers in decimal, nil left out); panics on
    /// an error.
    pub fn call(&self, command: &[&str]) -> Vec<Vec<u8>> {
        call(self.port, self.password.as_deref(), command).unwrap_or_else(|e| panic!("redis {command:?}: {e}"))
    }

    /// All keys.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        self.call(&["KEYS", "*"])
    }
}

fn call(port: u16, password: Option<&str>, command: &[&str]) -> io::Result<Vec<Vec<u8>>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    if let Some(password) = password {
        stream.write_all(&request(&["AUTH", password]))?;
        answer(&mut reader, &mut Vec::new())?;
    }
    stream.write_all(&request(command))?;
    let mut found = Vec::new();
    answer(&mut reader, &mut found)?;
    Ok(found)
}

fn request(words: &[&str]) -> Vec<u8> {
    let count = words.len();
    let words = words.iter().map(|w| format!("${}\r\n{w}\r\n", w.len())).collect::<String>();
    format!("*{count}\r\n{words}").into_bytes()
}

fn answer(reader: &mut impl BufRead, found: &mut Vec<Vec<u8>>) -> io::Result<()> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let line = line.trim_end();
    let Some((kind, rest)) = line.split_at_checked(1) else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let number = || rest.parse::<i64>().map_err(io::Error::other);
    match kind {
        "+" | ":" => found.push(rest.as_bytes().to_vec()),
        "$" => {
            if let Ok(length) = usize::try_from(number()?) {
                let mut bytes = vec![0; length + 2];
                reader.read_exact(&mut bytes)?;
                bytes.truncate(length);
                found.push(bytes);
            }
        }
        "*" => {
            for _ in 0..number()? {
                answer(reader, found)?;
            }
        }
        _ => return Err(io::Error::other(line.to_owned())),
    }
    Ok(())
}
