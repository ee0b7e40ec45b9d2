//! The tables of SHOW, by PgBouncer's names and in its order of columns, so that what reads PgBouncer reads these. What is
//! not measured here is NULL, never a made-up zero.

use crate::config::{Change, Config, PoolMode};
use crate::session::console::{Cell, Table};
use crate::session::{Doing, Shared, TakenBy};
use crate::telemetry::Telemetry;
use crate::upstream::{PoolCounts, Upstream};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

pub const HELP: &str = "Console usage\n\
    \tSHOW HELP|CONFIG|DATABASES|POOLS|CLIENTS|SERVERS|STATS|VERSION\n\
    \tSHOW CACHE|QUERIES|REFUSALS|REPLICAS|ROUTES|STREAM\n\
    \tRELOAD\n\
    \tPAUSE\n\
    \tRESUME";

pub(super) fn text(value: impl ToString) -> Cell {
    Cell::Text(value.to_string())
}

pub(super) fn number(value: impl TryInto<i64>) -> Cell {
    Cell::Number(value.try_into().unwrap_or(i64::MAX))
}

pub(super) fn some(value: Option<String>) -> Cell {
    value.map_or(Cell::Null, Cell::Text)
}

fn mode(pool: PoolMode) -> Cell {
    text(match pool {
        PoolMode::Transaction => "transaction",
        PoolMode::Session => "session",
    })
}

/// As PgBouncer writes them, in UTC: `2026-01-31 12:00:00 UTC`.
fn time(at: SystemTime) -> Cell {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days to a date, by years that begin in March (Howard Hinnant, `civil_from_days`).
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hours, minutes, seconds) = (rest / 3_600, rest / 60 % 60, rest % 60);
    text(format!("{year:04}-{month:02}-{date:02} {hours:02}:{minutes:02}:{seconds:02} UTC"))
}

pub(super) fn micros(length: Duration) -> Cell {
    number(length.as_micros())
}

pub fn version() -> Table {
    Table { columns: vec!["version"], rows: vec![vec![text(concat!("Sidecache ", env!("CARGO_PKG_VERSION")))]] }
}

pub fn config(config: &Config) -> Table {
    let row = |(setting, value): (&'static crate::config::Setting, Option<String>)| {
        let changeable = if setting.change == Change::Reload { "yes" } else { "no" };
        vec![text(setting.key), some(value), some(setting.default_text().map(str::to_owned)), text(changeable)]
    };
    Table { columns: vec!["key", "value", "default", "changeable"], rows: config.shown().map(row).collect() }
}

/// One row: where the own database is. Others pass through under their own names.
pub fn databases(shared: &Shared) -> Table {
    let columns = vec![
        "name",
        "host",
        "port",
        "database",
        "force_user",
        "pool_size",
        "min_pool_size",
        "reserve_pool",
        "pool_mode",
        "max_connections",
        "current_connections",
        "paused",
        "disabled",
    ];
    let (upstream, live) = (&shared.upstream, shared.upstream.live());
    let (host, port) = upstream.primary().target().place();
    let own = upstream.own_database();
    let pools = upstream.servers().flat_map(|server| server.pool_counts());
    let open: usize = pools.filter(|(_, database, _)| database == own).map(|(_, _, counts)| counts.open).sum();
    let row = vec![
        text(own),
        text(host),
        number(port),
        text(own),
        Cell::Null,
        number(live.pool_size),
        number(live.pool_min),
        number(live.pool_reserve),
        mode(shared.config.pool),
        number(0),
        number(open),
        number(i64::from(upstream.is_paused())),
        number(0),
    ];
    Table { columns, rows: vec![row] }
}

/// What one user does with one database: on all servers together, since PgBouncer's readers take the pair for a key.
#[derive(Default)]
struct Pair {
    counts: PoolCounts,
    active: usize,
    waiting: usize,
    longest: Duration,
}

