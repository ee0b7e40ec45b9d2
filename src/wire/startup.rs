//! The messages before a session exists: SSLRequest, GSSENCRequest, CancelRequest, StartupMessage. They have no tag,
//! only a length and a code (PostgreSQL's `ProcessStartupPacket`).

use super::backend::{Failure, put_frame};
use bytes::{Bytes, BytesMut};

/// The longest packet of this kind that PostgreSQL takes (`MAX_STARTUP_PACKET_LENGTH` in pqcomm.h).
pub const STARTUP_LIMIT: usize = 10_000;

const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;
const CANCEL: u32 = 80_877_102;

/// The newest minor version of protocol 3 that is spoken: 3.2 lengthens cancel keys.
pub const NEWEST_MINOR: u16 = 2;

/// What a client says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum First {
    /// Asks for TLS.
    Ssl,
    /// Asks for GSSAPI encryption.
    Gss,
    /// Asks to cancel the query of another connection.
    Cancel {
        /// `BackendKeyData`'s process id.
        process: u32,
        /// Its secret: 4 bytes in protocol 3.0, up to 256 in 3.2.
        secret: Bytes,
    },
    /// Begins a session.
    Startup(Startup),
}

/// A StartupMessage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Startup {
    /// The minor version asked for.
    pub minor: u16,
    /// Its parameters, in order, without protocol options.
    pub parameters: Vec<(String, String)>,
    /// Names of `_pq_.` protocol options, none of which is known.
    pub options: Vec<String>,
}

impl Startup {
    /// The last value given for a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The minor version that will be spoken.
    pub fn spoken_minor(&self) -> u16 {
        self.minor.min(NEWEST_MINOR)
    }

    /// NegotiateProtocolVersion, if something was asked for that is not spoken.
    pub fn negotiation(&self) -> Option<BytesMut> {
        if self.minor <= NEWEST_MINOR && self.options.is_empty() {
            return None;
        }
        let mut body = Vec::new();
        body.extend_from_slice(&(3u32 << 16 | u32::from(self.spoken_minor())).to_be_bytes());
        body.extend_from_slice(&u32::try_from(self.options.len()).unwrap_or(0).to_be_bytes());
        for option in &self.options {
            body.extend_from_slice(option.as_bytes());
            body.push(0);
        }
        let mut out = BytesMut::new();
        put_frame(&mut out, b'v', &body);
        Some(out)
    }
}

/// Reads the packet at the start of `bytes` and its length; `None` until all of it is there.
///
/// # Errors
/// A length outside PostgreSQL's bounds, another protocol, or parameters that are not pairs of strings.
pub fn first(bytes: &[u8]) -> Result<Option<(First, usize)>, Failure> {
    let Some((&length, _)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(length) as usize;
    if !(8..=STARTUP_LIMIT).contains(&length) {
        return Err(Failure::fatal("08P01", "invalid length of startup packet"));
    }
    let Some(packet) = bytes.get(4..length) else { return Ok(None) };
    let (&code, body) = packet.split_first_chunk::<4>().expect("the length is at least eight");
    let message = match u32::from_be_bytes(code) {
        SSL => First::Ssl,
        GSS => First::Gss,
        CANCEL => match body.split_first_chunk::<4>() {
            Some((&process, secret)) if (1..=256).contains(&secret.len()) => {
                First::Cancel { process: u32::from_be_bytes(process), secret: Bytes::copy_from_slice(secret) }
            }
            _ => return Err(Failure::fatal("08P01", "invalid length of query cancel packet")),
        },
        version if version >> 16 == 3 => First::Startup(startup((version & 0xFFFF) as u16, body)?),
        version => return Err(unsupported(version)),
    };
    Ok(Some((message, length)))
}

/// The refusal of a request for encryption that was answered before: PostgreSQL takes its code for a version then.
pub fn asked_again(message: &First) -> Failure {
    unsupported(if *message == First::Ssl { SSL } else { GSS })
}

fn unsupported(version: u32) -> Failure {
    let (major, minor) = (version >> 16, version & 0xFFFF);
    let text = format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.{NEWEST_MINOR}");
    Failure::fatal("0A000", text)
}

fn startup(minor: u16, body: &[u8]) -> Result<Startup, Failure> {
    let malformed = || Failure::fatal("08P01", "invalid startup packet layout: expected terminator as last byte");
    let mut startup = Startup { minor, ..Startup::default() };
    let mut strings = body.strip_suffix(b"\0").ok_or_else(malformed)?;
    while !strings.is_empty() {
        let mut next = || {
            let end = memchr::memchr(0, strings).ok_or_else(malformed)?;
            let text = String::from_utf8_lossy(&strings[..end]).into_owned();
            strings = &strings[end + 1..];
            Ok(text)
        };
        let (name, value) = (next()?, next()?);
        if name.is_empty() {
            return Err(malformed());
        }
        if name.starts_with("_pq_.") {
            startup.options.push(name);
        } else {
            startup.parameters.push((name, value));
        }
    }
    Ok(startup)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(code: u32, body: &[u8]) -> Vec<u8> {
        let mut out = ((body.len() + 8) as u32).to_be_bytes().to_vec();
        out.extend_from_slice(&code.to_be_bytes());
        out.extend_from_slice(body);
        out
    }

    #[test]
    fn a_startup_message_is_pairs() {
        let bytes = packet(196_608, b"user\0app\0database\0shop\0_pq_.x\x001\0\0");
        let Ok(Some((First::Startup(startup), length))) = first(&bytes) else { panic!("not a startup") };
        assert_eq!(length, bytes.len());
        assert_eq!(startup.parameter("user"), Some("app"));
        assert!(startup.negotiation().is_some(), "a protocol option is not known");
        assert_eq!(first(&bytes[..bytes.len() - 1]), Ok(None));
    }

    #[test]
    fn protocol_3_2_is_spoken_and_later_ones_negotiated() {
        let minor = |n: u32| match first(&packet(3 << 16 | n, b"user\0a\0\0")) {
            Ok(Some((First::Startup(startup), _))) => startup,
            other => panic!("{other:?}"),
        };
        assert_eq!(minor(2).negotiation(), None);
        let negotiation = minor(9).negotiation().unwrap();
        assert_eq!(&negotiation[..], b"v\0\0\0\x0c\0\x03\0\x02\0\0\0\0");
    }

    #[test]
    fn hostile_packets_are_refused() {
        for (bytes, sqlstate) in [
            (vec![0, 0, 0, 7, 0, 0, 0, 0], "08P01"),
            (vec![0xff; 8], "08P01"),
            (packet(2 << 16, b""), "0A000"),
            (packet(196_608, b"user"), "08P01"),
            (packet(196_608, b"user\0\0"), "08P01"),
            (packet(CANCEL, b"\0\0\0\x01"), "08P01"),
        ] {
            assert_eq!(first(&bytes).unwrap_err().sqlstate, sqlstate, "{bytes:?}");
        }
    }
}
