//! Frontend messages, read in place inside one checked frame. Every reader takes the frame's body and must use it
//! up: PostgreSQL answers anything left over, or anything missing, with 08P01, which a session leaves to it.

use bytes::{BufMut, BytesMut};

/// A message whose fields do not fill its frame exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid message format")]
pub struct Malformed;

/// `Parse`: a statement gets a name.
#[derive(Debug, Clone, Copy)]
pub struct Parse<'a> {
    /// Empty for the unnamed statement.
    pub name: &'a [u8],
    /// The text, without its NUL.
    pub sql: &'a [u8],
    /// Parameter type oids, four bytes each; zero or fewer than there are parameters: PostgreSQL infers.
    pub types: &'a [u8],
}

/// `Bind`: a statement gets its parameters and becomes a portal.
#[derive(Debug, Clone, Copy)]
pub struct Bind<'a> {
    /// Empty for the unnamed portal.
    pub portal: &'a [u8],
    /// Empty for the unnamed statement.
    pub statement: &'a [u8],
    /// Format codes and values as sent, from the number of format codes on.
    pub parameters: &'a [u8],
    /// Result format codes, two bytes each, without their count.
    pub result_formats: &'a [u8],
}

/// What `Describe` and `Close` speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// `S`.
    Statement,
    /// `P`.
    Portal,
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn cstr(&mut self) -> Result<&'a [u8], Malformed> {
        let end = memchr::memchr(0, self.0).ok_or(Malformed)?;
        let text = &self.0[..end];
        self.0 = &self.0[end + 1..];
        Ok(text)
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        let (&bytes, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(u16::from_be_bytes(bytes))
    }

    fn i32(&mut self) -> Result<i32, Malformed> {
        let (&bytes, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(i32::from_be_bytes(bytes))
    }

    fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

impl<'a> Parse<'a> {
    /// Reads the body of a `P` frame.
    ///
    /// # Errors
    /// Anything missing or left over.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader(body);
        let (name, sql) = (r.cstr()?, r.cstr()?);
        let count = r.u16()?;
        let types = r.take(usize::from(count) * 4)?;
        r.end()?;
        Ok(Parse { name, sql, types })
    }
}

impl<'a> Bind<'a> {
    /// Reads the body of a `B` frame, checking each value's length.
    ///
    /// # Errors
    /// Anything missing or left over, or a value of negative length other than -1 (NULL).
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader(body);
        let (portal, statement) = (r.cstr()?, r.cstr()?);
        let start = r.0;
        let formats = r.u16()?;
        r.take(usize::from(formats) * 2)?;
        for _ in 0..r.u16()? {
            match r.i32()? {
                -1 => {}
                length => {
                    r.take(usize::try_from(length).map_err(|_| Malformed)?)?;
                }
            }
        }
        let parameters = &start[..start.len() - r.0.len()];
        let results = r.u16()?;
        let result_formats = r.take(usize::from(results) * 2)?;
        r.end()?;
        Ok(Bind { portal, statement, parameters, result_formats })
    }

    /// The names of portal and statement, and what stands behind them, unread.
    ///
    /// # Errors
    /// A name that does not end.
    pub fn names(body: &'a [u8]) -> Result<[&'a [u8]; 3], Malformed> {
        let mut r = Reader(body);
        Ok([r.cstr()?, r.cstr()?, r.0])
    }

    /// The same as if nothing stood behind its names.
    ///
    /// # Errors
    /// A name that does not end.
    pub fn of_names(body: &'a [u8]) -> Result<Self, Malformed> {
        let [portal, statement, _] = Bind::names(body)?;
        Ok(Bind { portal, statement, parameters: b"\0\0\0\0", result_formats: b"" })
    }

    /// Each value with its format: `true` for binary; `None` for NULL.
    pub fn values(&self) -> impl Iterator<Item = (bool, Option<&'a [u8]>)> {
        let mut r = Reader(self.parameters);
        let formats = r.u16().and_then(|n| r.take(usize::from(n) * 2)).unwrap_or_default();
        let count = r.u16().unwrap_or(0);
        (0..usize::from(count)).map_while(move |i| {
            let at = if formats.len() == 2 { 0 } else { i * 2 };
            let binary = formats.get(at + 1).is_some_and(|code| *code == 1);
            match r.i32().ok()? {
                -1 => Some((binary, None)),
                n => Some((binary, Some(r.take(usize::try_from(n).ok()?).ok()?))),
            }
        })
    }
}

/// `Describe` or `Close`: what, and its name.
///
/// # Errors
/// Anything missing or left over, or a subject that is neither `S` nor `P`.
pub fn subject(body: &[u8]) -> Result<(Subject, &[u8]), Malformed> {
    let mut r = Reader(body);
    let subject = match r.take(1)? {
        b"S" => Subject::Statement,
        b"P" => Subject::Portal,
        _ => return Err(Malformed),
    };
    let name = r.cstr()?;
    r.end()?;
    Ok((subject, name))
}

/// `Execute`: the portal's name and the largest number of rows (0: all).
///
/// # Errors
/// Anything missing or left over.
pub fn execute(body: &[u8]) -> Result<(&[u8], i32), Malformed> {
    let mut r = Reader(body);
    let portal = r.cstr()?;
    let rows = r.i32()?;
    r.end()?;
    Ok((portal, rows))
}

