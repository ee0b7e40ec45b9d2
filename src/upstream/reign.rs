//! A connection that no pool knows, for as long as the server it goes to is the primary it was opened to. Pooled connections are asked
//! whether they have been outlived whenever a session uses them; here bytes are only relayed, and somebody has to wait for it.

use super::{Account, LeaseError, Opened, Server, Upstream, login};
use std::sync::Arc;

/// A server's time as the primary. It is over when another becomes the primary, or another server is found behind the address; a
/// restart, which ends every connection by itself, need not be one.
#[derive(Debug)]
pub struct Reign {
    server: Arc<Server>,
    /// Of the server, from before the connection was opened.
    generation: u64,
}

impl Reign {
    /// Of the present primary.
    fn present(upstream: &Upstream) -> Self {
        loop {
            let server = Arc::clone(upstream.primary());
            let generation = server.generation();
            // Who leads is told first, and that connections are outlived afterwards: if it leads still, that is yet to come.
            if Arc::ptr_eq(&server, upstream.primary()) {
                return Reign { server, generation };
            }
        }
    }

    /// Whose it is.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Returns once it is over.
    pub async fn over(&self) {
        self.server.outlives(self.generation).await;
    }
}

impl Upstream {
    /// A connection to the present primary that no pool knows, started with these parameters: a client's own. It is to be used for
    /// the time that comes with it.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub async fn own_connection(
        &self,
        account: &Account,
        database: &str,
        parameters: &[(&str, &str)],
    ) -> Result<(Reign, Opened), LeaseError> {
        let reign = Reign::present(self);
        reign.server.is_rightful()?;
        let opened = login::connect(reign.server.target(), account, database, parameters).await?;
        Ok((reign, opened))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Flags};
    use futures_util::FutureExt;

    #[tokio::test]
    async fn it_is_over_when_the_server_begins_another_life() {
        let primary = |name: &str| (name == "SIDECACHE_PRIMARY").then(|| "postgres://shop:shop@db/shop".to_owned());
        let upstream = Upstream::new(&Config::load(&Flags::default(), &primary).unwrap());
        let reign = Reign::present(&upstream);
        reign.server.retire_connections();
        let later = Reign::present(&upstream);
        {
            let mut waits = std::pin::pin!(reign.over());
            assert_eq!(waits.as_mut().now_or_never(), None, "connections that are used up are of the same life");
            reign.server.begin_life();
            waits.await;
        }
        later.over().await;
        assert_eq!(Reign::present(&upstream).over().now_or_never(), None);
    }
}
