//! What one session has not been told yet of the notifications that came for it: bounded, so that who does not read is in nobody
//! else's way. Does not know who puts anything in.

use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// Bytes of notifications that may wait for one session. PostgreSQL's own queue holds 8 GB for all; past its end, NOTIFY fails.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// What keeping one costs beside its frame.
const OVERHEAD: usize = 64;

/// A NotificationResponse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// The server's process that sent it.
    pub process: u32,
    pub channel: Arc<str>,
    /// Header included.
    pub frame: Bytes,
    /// The how-manieth of this session.
    pub number: u64,
}

/// Why a session hears nothing more: notifications were lost, and it has to end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Deaf {
    /// The server ended the connection with this ErrorResponse.
    #[error("the server ended the connection that listens")]
    Fatal(Bytes),
    #[error("the connection that listens was lost: {0}")]
    Lost(Arc<str>),
    /// An operator paused, or another server is the primary.
    #[error("the connection that listens was given up")]
    Stopped,
    /// More waited than may wait.
    #[error("more than {MOST_BYTES} bytes of notifications wait to be read")]
    Full,
}

#[derive(Debug, Default)]
pub(super) struct Inbox(Mutex<Mail>);

#[derive(Debug, Default)]
struct Mail {
    news: VecDeque<News>,
    bytes: usize,
    received: u64,
    deaf: Option<Deaf>,
    waker: Option<Waker>,
}

impl Mail {
    fn drop_news(&mut self) {
        self.news = VecDeque::new();
        self.bytes = 0;
    }
}

impl Inbox {
    pub(super) fn push(&self, process: u32, channel: &Arc<str>, frame: &Bytes) {
        let mut mail = self.0.lock();
        if mail.deaf.is_some() {
            return;
        }
        mail.bytes += frame.len() + OVERHEAD;
        if mail.bytes > MOST_BYTES {
            mail.drop_news();
            mail.deaf = Some(Deaf::Full);
        } else {
            let number = mail.received;
            mail.received += 1;
            mail.news.push_back(News { process, channel: Arc::clone(channel), frame: frame.clone(), number });
        }
        let waker = mail.waker.take();
        drop(mail);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Nothing more will come.
    pub(super) fn end(&self, deaf: &Deaf) {
        let mut mail = self.0.lock();
        mail.deaf.get_or_insert_with(|| deaf.clone());
        let waker = mail.waker.take();
        drop(mail);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Returns once there is something to take, or `wants_news` is false and the end has come.
    pub(super) async fn arrived(&self, wants_news: bool) {
        poll_fn(|cx| {
            let mut mail = self.0.lock();
            if mail.deaf.is_some() || (wants_news && !mail.news.is_empty()) {
                return Poll::Ready(());
            }
            mail.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Whatever has come, and whether it was the last.
    pub(super) fn take(&self) -> (VecDeque<News>, Option<Deaf>) {
        let mut mail = self.0.lock();
        mail.bytes = 0;
        (std::mem::take(&mut mail.news), mail.deaf.clone())
    }

    /// Forgets what came on a channel.
    pub(super) fn forget(&self, channel: &str) {
        let mut mail = self.0.lock();
        mail.news.retain(|news| *news.channel != *channel);
        mail.bytes = mail.news.iter().map(|news| news.frame.len() + OVERHEAD).sum();
    }

    pub(super) fn received(&self) -> u64 {
        self.0.lock().received
    }

    pub(super) fn deaf(&self) -> Option<Deaf> {
        self.0.lock().deaf.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r20_who_does_not_read_is_given_up_and_keeps_no_room() {
        let inbox = Inbox::default();
        let (channel, frame): (Arc<str>, _) = ("a".into(), Bytes::from(vec![0; 8_000]));
        let fits = MOST_BYTES / (frame.len() + OVERHEAD);
        for _ in 0..fits {
            inbox.push(1, &channel, &frame);
        }
        assert_eq!(inbox.deaf(), None);
        inbox.push(1, &channel, &frame);
        inbox.push(1, &channel, &frame);
        assert_eq!(inbox.take(), (VecDeque::new(), Some(Deaf::Full)));
    }

    #[test]
    fn what_was_taken_or_forgotten_makes_room() {
        let inbox = Inbox::default();
        let frame = Bytes::from(vec![0; MOST_BYTES / 2 - OVERHEAD]);
        for _ in 0..3 {
            inbox.push(1, &"a".into(), &frame);
            inbox.push(1, &"b".into(), &frame);
            inbox.forget("a");
            let (news, deaf) = inbox.take();
            assert_eq!((news.len(), &*news[0].channel, deaf), (1, "b", None));
        }
        assert_eq!(inbox.received(), 6);
    }
}
