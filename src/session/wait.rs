//! While the client says nothing: what a held connection says unasked, notifications, and what ends a session that waits.

use super::listen::arrived;
use super::round::Round;
use super::{End, Session, shutting_down};

impl Session {
    /// Waits for the client's next bytes, relaying what a held connection says unasked. `false`: the client left.
    pub(super) async fn wait(&mut self) -> Result<bool, End> {
        self.client.rest();
        loop {
            let idle = self.status == b'I' && self.client.input.is_empty() && !self.is_mid_batch();
            let (patience, silent) = self.patience();
            let wants_news = self.wants_news();
            let news = arrived(self.listening.as_deref(), wants_news);
            let Some(held) = &mut self.held else {
                tokio::select! {
                    biased;
                    read = self.client.read() => return Ok(read?),
                    () = news => {}
                    () = &mut self.stop, if idle => return Err(shutting_down()),
                    () = self.silence.lasts(patience) => return Err(silent.end()),
                }
                Box::pin(self.tell_news()).await?;
                continue;
            };
            let mut round = Round::default();
            let has_news = tokio::select! {
                biased;
                read = self.client.read() => return Ok(read?),
                () = news => true,
                said = held.pull(&mut round) => match said {
                    Ok(said) => {
                        held.batch_open &= round.status.is_none();
                        self.client.output.extend_from_slice(&said);
                        false
                    }
                    Err(broken) => return Err(self.lost(broken).await),
                },
                () = &mut self.stop, if idle => return Err(shutting_down()),
                () = self.silence.lasts(patience) => return Err(silent.end()),
            };
            if let Some(status) = round.status {
                // A copy failed before it had read its batch's Sync, which is answered after all. What it means counts before it is told.
                self.ended_late(status);
            }
            self.client.flush().await?;
            if let Some(status) = round.status {
                Box::pin(self.settle(status, None)).await?;
            }
            if has_news {
                Box::pin(self.tell_news()).await?;
            }
        }
    }
}
