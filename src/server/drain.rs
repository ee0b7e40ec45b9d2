//! What signals ask for: the first SIGTERM or SIGINT asks for the end, the second insists; SIGHUP asks for a reload,
//! SIGUSR1 and SIGUSR2 for a pause and its end.

use std::io;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// SIGHUP: settings are to be read anew.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// Listens for it from here on.
    ///
    /// # Errors
    /// The process may not handle signals.
    pub fn new() -> io::Result<Self> {
        Ok(Hangups(signal(SignalKind::hangup())?))
    }

    /// The next one.
    pub async fn next(&mut self) {
        self.0.recv().await;
    }
}

impl Signals {
    /// Listens for both from here on.
    ///
    /// # Errors
    /// The process may not handle signals.
    pub fn new() -> io::Result<Self> {
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next of either.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// SIGUSR1 and SIGUSR2: PAUSE and RESUME, as PgBouncer has them.
#[derive(Debug)]
pub struct Pauses {
    pause: Signal,
    resume: Signal,
}

/// What an operator wants of sessions that ask for connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Pause,
    Resume,
}

impl Pauses {
    /// Listens for both from here on.
    ///
    /// # Errors
    /// The process may not handle signals.
    pub fn new() -> io::Result<Self> {
        Ok(Pauses { pause: signal(SignalKind::user_defined1())?, resume: signal(SignalKind::user_defined2())? })
    }

    /// The next of either.
    pub async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.pause.recv() => Wish::Pause,
            _ = self.resume.recv() => Wish::Resume,
        }
    }
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every session has ended.
    Whole,
    /// The time was up.
    TimedOut,
    /// A second signal came.
    Insisted,
}

/// Asks sessions to end by `drain` and waits for them, no longer than `limit`, nor past the next signal.
pub async fn drain(
    sessions: &TaskTracker,
    drain: &CancellationToken,
    limit: Duration,
    insist: impl Future<Output = &'static str>,
) -> Drained {
    drain.cancel();
    sessions.close();
    tokio::select! {
        biased;
        () = sessions.wait() => Drained::Whole,
        signal = insist => {
            tracing::warn!(signal, "asked again: ending at once");
            Drained::Insisted
        }
        () = tokio::time::sleep(limit) => Drained::TimedOut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn sessions_that_heed_the_token_end_the_drain() {
        let (sessions, token) = (TaskTracker::new(), CancellationToken::new());
        let heeding = token.clone();
        sessions.spawn(async move { heeding.cancelled().await });
        assert_eq!(drain(&sessions, &token, LONG, pending()).await, Drained::Whole);
    }

    #[tokio::test]
    async fn a_session_that_does_not_end_is_cut_by_time_or_by_a_second_signal() {
        let (sessions, token) = (TaskTracker::new(), CancellationToken::new());
        sessions.spawn(pending::<()>());
        assert_eq!(drain(&sessions, &token, Duration::ZERO, pending()).await, Drained::TimedOut);
        assert_eq!(drain(&sessions, &token, LONG, async { "SIGTERM" }).await, Drained::Insisted);
    }
}
