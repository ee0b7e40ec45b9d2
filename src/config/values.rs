//! Text to quantity: durations, sizes, addresses, words. Pure; a failure is the reason as a sentence.

use super::Listen;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

type Parsed<T> = Result<T, String>;

/// `250ms`, `1s`, `5m`, `1h`: a whole number and its unit.
pub fn duration(text: &str) -> Parsed<Duration> {
    let wrong = || "not a duration such as 250ms, 1s, 5m or 1h".to_owned();
    let (number, unit) = number_and_unit(text).ok_or_else(wrong)?;
    let micros: u64 = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(micros).map(Duration::from_micros).ok_or_else(|| "longer than time can be counted".to_owned())
}

/// A duration that is not zero.
pub fn some_duration(text: &str) -> Parsed<Duration> {
    match duration(text)? {
        Duration::ZERO => Err("must be longer than zero".to_owned()),
        length => Ok(length),
    }
}

/// A duration, or nothing for zero: a limit that is off.
pub fn limit(text: &str) -> Parsed<Option<Duration>> {
    duration(text).map(|length| (length > Duration::ZERO).then_some(length))
}

/// What Linux takes at most for `TCP_KEEPIDLE` (`MAX_TCP_KEEPIDLE`): past it no socket could be made.
const LONGEST_KEEPALIVE: Duration = Duration::from_secs(32_767);

/// When a silent connection is probed; nothing for zero.
pub fn keepalive(text: &str) -> Parsed<Option<Duration>> {
    match limit(text)? {
        Some(after) if after > LONGEST_KEEPALIVE => Err(format!("must be at most {LONGEST_KEEPALIVE:?}")),
        after => Ok(after),
    }
}

/// How long what was sent may stay unacknowledged; nothing for zero. Linux counts it in milliseconds, in 32 bits of which one is a sign
/// (`TCP_USER_TIMEOUT` in tcp.c).
pub fn user_timeout(text: &str) -> Parsed<Option<Duration>> {
    const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);
    match limit(text)? {
        Some(after) if after > LONGEST => Err(format!("must be at most {}s", LONGEST.as_secs())),
        after => Ok(after.map(|after| after.max(Duration::from_millis(1)))),
    }
}

/// `64KiB`, `256MiB`, `1GiB`: a whole number and its unit. `MB` is refused, since it is 1000² to some and 1024² to others.
pub fn size(text: &str) -> Parsed<u64> {
    let wrong = || "not a size such as 64KiB, 256MiB or 1GiB".to_owned();
    let (number, unit) = number_and_unit(text).ok_or_else(wrong)?;
    let shift = match unit {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err(wrong()),
    };
    match number.checked_mul(1 << shift) {
        Some(0) => Err("must be larger than zero".to_owned()),
        Some(bytes) => Ok(bytes),
        None => Err("larger than memory can be counted".to_owned()),
    }
}

/// A count of at least one, within what tables are made for.
pub fn count(text: &str) -> Parsed<usize> {
    match text.parse::<u32>() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(number) if number <= 1_000_000 => Ok(number as usize),
        Ok(_) => Err("must be at most 1000000".to_owned()),
        Err(_) => Err("not a whole number".to_owned()),
    }
}

/// A count of threads: no machine has more cores.
pub fn threads(text: &str) -> Parsed<usize> {
    match count(text) {
        Ok(number) if number > 1_024 => Err("must be at most 1024".to_owned()),
        counted => counted,
    }
}

/// A count that may be zero.
pub fn count_or_none(text: &str) -> Parsed<usize> {
    if text == "0" { Ok(0) } else { count(text) }
}

/// `true` or `false`.
pub fn boolean(text: &str) -> Parsed<bool> {
    text.parse().map_err(|_| "neither true nor false".to_owned())
}

