//! The two connections of a process: kept up, replaced when silent, armed before anything is believed.
//!
//! Arming, in this order: the reign, TRACKING answered, a canary of our own seen, then `chan++`; only then beats move
//! `basis`. A beat counts from the moment it was sent: its answer may overtake a push.

use crate::mutant::Mutant;
use crate::node::Node;
use crate::process::Link;
use crate::server::{Command, ConnId, Reply};
use crate::sim::Time;
use crate::world::{Wire, TIMEOUT};

pub const BEAT: Time = 12_000;
const RECONNECT: Time = 2_000;

impl Node {
    /// Starts what runs as long as the process does.
    pub fn boot(&self) {
        let node = self.clone();
        self.spawn(async move { node.keep_data().await });
        let node = self.clone();
        self.spawn(async move { node.keep_coherence().await });
        let node = self.clone();
        self.spawn(async move { node.drain().await });
    }

    async fn connect(&self, wire: Wire) -> Link {
        loop {
            let pause = self.with(|world| world.rng.between(RECONNECT / 2, RECONNECT));
            self.sleep(pause).await;
            let Some(conn) = self.with(|world| world.open(self.process, wire)) else {
                continue;
            };
            match self.call_on(conn, vec![Command::Info]).await.as_deref() {
                Some([Reply::Reign(reign)]) => return Link { conn, reign: *reign },
                _ => self.with(|world| world.close(conn)),
            }
        }
    }

    async fn closed(&self, conn: ConnId) {
        let closed = self.with(|world| world.conns[conn].closed.clone());
        self.wait(&closed, Time::MAX).await;
    }

    async fn keep_data(&self) {
        loop {
            let link = self.connect(Wire::Data).await;
            self.me(|me| me.data = Some(link));
            if !self.with(|world| world.conns[link.conn].open) {
                self.me(|me| me.data = None);
            }
            self.closed(link.conn).await;
        }
    }

    async fn keep_coherence(&self) {
        loop {
            let link = self.connect(Wire::Coherence).await;
            if self.arm(link).await.is_some() {
                self.beats(link).await;
            }
            self.with(|world| world.close(link.conn));
        }
    }

    async fn arm(&self, link: Link) -> Option<()> {
        let early = self.is(Mutant::ChanBumpBeforeTracking);
        if early {
            self.me(|me| {
                me.new_channel();
                me.coherence = Some(link);
            });
        }
        self.call_on(link.conn, vec![Command::Tracking]).await?;
        let canary = self.with(|world| world.conns[link.conn].canary.clone());
        if self.call_on(link.conn, vec![Command::Canary]).await? != [Reply::Done] {
            return None;
        }
        let deadline = self.now() + TIMEOUT;
        self.wait(&canary, deadline).await?;
        if !self.with(|world| world.conns[link.conn].open) {
            return None;
        }
        if !early {
            self.me(|me| {
                me.new_channel();
                me.coherence = Some(link);
            });
        }
        Some(())
    }

    async fn beats(&self, link: Link) {
        loop {
            let sent = self.now();
            if self.call_on(link.conn, vec![Command::Ping]).await.is_some() {
                let basis = if self.is(Mutant::BasisIsReceiptTime) {
                    self.now()
                } else {
                    sent
                };
                self.me(|me| me.basis = me.basis.max(basis));
            }
            if !self.with(|world| world.conns[link.conn].open) {
                return;
            }
            let pause = self.with(|world| world.rng.between(BEAT / 2, BEAT));
            self.sleep(pause).await;
        }
    }
}