/// `Query`: its text.
///
/// # Errors
/// No NUL at the end, or bytes behind it.
pub fn query(body: &[u8]) -> Result<&[u8], Malformed> {
    let mut r = Reader(body);
    let sql = r.cstr()?;
    r.end()?;
    Ok(sql)
}

fn frame(out: &mut BytesMut, tag: u8, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(tag);
    let at = out.len();
    out.put_u32(0);
    body(out);
    let length = u32::try_from(out.len() - at).expect("a frame of ours is made from checked frames below 1 GiB");
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

fn put_cstr(out: &mut BytesMut, text: &[u8]) {
    out.put_slice(text);
    out.put_u8(0);
}

/// Writes a `Query`.
pub fn put_query(out: &mut BytesMut, sql: &[u8]) {
    frame(out, b'Q', |out| put_cstr(out, sql));
}

/// Writes a `Parse`; `types` as in [`Parse::types`].
pub fn put_parse(out: &mut BytesMut, name: &[u8], sql: &[u8], types: &[u8]) {
    frame(out, b'P', |out| {
        put_cstr(out, name);
        put_cstr(out, sql);
        out.put_u16(u16::try_from(types.len() / 4).expect("the count came as 16 bits"));
        out.put_slice(types);
    });
}

/// Writes a `Bind` of `statement` to `portal`; `rest` as [`Bind::names`] gives it.
pub fn put_bind(out: &mut BytesMut, portal: &[u8], statement: &[u8], rest: &[u8]) {
    frame(out, b'B', |out| {
        put_cstr(out, portal);
        put_cstr(out, statement);
        out.put_slice(rest);
    });
}

/// Writes `Describe` (`D`) or `Close` (`C`) of a statement or portal.
pub fn put_subject(out: &mut BytesMut, tag: u8, subject: Subject, name: &[u8]) {
    frame(out, tag, |out| {
        out.put_u8(if subject == Subject::Statement { b'S' } else { b'P' });
        put_cstr(out, name);
    });
}

/// Writes an `Execute` of the unnamed portal without a row limit.
pub fn put_execute(out: &mut BytesMut) {
    out.put_slice(b"E\0\0\0\x09\0\0\0\0\0");
}

/// Writes a `Bind`, results as text, of `statement` to the unnamed portal, and its `Execute`. `parameters` as in [`Bind::parameters`].
pub fn put_run(out: &mut BytesMut, statement: &[u8], parameters: &[u8]) {
    frame(out, b'B', |out| {
        put_cstr(out, b"");
        put_cstr(out, statement);
        out.put_slice(parameters);
        out.put_u16(0);
    });
    put_execute(out);
}

/// Writes a `Sync`.
pub fn put_sync(out: &mut BytesMut) {
    out.put_slice(b"S\0\0\0\x04");
}

/// Writes a `Flush`.
pub fn put_flush(out: &mut BytesMut) {
    out.put_slice(b"H\0\0\0\x04");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(frame: &BytesMut) -> &[u8] {
        &frame[5..]
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut out = BytesMut::new();
        put_parse(&mut out, b"s", b"SELECT $1", &23u32.to_be_bytes());
        let parse = Parse::read(body(&out)).unwrap();
        assert_eq!((parse.name, parse.sql, parse.types), (&b"s"[..], &b"SELECT $1"[..], &[0, 0, 0, 23][..]));

        let parameters = b"\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff";
        let mut out = BytesMut::new();
        put_bind(&mut out, b"p", b"renamed", &[parameters, &b"\0\x01\0\x01"[..]].concat());
        let [portal, statement, rest] = Bind::names(body(&out)).unwrap();
        assert_eq!((portal, statement, rest.len()), (&b"p"[..], &b"renamed"[..], parameters.len() + 4));
        let bind = Bind::read(body(&out)).unwrap();
        assert_eq!((bind.portal, bind.statement, bind.parameters), (&b"p"[..], &b"renamed"[..], &parameters[..]));
        assert_eq!(bind.result_formats, b"\0\x01");
        assert_eq!(bind.values().collect::<Vec<_>>(), [(true, Some(&b"x"[..])), (true, None)]);
    }

    #[test]
    fn r25_a_field_longer_than_its_frame_is_malformed() {
        assert!(Parse::read(b"s\0SELECT 1\0\xff\xff").is_err());
        assert!(Bind::read(b"\0\0\0\0\0\x01\0\0\0\x05abc\0\0").is_err());
        assert!(Bind::read(b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0").is_err(), "a length of -2");
        assert!(Bind::read(b"\0\0\xff\xff").is_err());
        assert!(execute(b"\0\0\0").is_err());
        assert!(subject(b"X\0").is_err() && subject(b"").is_err());
    }

    #[test]
    fn one_frame_never_holds_two_queries() {
        assert!(query(b"SELECT 1\0Q\0\0\0\x0dSELECT 2\0").is_err());
        assert!(query(b"SELECT 1").is_err());
        assert_eq!(query(b"SELECT 1\0"), Ok(&b"SELECT 1"[..]));
    }
}
