//! What operators ask for by SQL, in PgBouncer's words where it has them: RELOAD, PAUSE, RESUME and SHOW. Thin: it asks the
//! parts and makes tables. Does not know how an answer travels.

mod look;
mod show;

use super::reload::Reloader;
use crate::session::console::{Answer, Answering, Console, DATABASE};
use crate::session::{Doing, Shared, TakenBy};
use crate::upstream::Paused;
use crate::wire::backend::Failure;
use std::sync::Arc;

/// Answers operators.
pub struct Desk {
    pub shared: Arc<Shared>,
    pub reloader: Arc<Reloader>,
}

/// Settings of a session that drivers set before anything else. They change nothing here.
const OF_DRIVERS: [&str; 5] = ["extra_float_digits", "application_name", "client_encoding", "datestyle", "timezone"];

impl Console for Desk {
    fn run<'a>(&'a self, sql: &'a str) -> Answering<'a> {
        Box::pin(self.answer(sql))
    }

    fn only_looks(&self, sql: &str) -> bool {
        words(sql).first().is_some_and(|word| word == "show")
    }
}

fn words(sql: &str) -> Vec<String> {
    sql.split(|c: char| c.is_whitespace() || c == '=').filter(|w| !w.is_empty()).map(str::to_ascii_lowercase).collect()
}

fn done(tag: &'static str) -> Answer {
    Answer { table: None, notice: None, tag }
}

/// PgBouncer's own word for everything that it refuses is 08P01; PostgreSQL's names fit better.
fn refused(sqlstate: &'static str, message: impl Into<String>) -> Failure {
    Failure::error(sqlstate, message)
}

impl Desk {
    async fn answer(&self, sql: &str) -> Result<Answer, Failure> {
        let words = words(sql);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["show", what] => self.show(what),
            ["reload"] => match self.reloader.reload() {
                Ok(needed) if needed.is_empty() => Ok(done("RELOAD")),
                Ok(needed) => {
                    let notice = format!("these settings count after a restart only: {}", needed.join(", "));
                    Ok(Answer { notice: Some(notice), ..done("RELOAD") })
                }
                Err(reason) => Err(refused("F0000", format!("nothing was changed: {reason}"))),
            },
            ["pause"] => match self.shared.upstream.pause_whole().await {
                Paused::Whole => {
                    tracing::info!("paused: sessions wait for connections");
                    Ok(done("PAUSE"))
                }
                Paused::Already => Err(refused("55000", "already paused")),
                Paused::Resumed => Err(refused("57014", "resumed before all connections were back")),
            },
            ["resume"] => {
                if !self.shared.upstream.resume() {
                    return Err(refused("55000", "not paused"));
                }
                tracing::info!("resumed");
                Ok(done("RESUME"))
            }
            ["pause" | "resume", _] => Err(refused("0A000", "all databases are paused and resumed together")),
            ["set", name, ..] if OF_DRIVERS.contains(&name) => Ok(done("SET")),
            ["set", ..] => Err(refused("0A000", "settings are changed in their sources, and then by RELOAD")),
            _ => Err(refused("42601", format!("unknown command: {sql:?}; SHOW HELP lists all"))),
        }
    }

    fn show(&self, what: &str) -> Result<Answer, Failure> {
        let table = match what {
            "help" => return Ok(Answer { notice: Some(show::HELP.to_owned()), ..done("SHOW") }),
            "version" => show::version(),
            "config" => show::config(&self.reloader.config()),
            "databases" => show::databases(&self.shared),
            "pools" => show::pools(&self.shared.upstream, &self.sessions(), self.shared.config.pool),
            "servers" => show::servers(&self.shared.upstream),
            "clients" => show::clients(&self.sessions()),
            "routes" => look::routes(self.shared.common.routes(), &self.shared.upstream),
            "queries" => look::queries(self.shared.common.routes()),
            "replicas" => look::replicas(&self.shared.upstream),
            "refusals" => look::refusals(&self.shared.telemetry),
            "cache" => look::cache(&self.shared),
            "stream" => look::stream(&self.shared),
            "stats" => show::stats(self.shared.upstream.own_database(), &self.shared.telemetry),
            _ => return Err(refused("42704", format!("unknown: SHOW {what}; SHOW HELP lists all"))),
        };
        let troubles = self.shared.config.zone_troubles();
        let notice = troubles.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let notice = (what == "replicas" && !notice.is_empty()).then_some(notice);
        Ok(Answer { table: Some(table), notice, tag: "SHOW" })
    }

    fn sessions(&self) -> Vec<TakenBy> {
        let mut sessions = self.shared.common.sessions();
        for operator in sessions.iter_mut().filter(|session| *session.who.database == *DATABASE) {
            // What an operator waits for is no connection.
            operator.doing = Doing::Nothing;
        }
        sessions
    }
}