/// `127.0.0.1:6432`, `[::1]:6432`, `localhost:6432`.
pub fn address(text: &str) -> Parsed<SocketAddr> {
    let wrong = || "not an address and port such as 127.0.0.1:6432 or 0.0.0.0:6432".to_owned();
    if let Some(port) = text.strip_prefix("localhost:") {
        let port = port.parse().map_err(|_| wrong())?;
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.parse().map_err(|_| wrong())
}

/// An address, or `off`.
pub fn address_or_off(text: &str) -> Parsed<Option<SocketAddr>> {
    if text == "off" { Ok(None) } else { address(text).map(Some) }
}

/// An address and port, or the path of a Unix socket.
pub fn listen(text: &str) -> Parsed<Listen> {
    if text.starts_with('/') || text.starts_with("./") {
        return match text.len() {
            // The kernel's `sun_path` has 108 bytes with the closing zero.
            0..108 => Ok(Listen::Unix(PathBuf::from(text))),
            _ => Err("a Unix socket's path has at most 107 bytes".to_owned()),
        };
    }
    address(text).map(Listen::Tcp).map_err(|reason| format!("{reason}, nor a path"))
}

/// A path that is not empty.
pub fn path(text: &str) -> Parsed<PathBuf> {
    if text.is_empty() { Err("an empty path".to_owned()) } else { Ok(PathBuf::from(text)) }
}

/// One of several words.
pub fn word<T: Copy>(choices: &'static [(&'static str, T)]) -> impl Fn(&str) -> Parsed<T> {
    move |text| {
        choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice).ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            format!("not one of {}", names.join(", "))
        })
    }
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_their_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1s"), Ok(Duration::from_secs(1)));
        assert_eq!(duration("2 m"), Ok(Duration::from_secs(120)));
        assert_eq!(some_duration("0s").unwrap_err(), "must be longer than zero");
        for wrong in ["", "1", "s", "-1s", "1.5s", "1sec", "1S", "99999999999999999999s", "18446744073709551615h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_keepalive_is_what_the_system_takes() {
        assert_eq!(keepalive("0s"), Ok(None));
        assert_eq!(keepalive("32767s"), Ok(Some(Duration::from_secs(32_767))));
        assert!(keepalive("32767001ms").is_err() && keepalive("24h").unwrap_err().contains("32767s"));
        assert_eq!((user_timeout("0s"), user_timeout("90s")), (Ok(None), Ok(Some(Duration::from_secs(90)))));
        assert!(user_timeout("600h").unwrap_err().contains("2147483s"));
    }

    #[test]
    fn sizes_need_a_binary_unit() {
        assert_eq!(size("256MiB"), Ok(256 << 20));
        assert_eq!(size("1B"), Ok(1));
        for wrong in ["", "1", "256MB", "256mib", "0MiB", "-1KiB", "18446744073709551615KiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_listener_is_an_address_or_a_path() {
        assert_eq!(listen("0.0.0.0:6432"), Ok(Listen::Tcp("0.0.0.0:6432".parse().unwrap())));
        assert_eq!(listen("[::1]:1"), Ok(Listen::Tcp("[::1]:1".parse().unwrap())));
        assert_eq!(listen("localhost:1"), Ok(Listen::Tcp("127.0.0.1:1".parse().unwrap())));
        assert_eq!(listen("/run/x/.s.PGSQL.6432"), Ok(Listen::Unix("/run/x/.s.PGSQL.6432".into())));
        for wrong in ["", "6432", "example.com:6432", "127.0.0.1", "127.0.0.1:70000", &format!("/{}", "x".repeat(107))]
        {
            assert!(listen(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn counts_begin_at_one() {
        assert_eq!(count("20"), Ok(20));
        for wrong in ["0", "-1", "", "1e3", "1000001", "5000000000"] {
            assert!(count(wrong).is_err(), "{wrong}");
        }
        assert!(threads("1024") == Ok(1024) && threads("1025").is_err() && threads("0").is_err());
    }
}
