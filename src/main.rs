//! The command line: reads it, says what is wrong with it, and starts one of its commands. Exit codes: 0; 1 for a
//! failure while running; 64 for a wrong configuration or usage.

use clap::{Parser, Subcommand};
use sidecache::coherence::Rules;
use sidecache::config::users::Users;
use sidecache::config::{Config, ConfigError, Flags, known_variables};
use sidecache::server::check::{Checked, check};
use sidecache::server::explain::explain;
use sidecache::server::setup::{Then, setup};
use sidecache::server::{ServeError, Start, serve};
use sidecache::telemetry::logs;
use std::fmt::Display;
use std::future::Future;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

/// As `EX_USAGE` in sysexits.h.
const WRONG_USAGE: u8 = 64;

/// Bytes of a worker's stack. Deeply nested statements are refused before they are parsed; this is what that limit
/// was measured with.
const STACK: usize = 8 << 20;

/// Names rules of the fill that are switched off, with commas: so that a test can show what each of them prevents.
const RULES_OFF: &str = "SIDECACHE_TEST_DISABLE";

/// How long what still runs in the background may take to end.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// A PostgreSQL proxy whose cache is never wrong: hits are coherent with the WAL.
///
/// Point an application's DATABASE_URL at it and change nothing else. Settings come from flags, then the
/// environment, then the file that --config names, then their defaults.
#[derive(Parser)]
#[command(name = "sidecache", version, max_term_width = 120)]
struct Cli {
    #[command(flatten)]
    settings: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve clients (what happens without a command).
    Serve,
    /// Test configuration, servers, privileges and Redis, and print what to run to mend each failure.
    Check,
    /// Say where a statement would go, and why it would or would not be cached. Runs nothing.
    Explain {
        /// The statement, as the application would send it.
        #[arg(allow_hyphen_values = true)]
        sql: String,
    },
    /// Print the SQL that prepares the primary: the right to replicate, and event triggers that tell of DDL.
    Setup {
        /// Run it too, as the user of the primary's URL.
        #[arg(long)]
        run: bool,
    },
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => return explain_usage(&usage),
    };
    let read = configuration(&cli.settings).and_then(|config| {
        let users = Users::load(config.users.as_deref(), &config)?;
        Ok((config, users))
    });
    let (config, users) = match read {
        Ok(read) => read,
        Err(wrong) => return refuse(&wrong),
    };
    let command = cli.command.unwrap_or(Command::Serve);
    let workers = config.workers;
    let log_level = match (&command, config.log_level.as_str()) {
        // Their findings are what there is to read; only who asks for more gets it.
        (Command::Check | Command::Explain { .. } | Command::Setup { .. }, "info") => "error",
        (_, level) => level,
    };
    let filter = match logs::start(config.log_format, log_level) {
        Ok(filter) => filter,
        Err(wrong) => return refuse(&wrong),
    };
    match command {
        Command::Serve => match rules() {
            Ok(rules) => {
                let reread = Box::new(move || configuration(&cli.settings));
                match run(workers, serve(Start { config, users, rules, reread, filter })) {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(wrong @ ServeError::Configuration { .. }) => refuse(&wrong),
                    Err(failure) => fail(&failure),
                }
            }
            Err(wrong) => refuse(&wrong),
        },
        Command::Check => {
            let mut printed = Ok(());
            let print = |line: &str| {
                if printed.is_ok() {
                    printed = print(&format!("{line}\n"));
                }
            };
            let checked = run(workers, check(&config, &users, print));
            match (checked, printed) {
                (_, Err(cause)) => fail(&cause),
                (Checked::Good, Ok(())) => ExitCode::SUCCESS,
                (Checked::Bad, Ok(())) => ExitCode::FAILURE,
            }
        }
        Command::Explain { sql } => print_or_fail(run(workers, explain(&config, &sql))),
        Command::Setup { run: false } => print_or_fail(run(workers, setup(&config, Then::Print))),
        Command::Setup { run: true } => print_or_fail(run(workers, setup(&config, Then::Run))),
    }
}

/// What clap says. What may hold a password is replaced, such as a URL whose `--primary` was forgotten.
fn explain_usage(usage: &clap::Error) -> ExitCode {
    if !usage.use_stderr() {
        // Fails only where nobody reads.
        let _ = usage.print();
        return ExitCode::SUCCESS;
    }
    let said = usage.render().to_string();
    let given = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    let shown = given.filter(|argument| argument.contains('@')).fold(said.clone(), |shown, argument| {
        let value = argument.split_once('=').map_or("", |(_, value)| value);
        let shown = shown.replace(&argument, "***");
        if value.is_empty() { shown } else { shown.replace(value, "***") }
    });
    if shown == said {
        let _ = usage.print();
    } else {
        eprintln!("{shown}\n*** may hold a password and is not shown. The primary's URL is given as --primary URL.");
    }
    ExitCode::from(WRONG_USAGE)
}

fn print_or_fail(result: Result<String, String>) -> ExitCode {
    match result {
        Ok(text) => print(&text).map_or_else(|cause| fail(&cause), |()| ExitCode::SUCCESS),
        Err(failure) => fail(&failure),
    }
}

/// To the standard output. That its reader reads no further, as `head` does, is no failure.
fn print(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(cause) if cause.kind() != ErrorKind::BrokenPipe => Err(format!("nothing can be printed: {cause}")),
        _ => Ok(()),
    }
}

fn configuration(settings: &Flags) -> Result<Config, ConfigError> {
    // What is not UTF-8 is refused by whoever reads the value, not passed over.
    let environment = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    known_variables(std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))))?;
    Config::load(settings, &environment)
}

/// All rules, except for a test that says otherwise.
fn rules() -> Result<Rules, String> {
    let off = std::env::var_os(RULES_OFF).unwrap_or_default();
    let off = off.to_string_lossy();
    let rules = Rules::all_but(&off).map_err(|unknown| format!("{RULES_OFF} = {off:?}: {unknown}"))?;
    if rules != Rules::ALL {
        tracing::warn!(disabled = %off, "{RULES_OFF} is set: answers from the cache MAY BE WRONG");
    }
    Ok(rules)
}

fn run<T>(workers: Option<usize>, work: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = workers {
        builder.worker_threads(workers);
    }
    let runtime = builder.enable_all().thread_stack_size(STACK).build().expect("the system gives threads");
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(LAST_WAIT);
    done
}

fn refuse(wrong: &dyn Display) -> ExitCode {
    eprintln!("sidecache: {wrong}");
    ExitCode::from(WRONG_USAGE)
}

fn fail(failure: &dyn Display) -> ExitCode {
    eprintln!("sidecache: {failure}");
    ExitCode::FAILURE
}
