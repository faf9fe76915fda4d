//! The life of one link: connect, arm, beat, begin anew.

use super::mutant::Mutant;
use super::redis::{Command, NodeId, Reply, NAMESPACE};
use super::wires::COHERENCE;
use super::world::Client;

/// Heartbeats without an answer, and without a word, that end a session.
const SILENCE: u32 = 3;

impl Client {
    pub async fn keep(&self, node: NodeId) {
        while self.me(|me| me.layout.epochs.contains_key(&node)) {
            let session = self.with(|world| world.connect(self.process, node));
            if let Some(session) = session {
                if self.arm(node, session).await.is_some() {
                    self.live(node, session).await;
                }
                self.with(|world| world.close(session));
            }
            self.with(|world| world.want_survey(self.process));
            self.sleep(2_000, 15_000).await;
        }
        self.me(|me| me.kept.remove(&node));
    }

    async fn arm(&self, node: NodeId, session: usize) -> Option<()> {
        let Reply::Reign(reign) = self.ask(session, COHERENCE, Command::Hello, false).await? else {
            return None;
        };
        self.ask(session, COHERENCE, Command::Track, false).await?;
        self.with(|world| world.sessions[session].reign = reign);
        self.me(|me| {
            me.forget();
            me.proof.armed(node, me.mutant);
        });
        self.beat(node, session).await?;
        let is_mine = self.me(|me| me.layout.epochs.contains_key(&node));
        let is_open = self.with(|world| world.sessions[session].is_open);
        (is_mine && is_open).then_some(())?;
        self.me(|me| {
            let link = me.links.entry(node).or_default();
            (link.session, link.is_suspect) = (Some(session), false);
        });
        Some(())
    }

    async fn live(&self, node: NodeId, session: usize) {
        let mut silent = 0;
        while self.with(|world| world.sessions[session].is_open) && silent < SILENCE {
            self.sleep(3_000, 6_000).await;
            let sent = self.now();
            silent = match self.beat(node, session).await {
                Some(()) => 0,
                None if self.with(|world| world.sessions[session].heard > sent) => 0,
                None => silent + 1,
            };
            self.me(|me| {
                if let Some(link) = me.links.get_mut(&node) {
                    link.is_suspect = silent > 0;
                }
            });
        }
    }

    /// One heartbeat. What it tells is dealt with before it proves anything.
    async fn beat(&self, node: NodeId, session: usize) -> Option<()> {
        let sent = self.now();
        let since = self.me(|me| me.since(sent));
        let reply = self.ask(session, COHERENCE, Command::Beat, false).await?;
        let reign = self.with(|world| world.sessions[session].reign);
        let Reply::Beat(pulse, told, version) = reply else {
            self.with(|world| world.close(session));
            return None;
        };
        if told != reign {
            self.with(|world| world.close(session));
            return None;
        }
        let mut pulse = pulse;
        if self.is(Mutant::EpochAlone) {
            pulse.failing = 0;
        }
        let has_changed = self.me(|me| me.links.entry(node).or_default().pulse.replace(pulse) != Some(pulse));
        if has_changed {
            self.with(|world| world.want_survey(self.process));
        }
        self.me(|me| {
            if me.layout.owners[NAMESPACE] == Some(node) {
                me.learn(version.map(|version| (version, told)), since);
            }
            let (is_surveyed, up, mutant) = (me.is_surveyed(), me.up(), me.mutant);
            let layout = me.layout.clone();
            me.proof.beaten(node, sent, &layout, is_surveyed, &up, mutant);
        });
        Some(())
    }
}