pub fn pools(upstream: &Upstream, sessions: &[TakenBy], pool: PoolMode) -> Table {
    let columns = vec![
        "database",
        "user",
        "cl_active",
        "cl_waiting",
        "cl_active_cancel_req",
        "cl_waiting_cancel_req",
        "sv_active",
        "sv_active_cancel",
        "sv_being_canceled",
        "sv_idle",
        "sv_used",
        "sv_tested",
        "sv_login",
        "maxwait",
        "maxwait_us",
        "pool_mode",
    ];
    let mut pairs: BTreeMap<(String, String), Pair> = BTreeMap::new();
    for (user, database, counts) in upstream.servers().flat_map(|server| server.pool_counts()) {
        let pair = pairs.entry((database, user)).or_default();
        pair.counts.open += counts.open;
        pair.counts.idle += counts.idle;
    }
    for session in sessions {
        let pair = pairs.entry((session.who.database.to_string(), session.who.user.clone())).or_default();
        match session.doing {
            Doing::Waiting(since) => {
                pair.waiting += 1;
                pair.longest = pair.longest.max(since);
            }
            Doing::Running { .. } | Doing::Nothing => pair.active += 1,
        }
    }
    let row = |((database, user), pair): ((String, String), Pair)| {
        vec![
            text(database),
            text(user),
            number(pair.active),
            number(pair.waiting),
            number(0),
            number(0),
            number(pair.counts.open - pair.counts.idle),
            number(0),
            number(0),
            number(pair.counts.idle),
            number(0),
            number(0),
            number(0),
            number(pair.longest.as_secs()),
            number(pair.longest.subsec_micros()),
            mode(pool),
        ]
    };
    Table { columns, rows: pairs.into_iter().map(row).collect() }
}

/// Columns of both clients and servers.
const PARTIES: [&str; 19] = [
    "type",
    "user",
    "database",
    "state",
    "addr",
    "port",
    "local_addr",
    "local_port",
    "connect_time",
    "request_time",
    "wait",
    "wait_us",
    "close_needed",
    "ptr",
    "link",
    "remote_pid",
    "tls",
    "application_name",
    "prepared_statements",
];

pub fn servers(upstream: &Upstream) -> Table {
    let mut rows = Vec::new();
    for server in upstream.servers() {
        let (host, port) = server.target().place();
        for facts in server.connections() {
            rows.push(vec![
                text("S"),
                text(&facts.user),
                text(&facts.database),
                text(if facts.is_leased() { "active" } else { "idle" }),
                text(host),
                number(port),
                Cell::Null,
                Cell::Null,
                time(facts.opened),
                Cell::Null,
                number(0),
                number(0),
                number(0),
                text(format!("{}/{}", server.name(), facts.process)),
                Cell::Null,
                number(facts.process),
                Cell::Null,
                Cell::Null,
                Cell::Null,
            ]);
        }
    }
    Table { columns: PARTIES.to_vec(), rows }
}

pub fn clients(sessions: &[TakenBy]) -> Table {
    let row = |session: &TakenBy| {
        let (state, waited, link) = match &session.doing {
            Doing::Nothing => ("idle", Duration::ZERO, Cell::Null),
            Doing::Waiting(waited) => ("waiting", *waited, Cell::Null),
            Doing::Running { server, process } => ("active", Duration::ZERO, text(format!("{server}/{process}"))),
        };
        vec![
            text("C"),
            text(&session.who.user),
            text(&session.who.database),
            text(state),
            text(session.who.peer.map_or_else(|| "unix".to_owned(), |peer| peer.ip().to_string())),
            number(session.who.peer.map_or(0, |peer| peer.port())),
            Cell::Null,
            Cell::Null,
            time(session.who.since),
            Cell::Null,
            number(waited.as_secs()),
            number(waited.subsec_micros()),
            number(0),
            text(session.process),
            link,
            number(0),
            text(if session.who.is_encrypted { "TLS" } else { "" }),
            Cell::Null,
            Cell::Null,
        ]
    };
    Table { columns: PARTIES.to_vec(), rows: sessions.iter().map(row).collect() }
}

/// Of the whole instance, under the own database's name: hits are counted by nothing smaller.
pub fn stats(database: &str, telemetry: &Telemetry) -> Table {
    let columns = vec![
        "database",
        "total_xact_count",
        "total_query_count",
        "total_received",
        "total_sent",
        "total_xact_time",
        "total_query_time",
        "total_wait_time",
        "avg_xact_count",
        "avg_query_count",
        "avg_recv",
        "avg_sent",
        "avg_xact_time",
        "avg_query_time",
        "avg_wait_time",
    ];
    let times = telemetry.times();
    let average = |time: Duration, count: u64| {
        u32::try_from(count).ok().and_then(|count| time.checked_div(count)).map_or(Cell::Null, micros)
    };
    let row = vec![
        text(database),
        Cell::Null,
        number(times.requests),
        Cell::Null,
        Cell::Null,
        Cell::Null,
        micros(times.requests_took),
        micros(times.waits_took),
        Cell::Null,
        Cell::Null,
        Cell::Null,
        Cell::Null,
        Cell::Null,
        average(times.requests_took, times.requests),
        average(times.waits_took, times.waits),
    ];
    Table { columns, rows: vec![row] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_dates() {
        for (seconds, written) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_827_696, "2000-02-29 12:34:56 UTC"),
            (1_767_225_599, "2025-12-31 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(time(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), Cell::Text(written.to_owned()));
        }
    }
}
