//! The rules of the configuration file, `[[ttl]]` and `[[route]]`: read and checked. Does not know what they do.

use super::error::{ConfigError, Origin};
use super::{RouteRule, TtlRule, values};
use std::path::Path;

/// As many routes have a bit each in a set.
const MOST_ROUTES: usize = 64;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTtl {
    table: String,
    ttl: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoute {
    role: Option<String>,
    database: Option<String>,
    table: Option<String>,
    fingerprint: Option<String>,
    destination: Option<String>,
    cache: Option<String>,
}

fn is_whole(table: &str) -> bool {
    matches!(table.split('.').collect::<Vec<_>>()[..], [schema, name] if !schema.is_empty() && !name.is_empty())
}

/// The rules of `[[ttl]]`.
///
/// # Errors
/// The first that cannot be used.
pub(super) fn ttl_rules(value: toml::Value, path: &Path) -> Result<Vec<TtlRule>, ConfigError> {
    let wrong = |shown: String, reason: String| ConfigError::Value {
        key: "ttl",
        shown,
        origin: Origin::File(path.to_owned()),
        reason,
    };
    let raw: Vec<RawTtl> =
        value.try_into().map_err(|cause: toml::de::Error| wrong("[[ttl]]".to_owned(), cause.message().to_owned()))?;
    let mut rules: Vec<TtlRule> = Vec::new();
    for RawTtl { table, ttl } in raw {
        if !is_whole(&table) {
            return Err(wrong(format!("{table:?}"), "its table is not schema.table".to_owned()));
        }
        if rules.iter().any(|rule| rule.table == table) {
            return Err(wrong(format!("{table:?}"), "has two rules".to_owned()));
        }
        let ttl = values::some_duration(&ttl).map_err(|reason| wrong(format!("{ttl:?} of {table}"), reason))?;
        rules.push(TtlRule { table, ttl });
    }
    Ok(rules)
}

/// The rules of `[[route]]`.
///
/// # Errors
/// The first that cannot be used.
pub(super) fn route_rules(value: toml::Value, path: &Path) -> Result<Vec<RouteRule>, ConfigError> {
    let wrong = |shown: String, reason: String| ConfigError::Value {
        key: "route",
        shown,
        origin: Origin::File(path.to_owned()),
        reason,
    };
    let raw: Vec<RawRoute> =
        value.try_into().map_err(|cause: toml::de::Error| wrong("[[route]]".to_owned(), cause.message().to_owned()))?;
    if raw.len() > MOST_ROUTES {
        return Err(wrong("[[route]]".to_owned(), format!("has more than {MOST_ROUTES} rules")));
    }
    let one = |(at, raw): (usize, RawRoute)| {
        rule(raw).map_err(|(shown, reason)| wrong(format!("{shown:?} of rule {}", at + 1), reason.to_owned()))
    };
    raw.into_iter().enumerate().map(one).collect()
}

fn rule(raw: RawRoute) -> Result<RouteRule, (String, &'static str)> {
    let RawRoute { role, database, table, fingerprint, destination, cache } = raw;
    if let Some(table) = table.as_ref().filter(|table| !is_whole(table)) {
        return Err((table.clone(), "its table is not schema.table"));
    }
    let is_fingerprint = |text: &&String| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(text) = fingerprint.as_ref().filter(|text| !is_fingerprint(text)) {
        return Err((text.clone(), "its fingerprint is not 16 hexadecimal digits, as SHOW ROUTES writes them"));
    }
    let destination = destination
        .map(|text| text.parse().map_err(|()| (text, "its destination is not primary, replica or any")))
        .transpose()?;
    let cache = match cache.as_deref() {
        None => None,
        Some("on") => Some(true),
        Some("off") => Some(false),
        Some(other) => return Err((other.to_owned(), "its cache is not on or off")),
    };
    if destination.is_none() && cache.is_none() {
        return Err((String::new(), "says neither destination nor cache"));
    }
    Ok(RouteRule { role, database, table, fingerprint, destination, cache })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::RouteTo;

    fn read<T>(text: &str, rules: fn(toml::Value, &Path) -> Result<T, ConfigError>) -> Result<T, ConfigError> {
        let mut table: toml::Table = toml::from_str(&format!("[[rule]]\n{text}")).unwrap();
        rules(table.remove("rule").unwrap(), Path::new("c.toml"))
    }

    fn ttl(text: &str) -> Result<Vec<TtlRule>, ConfigError> {
        read(text, ttl_rules)
    }

    #[test]
    fn ttl_rules_name_a_table_and_a_time() {
        let rules = ttl("table = 'public.rates'\nttl = '30s'").unwrap();
        assert_eq!((rules[0].table.as_str(), rules[0].ttl.as_secs()), ("public.rates", 30));
        for wrong in [
            "table = 'rates'\nttl = '30s'",
            "table = 'a.b'\nttl = '0s'",
            "table = 'a.b.c'\nttl = '1s'",
            "table = 'a.b'",
        ] {
            assert!(ttl(wrong).unwrap_err().to_string().starts_with("ttl = "), "{wrong}");
        }
        let twice = ttl("table='a.b'\nttl='1s'\n[[rule]]\ntable='a.b'\nttl='2s'").unwrap_err().to_string();
        assert!(twice.contains("two rules"), "{twice}");
    }

    #[test]
    fn route_rules_say_what_they_do_and_to_what() {
        let text = "role = 'report'\ntable = 'public.t'\ndestination = 'replica'\n[[rule]]\ncache = 'off'";
        let rules = read(text, route_rules).unwrap();
        assert_eq!((rules[0].role.as_deref(), rules[0].destination), (Some("report"), Some(RouteTo::Replica)));
        assert_eq!((rules[1].cache, rules[1].table.as_deref()), (Some(false), None));
        for (wrong, said) in [
            ("role = 'a'", "neither"),
            ("destination = 'nowhere'", "\"nowhere\" of rule 1"),
            ("cache = 'maybe'", "on or off"),
            ("table = 't'\ncache = 'off'", "schema.table"),
            ("fingerprint = 'xyz'\ncache = 'off'", "16 hexadecimal"),
            ("unproven = true\ncache = 'off'", "unproven"),
        ] {
            let refused = read(wrong, route_rules).unwrap_err().to_string();
            assert!(refused.starts_with("route = ") && refused.contains(said), "{wrong}: {refused}");
        }
        let many = "cache = 'off'\n[[rule]]\n".repeat(64) + "cache = 'off'";
        assert!(read(&many, route_rules).unwrap_err().to_string().contains("more than 64"));
    }
}
