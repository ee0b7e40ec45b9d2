//! `DateStyle`, the one setting whose value depends on the one before: a style alone keeps the order, an order alone the style
//! (`check_datestyle` in variable.c). Here it is made whole, so that it means the same on any connection and in any key.

use super::settings::Setting;
use crate::route::plan::replay;
use crate::sql::list::identifiers;

/// The setting's name as it is kept.
pub const NAME: &str = "datestyle";

/// What a connection starts with, of either.
const DEFAULT: &str = "default";

/// Both halves of the setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateStyle {
    style: &'static str,
    order: &'static str,
}

impl DateStyle {
    /// What one of the session's settings says; nothing set is what connections start with.
    pub fn of(setting: Option<&Setting>) -> Option<Self> {
        let started = DateStyle { style: DEFAULT, order: DEFAULT };
        setting.map_or(Some(started), |setting| started.then(started, &setting.values))
    }

    /// What it becomes by `values`, where `start` is what RESET returns to. Nothing for words that PostgreSQL does not take.
    pub fn then(self, start: Self, values: &[String]) -> Option<Self> {
        let (mut to, mut has_style, mut has_order) = (self, false, false);
        for word in values.iter().flat_map(|value| identifiers(&value.to_ascii_lowercase()).unwrap_or_default()) {
            let style = match word.as_str() {
                "iso" => Some("iso"),
                "sql" => Some("sql"),
                "german" => Some("german"),
                word if word.starts_with("postgres") => Some("postgres"),
                _ => None,
            };
            let order = match word.as_str() {
                "ymd" => Some("ymd"),
                "mdy" | "us" => Some("mdy"),
                "dmy" => Some("dmy"),
                word if word.starts_with("euro") => Some("dmy"),
                word if word.starts_with("noneuro") => Some("mdy"),
                // Unless an order stands before it.
                "german" if !has_order => {
                    to.order = "dmy";
                    None
                }
                _ => None,
            };
            match (style, order, word.as_str()) {
                (Some(style), ..) => (to.style, has_style) = (style, true),
                (None, Some(order), _) => (to.order, has_order) = (order, true),
                (None, None, DEFAULT) => {
                    to.style = if has_style { to.style } else { start.style };
                    to.order = if has_order { to.order } else { start.order };
                }
                (None, None, _) => return None,
            }
        }
        Some(to)
    }

    /// As it is set on a connection, whatever was set there.
    pub fn setting(self) -> Setting {
        let DateStyle { style, order } = self;
        let replay = replay(NAME, &format!("{style}, {order}")).into();
        Setting { replay, values: vec![style.to_owned(), order.to_owned()], role: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a server without settings of its own says it: `ISO, MDY`.
    fn after(sets: &[&str]) -> String {
        let start = DateStyle::of(None).unwrap();
        let last = sets.iter().fold(start, |before, set| before.then(start, &[(*set).to_owned()]).unwrap());
        format!("{} {}", last.style, last.order)
    }

    #[test]
    fn c16_what_is_left_out_stays() {
        for (sets, is) in [
            (&["SQL"][..], "sql default"),
            (&["German"], "german dmy"),
            (&["German", "SQL"], "sql dmy"),
            (&["MDY, German"], "german mdy"),
            (&["German, YMD"], "german ymd"),
            (&["ISO", "European"], "iso dmy"),
            (&["Postgres, US"], "postgres mdy"),
            (&["German", "NonEuropean", "iso"], "iso mdy"),
            (&["German", "default"], "default default"),
            (&["German", "SQL, default"], "sql default"),
            (&["German", "default, YMD"], "default ymd"),
        ] {
            assert_eq!(after(sets), is, "{sets:?}");
        }
        assert_eq!(DateStyle::of(None).unwrap().then(DateStyle::of(None).unwrap(), &["x".to_owned()]), None);
    }

    #[test]
    fn c16_what_was_made_whole_is_read_again_as_it_is() {
        for sets in [&["German", "SQL"][..], &["MDY, German"], &["default, YMD"]] {
            let start = DateStyle::of(None).unwrap();
            let last = sets.iter().fold(start, |before, set| before.then(start, &[(*set).to_owned()]).unwrap());
            assert_eq!(DateStyle::of(Some(&last.setting())), Some(last));
        }
    }
}
