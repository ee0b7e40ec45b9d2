//! The full key of an answer, composed into a buffer that the session uses again and again. Two requests may share a key
//! only if PostgreSQL would answer both with the same bytes: every field is written with its length, so that no two
//! lists of fields give the same bytes. Knows nothing of the catalog: what names mean is the statement's identity.

use crate::types::RelationId;

/// Raised whenever the composition changes, since keys also name entries in the shared tier.
const VERSION: u8 = 3;

/// Everything that an answer depends on, beside the data.
#[derive(Debug, Clone, Copy)]
pub struct KeyParts<'a> {
    /// What the session brings: database, effective role, session user, and every setting that can change a result.
    /// Already unambiguous: see [`compose_inputs`].
    pub inputs: &'a [u8],
    /// The statement's identity, its text without comments.
    pub statement: &'a [u8],
    /// What its names mean: an entry that comes from another instance lists what it depends on, and that the list is also right
    /// for the reader's own catalog rests on both having resolved the names alike.
    pub relations: &'a [RelationId],
    /// What sessions start with there (`ALTER ROLE … SET`, the configuration), as far as the reader has noticed: another instance may
    /// not have noticed yet.
    pub defaults: u64,
    /// The types that `Parse` named (zero: left open).
    pub parameter_types: &'a [u32],
    /// The `Bind` message from the count of parameter formats up to the count of result formats; empty for a simple query.
    pub parameters: &'a [u8],
    /// The result formats of the `Bind` message, without their count: two bytes each. Empty for a simple query.
    pub result_formats: &'a [u8],
    /// Of the result, as a client was told before that does not ask now and reads the rows by it: another's answer may have another,
    /// while a change of the catalog is not heard yet. Zero for all others.
    pub shape: u64,
}

/// Writes the key into `out`, whose earlier content goes.
pub fn compose(out: &mut Vec<u8>, parts: &KeyParts<'_>) {
    out.clear();
    out.push(VERSION);
    field(out, parts.inputs);
    field(out, parts.statement);
    length(out, parts.relations.len());
    for relation in parts.relations {
        out.extend_from_slice(&relation.oid().to_le_bytes());
    }
    out.extend_from_slice(&parts.defaults.to_le_bytes());
    length(out, parts.parameter_types.len());
    for oid in parts.parameter_types {
        out.extend_from_slice(&oid.to_le_bytes());
    }
    // No formats and no values: what a simple query has.
    field(out, if parts.parameters == [0, 0, 0, 0] { &[] } else { parts.parameters });
    field(out, normal_formats(parts.result_formats));
    out.extend_from_slice(&parts.shape.to_le_bytes());
}

/// Writes a session's inputs into `out`, whose earlier content goes. `settings` are those that differ from the session's
/// start or that a result can depend on, in an order that is always the same.
pub fn compose_inputs<'a>(
    out: &mut Vec<u8>,
    database: &str,
    effective_role: &str,
    session_user: &str,
    settings: impl IntoIterator<Item = (&'a str, &'a str)>,
) {
    out.clear();
    for text in [database, effective_role, session_user] {
        field(out, text.as_bytes());
    }
    for (name, value) in settings {
        field(out, name.as_bytes());
        field(out, value.as_bytes());
    }
}

/// No code, or one code 0 for all, both mean text. A code for each column is kept as it is: PostgreSQL refuses a count
/// that is not the number of columns, which is not known here, so it must not share a key with one that is right.
fn normal_formats(raw: &[u8]) -> &[u8] {
    match raw {
        [0, 0] => &[],
        raw => raw,
    }
}

