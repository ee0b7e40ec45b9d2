//! Words that our parser does not know, or takes for something else, said in words that it knows. Only what leaves every name,
//! function and operator of a query as it is: the facts of a query are the same in both wordings, its rows need not be.

use super::token::Lexed;

/// What the parser is given in the place of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reworded {
    Kept,
    /// These words; none at all if it is left out.
    As(&'static [&'static str]),
}

/// For every token its wording.
pub(super) fn reworded(lexed: &Lexed<'_>) -> Vec<Reworded> {
    let mut reworded = vec![Reworded::Kept; lexed.len()];
    for at in 0..lexed.len() {
        let before = |back: usize, words: &[&str]| at.checked_sub(back).is_some_and(|at| lexed.is_any(at, words));
        let opened = |back: usize| at.checked_sub(back).is_some_and(|at| lexed.sign(at) == Some('('));
        if lexed.is(at, "table") && !before(1, &["into"]) {
            // TABLE t is SELECT * FROM t; the parser knows it only behind UNION.
            reworded[at] = Reworded::As(&["select", "*", "from"]);
        } else if lexed.is(at, "isnull") && !at.checked_sub(1).is_some_and(|before| follows_as_label(lexed, before)) {
            // A test, which the parser takes for an alias.
            reworded[at] = Reworded::As(&["is", "null"]);
        } else if lexed.is_any(at, &["symmetric", "asymmetric"]) && before(1, &["between"]) {
            // It says which of two numbers may be the greater.
            reworded[at] = Reworded::As(&[]);
        } else if lexed.is(at, "from")
            && (opened(1) && before(2, &["trim"])
                || before(1, &["both", "leading", "trailing"]) && opened(2) && before(3, &["trim"]))
        {
            // TRIM (BOTH FROM x) is TRIM (BOTH x) to the parser.
            reworded[at] = Reworded::As(&[]);
        } else if is_fetch(lexed, at) {
            fetch(lexed, at, &mut reworded);
        }
    }
    reworded
}

/// Whether any keyword may follow as a name: behind AS or a dot.
pub(super) fn follows_as_label(lexed: &Lexed<'_>, before: usize) -> bool {
    lexed.is(before, "as") || lexed.sign(before) == Some('.')
}

/// Whether `FETCH FIRST (` stands here.
pub(super) fn is_fetch(lexed: &Lexed<'_>, at: usize) -> bool {
    lexed.is(at, "fetch") && lexed.is_any(at + 1, &["first", "next"]) && lexed.sign(at + 2) == Some('(')
}

/// `FETCH FIRST (x) ROWS ONLY` is `LIMIT (x)`: behind FETCH the parser takes nothing but a constant.
fn fetch(lexed: &Lexed<'_>, at: usize, reworded: &mut [Reworded]) {
    let mut depth = 0usize;
    let close = (at + 2..lexed.len()).find(|at| {
        match lexed.sign(*at) {
            Some('(') => depth += 1,
            Some(')') => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    let Some(close) = close.filter(|close| lexed.is_any(close + 1, &["row", "rows"])) else { return };
    let last = if lexed.is(close + 2, "only") {
        close + 2
    } else if lexed.is(close + 2, "with") && lexed.is(close + 3, "ties") {
        close + 3
    } else {
        return;
    };
    reworded[at] = Reworded::As(&["limit"]);
    reworded[at + 1] = Reworded::As(&[]);
    reworded[close + 1..=last].fill(Reworded::As(&[]));
}
