//! An entry as bytes, for the shared tier. The reader is an instance that may be of another build and does not know who
//! wrote: every length is checked, everything must be used up, and what does not fit is nothing. Positions are
//! written as they are; whether they still hold is judged by the reader's own.

use super::{Basis, Entry};
use crate::coherence::Proof;
use crate::store::shared::Encode;
use crate::types::{Epoch, Lsn, RelationId};
use bytes::Bytes;
use std::time::Duration;

/// Raised whenever the encoding changes.
const VERSION: u8 = 2;
const WITHOUT_DESCRIPTION: u8 = 0;
const WITH_DESCRIPTION: u8 = 1;
/// No statement depends on more.
const DEPENDENCIES_MAX: usize = 1 << 16;
/// Version, epoch, three positions, cost, count of dependencies, tag, two lengths.
const FIXED_BYTES: usize = 1 + 5 * 8 + 4 + 1 + 2 * 4;

/// An entry as it travels: not yet held against anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    pub epoch: Epoch,
    pub stamp: Lsn,
    pub asked_after: Lsn,
    pub high: Lsn,
    pub cost: Duration,
    pub dependencies: Vec<RelationId>,
    pub row_description: Option<Bytes>,
    pub body: Bytes,
}

/// The bytes were not an entry of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undecodable;

impl Encode for Entry {
    fn encode(&self) -> Vec<u8> {
        Foreign::from(self).encode()
    }

    fn encoded_bytes(&self) -> usize {
        FIXED_BYTES + 4 * proof(self).dependencies.len() + self.bytes()
    }
}

fn proof(entry: &Entry) -> &Proof {
    match &entry.basis {
        Basis::Proven(proof) => proof,
        Basis::Timed(_) => unreachable!("what the clock keeps does not leave this process"),
    }
}

impl From<&Entry> for Foreign {
    fn from(entry: &Entry) -> Self {
        let proof = proof(entry);
        Foreign {
            epoch: proof.epoch,
            stamp: proof.stamp,
            asked_after: proof.asked_after,
            high: proof.high,
            cost: entry.cost,
            dependencies: proof.dependencies.iter().map(|(relation, _)| *relation).collect(),
            row_description: entry.row_description.clone(),
            body: entry.body.clone(),
        }
    }
}

/// Entries are bounded far below 4 GiB; one that is not does not decode.
fn length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

impl Foreign {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let frames = self.row_description.as_ref().map_or(0, Bytes::len) + self.body.len();
        let mut out = Vec::with_capacity(FIXED_BYTES + 4 * self.dependencies.len() + frames);
        out.push(VERSION);
        let cost = u64::try_from(self.cost.as_micros()).unwrap_or(u64::MAX);
        let positions = [self.stamp, self.asked_after, self.high].map(Lsn::bytes);
        for number in [self.epoch.digest()].into_iter().chain(positions).chain([cost]) {
            out.extend_from_slice(&number.to_le_bytes());
        }
        length(&mut out, self.dependencies.len());
        for relation in &self.dependencies {
            out.extend_from_slice(&relation.oid().to_le_bytes());
        }
        match &self.row_description {
            None => out.push(WITHOUT_DESCRIPTION),
            Some(description) => {
                out.push(WITH_DESCRIPTION);
                length(&mut out, description.len());
                out.extend_from_slice(description);
            }
        }
        length(&mut out, self.body.len());
        out.extend_from_slice(&self.body);
        out
    }

    /// The entry that these bytes are, all of them.
    ///
    /// # Errors
    /// They are none of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let mut rest = Rest(bytes);
        if rest.byte()? != VERSION {
            return Err(Undecodable);
        }
        let epoch = Epoch::new(rest.u64()?);
        let stamp = Lsn::new(rest.u64()?);
        let asked_after = Lsn::new(rest.u64()?);
        let high = Lsn::new(rest.u64()?);
        let cost = Duration::from_micros(rest.u64()?);
        let count = rest.length()?;
        if count > DEPENDENCIES_MAX {
            return Err(Undecodable);
        }
        let oids = rest.take(count * 4)?.chunks_exact(4);
        let dependencies =
            oids.map(|oid| RelationId::new(u32::from_le_bytes([oid[0], oid[1], oid[2], oid[3]]))).collect();
        let row_description = match rest.byte()? {
            WITHOUT_DESCRIPTION => None,
            WITH_DESCRIPTION => Some(rest.counted()?),
            _ => return Err(Undecodable),
        };
        let body = rest.counted()?;
        if !rest.0.is_empty() {
            return Err(Undecodable);
        }
        Ok(Foreign { epoch, stamp, asked_after, high, cost, dependencies, row_description, body })
    }
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Undecodable> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Undecodable)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Undecodable> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u64(&mut self) -> Result<u64, Undecodable> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Undecodable)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*taken))
    }

    fn length(&mut self) -> Result<usize, Undecodable> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Undecodable)?;
        self.0 = rest;
        usize::try_from(u32::from_le_bytes(*taken)).map_err(|_| Undecodable)
    }

    /// Copied, so that an entry holds no more memory than it is weighed with.
    fn counted(&mut self) -> Result<Bytes, Undecodable> {
        let length = self.length()?;
        self.take(length).map(Bytes::copy_from_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn foreign(row_description: Option<&'static [u8]>, body: &'static [u8]) -> Foreign {
        Foreign {
            epoch: Epoch::new(0xDEAD_BEEF_0102_0304),
            stamp: Lsn::new(0x16_B374_D848),
            asked_after: Lsn::new(0x16_B374_D000),
            high: Lsn::new(u64::MAX),
            cost: Duration::from_micros(1234),
            dependencies: vec![RelationId::new(1), RelationId::new(u32::MAX)],
            row_description: row_description.map(Bytes::from_static),
            body: Bytes::from_static(body),
        }
    }

    #[test]
    fn what_was_encoded_decodes() {
        for description in [None, Some(&b"T...."[..]), Some(&b""[..])] {
            for body in [&b""[..], b"D....C...."] {
                let mut foreign = foreign(description, body);
                assert_eq!(Foreign::decode(&foreign.encode()).as_ref(), Ok(&foreign));
                foreign.dependencies.clear();
                assert_eq!(Foreign::decode(&foreign.encode()), Ok(foreign));
            }
        }
    }

    #[test]
    fn every_truncation_addition_and_huge_length_is_refused() {
        let bytes = foreign(Some(b"describe"), b"body").encode();
        for length in 0..bytes.len() {
            assert_eq!(Foreign::decode(&bytes[..length]), Err(Undecodable), "{length}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(Foreign::decode(&longer), Err(Undecodable));
        let mut other_version = bytes.clone();
        other_version[0] += 1;
        assert_eq!(Foreign::decode(&other_version), Err(Undecodable));
        for length_at in [1 + 5 * 8, 1 + 5 * 8 + 4 + 8 + 1, bytes.len() - 4 - 4] {
            for huge in [1 << 30, u32::MAX] {
                let mut broken = bytes.clone();
                broken[length_at..length_at + 4].copy_from_slice(&u32::to_le_bytes(huge));
                assert_eq!(Foreign::decode(&broken), Err(Undecodable), "{length_at}");
            }
        }
    }

    proptest! {
        #[test]
        fn bytes_from_outside_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), versioned: bool) {
            let mut bytes = bytes;
            if versioned && let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            let _ = Foreign::decode(&bytes);
        }
    }
}
