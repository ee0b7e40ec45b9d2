//! Counts by label, found without a lock and without hashing: labels are few and their texts are constants, so
//! comparing addresses finds most of them.

use std::sync::OnceLock;

/// Different labels of one family. More are counted together under [`OTHER`], so that no mistake can make series
/// without end.
const LIMIT: usize = 64;

/// What labels past the limit are called.
const OTHER: &str = "other";

/// A cell for each label, made when it is first seen.
pub struct Labelled<T> {
    cells: Box<[OnceLock<(&'static str, T)>]>,
}

impl<T: Default> Labelled<T> {
    pub fn new() -> Self {
        Labelled { cells: (0..=LIMIT).map(|_| OnceLock::new()).collect() }
    }

    /// The cell of this label.
    pub fn cell(&self, label: &'static str) -> &T {
        let (last, cells) = self.cells.split_last().expect("there is always the cell of all others");
        for cell in cells {
            let (known, value) = cell.get_or_init(|| (label, T::default()));
            if std::ptr::eq(*known, label) || *known == label {
                return value;
            }
        }
        &last.get_or_init(|| (OTHER, T::default())).1
    }

    /// Every label that was seen.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &T)> {
        self.cells.iter().filter_map(|cell| cell.get()).map(|(label, value)| (*label, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    #[test]
    fn a_label_has_one_cell_wherever_its_text_lies() {
        let counts: Labelled<AtomicU64> = Labelled::new();
        let elsewhere: &'static str = String::from("read").leak();
        counts.cell("read").fetch_add(1, Relaxed);
        counts.cell(elsewhere).fetch_add(1, Relaxed);
        counts.cell("write").fetch_add(1, Relaxed);
        let seen: Vec<_> = counts.iter().map(|(label, n)| (label, n.load(Relaxed))).collect();
        assert_eq!(seen, [("read", 2), ("write", 1)]);
    }

    #[test]
    fn labels_past_the_limit_are_counted_together() {
        let counts: Labelled<AtomicU64> = Labelled::new();
        for number in 0..LIMIT + 5 {
            counts.cell(format!("label {number}").leak()).fetch_add(1, Relaxed);
        }
        assert_eq!(counts.iter().count(), LIMIT + 1);
        assert_eq!(counts.iter().last().map(|(label, n)| (label, n.load(Relaxed))), Some((OTHER, 5)));
    }

    #[test]
    fn threads_that_meet_a_new_label_share_its_cell() {
        let counts: Labelled<AtomicU64> = Labelled::new();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for label in ["a", "b", "c", "d"] {
                        counts.cell(label).fetch_add(1, Relaxed);
                    }
                });
            }
        });
        assert_eq!(counts.iter().count(), 4);
        assert!(counts.iter().all(|(_, n)| n.load(Relaxed) == 8));
    }
}