fn field(out: &mut Vec<u8>, bytes: &[u8]) {
    length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&(length as u64).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(inputs: &[u8], statement: &[u8], types: &[u32], parameters: &[u8], formats: &[u8]) -> Vec<u8> {
        let mut out = b"what was there before".to_vec();
        let parts = KeyParts {
            inputs,
            statement,
            relations: &[],
            defaults: 0,
            parameter_types: types,
            parameters,
            result_formats: formats,
            shape: 0,
        };
        compose(&mut out, &parts);
        out
    }

    #[test]
    fn c18_who_was_told_another_shape_or_starts_otherwise_has_a_key_of_its_own() {
        let of = |(defaults, shape)| {
            let mut out = Vec::new();
            let (inputs, statement) = (&b"i"[..], &b"select * from t"[..]);
            let (relations, parameter_types, parameters, result_formats) = (&[][..], &[][..], &b""[..], &b""[..]);
            let parts =
                KeyParts { inputs, statement, relations, defaults, parameter_types, parameters, result_formats, shape };
            compose(&mut out, &parts);
            out
        };
        let all = [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0)];
        for (a, b) in all.into_iter().flat_map(|a| all.map(|b| (a, b))) {
            assert_eq!(of(a) == of(b), a == b, "{a:?}, {b:?}");
        }
    }

    fn inputs(database: &str, role: &str, user: &str, settings: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        compose_inputs(&mut out, database, role, user, settings.iter().copied());
        out
    }

    #[test]
    fn c18_texts_that_look_alike_have_keys_of_their_own() {
        let of = |text: &str| key(b"i", text.as_bytes(), &[], &[], &[]);
        let texts = [
            "select 'abc'",
            "select 'ABC'",
            "SELECT 'abc'",
            "select 1",
            "select 1.0",
            "select 1.00",
            "select '1'",
            "select 1 ",
            "select 'a' collate \"C\"",
            "select 'a'",
        ];
        for (i, a) in texts.iter().enumerate() {
            for (j, b) in texts.iter().enumerate() {
                assert_eq!(of(a) == of(b), i == j, "{a} {b}");
            }
        }
    }

    #[test]
    fn c18_types_values_and_formats_are_in_the_key() {
        let one_text: &[u8] = &[0, 0, 0, 1, 0, 0, 0, 1, b'1'];
        let one_text_said: &[u8] = &[0, 1, 0, 0, 0, 1, 0, 0, 0, 1, b'1'];
        let one_binary: &[u8] = &[0, 1, 0, 1, 0, 1, 0, 0, 0, 4, 0, 0, 0, 1];
        let null: &[u8] = &[0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF];
        let empty: &[u8] = &[0, 0, 0, 1, 0, 0, 0, 0];
        let text: &[u8] = &[0, 0];
        let binary: &[u8] = &[0, 1];
        let mixed: &[u8] = &[0, 0, 0, 1];
        let mixed_other: &[u8] = &[0, 1, 0, 0];
        let two_text: &[u8] = &[0, 0, 0, 0];
        let mut keys = vec![
            key(b"i", b"s", &[], one_text, text),
            key(b"i", b"s", &[0], one_text, text),
            key(b"i", b"s", &[23], one_text, text),
            key(b"i", b"s", &[20], one_text, text),
            key(b"i", b"s", &[], one_text_said, text),
            key(b"i", b"s", &[], one_binary, text),
            key(b"i", b"s", &[], null, text),
            key(b"i", b"s", &[], empty, text),
            key(b"i", b"s", &[], one_text, binary),
            key(b"i", b"s", &[], one_text, mixed),
            key(b"i", b"s", &[], one_text, mixed_other),
            key(b"i", b"s", &[], one_text, two_text),
        ];
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    #[test]
    fn c18_the_two_ways_to_say_text_are_one() {
        let simple = key(b"i", b"s", &[], &[], &[]);
        assert_eq!(simple, key(b"i", b"s", &[], &[0, 0, 0, 0], &[]));
        assert_eq!(simple, key(b"i", b"s", &[], &[0, 0, 0, 0], &[0, 0]));
        // PostgreSQL refuses the first of these unless there are two columns.
        assert_ne!(simple, key(b"i", b"s", &[], &[0, 0, 0, 0], &[0, 0, 0, 0]));
    }

    #[test]
    fn c15_role_user_and_settings_separate() {
        let mut all = vec![
            inputs("shop", "alice", "alice", &[]),
            inputs("shop", "alice", "bob", &[]),
            inputs("shop", "bob", "alice", &[]),
            inputs("sho", "palice", "alice", &[]),
            inputs("other", "alice", "alice", &[]),
            inputs("shop", "alice", "alice", &[("TimeZone", "UTC")]),
            inputs("shop", "alice", "alice", &[("TimeZone", "CET")]),
            inputs("shop", "alice", "alice", &[("Time", "ZoneUTC")]),
            inputs("shop", "alice", "alice", &[("TimeZone", ""), ("UTC", "")]),
        ];
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    type Parts = (Vec<u8>, Vec<u8>, Vec<u32>, Vec<u8>, Vec<u8>);

    /// Short fields of few symbols, so that bytes that slide from one field into the next are met often.
    fn parts() -> impl Strategy<Value = Parts> {
        let bytes = || prop::collection::vec(0u8..3, 0..6);
        (bytes(), bytes(), prop::collection::vec(0u32..3, 0..3), bytes(), bytes())
    }

    fn normal(mut parts: Parts) -> Parts {
        if parts.3 == [0, 0, 0, 0] {
            parts.3.clear();
        }
        if parts.4 == [0, 0] {
            parts.4.clear();
        }
        parts
    }

    proptest! {
        #[test]
        fn distinct_parts_give_distinct_keys(a in parts(), b in parts()) {
            let of = |p: &Parts| key(&p.0, &p.1, &p.2, &p.3, &p.4);
            prop_assert_eq!(of(&a) == of(&b), normal(a) == normal(b));
        }

        #[test]
        fn a_byte_that_slides_between_fields_changes_the_key(all in prop::collection::vec(0u8..3, 1..12), cut in 0usize..12, slid in 0usize..12) {
            let (cut, slid) = (cut % (all.len() + 1), slid % (all.len() + 1));
            let of = |at: usize| key(&all[..at], &all[at..], &[], &[], &[]);
            prop_assert_eq!(of(cut) == of(slid), cut == slid);
        }
    }
}
