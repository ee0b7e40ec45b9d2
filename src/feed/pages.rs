//! Where in the WAL no record can end: the headers of its pages. Knows positions and nothing else.

use crate::types::Lsn;

/// Bytes of a page's header (`SizeOfXLogShortPHD`), and of a segment's first page's (`SizeOfXLogLongPHD`).
const SHORT_HEADER: u64 = 24;
const LONG_HEADER: u64 = 40;

/// The sizes of the WAL's pages and segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pages {
    block: u64,
    segment: u64,
}

impl Default for Pages {
    /// Those that PostgreSQL is built and initialised with unless told otherwise.
    fn default() -> Self {
        Pages { block: 8192, segment: 16 << 20 }
    }
}

impl Pages {
    /// From `wal_block_size` and `wal_segment_size`; `None` if they are no sizes.
    pub fn new(block: u64, segment: u64) -> Option<Self> {
        (block > LONG_HEADER && segment >= block && segment.is_multiple_of(block)).then_some(Pages { block, segment })
    }

    /// Raises a position at a page's very beginning past the page's header, inside of which nothing ends.
    ///
    /// A record that fills its page ends at the next page's first byte, and there the sender stands; but
    /// `pg_current_wal_insert_lsn()` names the place behind the header, where the next record will go. Without this, whoever waits for
    /// that place would wait for the next record.
    pub fn past_header(&self, position: Lsn) -> Lsn {
        let bytes = position.bytes();
        if bytes == 0 || !bytes.is_multiple_of(self.block) {
            position
        } else if bytes.is_multiple_of(self.segment) {
            Lsn::new(bytes.saturating_add(LONG_HEADER))
        } else {
            Lsn::new(bytes.saturating_add(SHORT_HEADER))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_boundary_is_raised() {
        let pages = Pages::default();
        let raised = |bytes: u64| pages.past_header(Lsn::new(bytes)).bytes() - bytes;
        assert_eq!(raised(3 * 8192), 24);
        assert_eq!(raised(2 * (16 << 20)), 40);
        assert_eq!(raised(3 * 8192 + 8), 0);
        assert_eq!(raised(3 * 8192 - 8), 0);
        assert_eq!(raised(0), 0);
        let one_mib = Pages::new(8192, 1 << 20).unwrap();
        assert_eq!(one_mib.past_header(Lsn::new(3 << 20)).bytes(), (3 << 20) + 40);
        assert_eq!(Pages::new(0, 0), None);
        assert_eq!(Pages::new(8192, 8193), None);
    }
}
