//! The two connections of a process: kept up, replaced when silent, armed before anything is believed.
//!
//! Arming, in this order: the reign, TRACKING answered, a canary of our own seen, the number of the latest rule, then
//! `chan++`; only then beats move `basis`. A beat counts from the moment it was sent: its answer may overtake a push. It
//! brings the rules past those applied: they take effect before it counts. Beats rest while nobody reads.

use crate::command::{Command, ConnId, Latest, Reply, RuleSet};
use crate::held::Link;
use crate::mutant::Mutant;
use crate::names::{Mode, NAMESPACE};
use crate::node::Node;
use crate::rules::begun_anew;
use crate::sim::{Promise, Time};
use crate::world::{Wire, TIMEOUT};

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
            self.sleep(RECONNECT).await;
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
        // Rules made from here on are this channel's to hear of: the latest before it is asked for first.
        let late = self.is(Mutant::RulesBaseAfterChannel);
        let latest = if late {
            Latest::default()
        } else {
            self.latest_rule(link).await?
        };
        self.me(|me| {
            if !early {
                me.new_channel();
                me.coherence = Some(link);
            }
            me.rules.begin(latest);
        });
        if late {
            self.sleep(RECONNECT).await;
            let latest = self.latest_rule(link).await?;
            self.me(|me| me.rules.begin(latest));
        }
        Some(())
    }

    async fn latest_rule(&self, link: Link) -> Option<Latest> {
        let replies = self.call_on(link.conn, vec![Command::Namespace]).await?;
        match replies.first() {
            Some(Reply::Namespace(tag)) => Some(tag.map_or(Latest::default(), |tag| tag.latest())),
            _ => None,
        }
    }

    /// Heartbeats while somebody reads; and one more for a rule that was told of while somebody did.
    async fn beats(&self, link: Link) {
        let mut is_first = true;
        loop {
            let (sent, wake) = (self.now(), Promise::default());
            self.me(|me| me.beat_wake = wake.clone());
            if self.me(|me| me.is_active(sent) || me.beat_due) || is_first {
                is_first = !self.prove_by(link, sent).await;
            }
            if !self.with(|world| world.conns[link.conn].open) {
                return;
            }
            let pause = self.with(|world| {
                let longest = world.config.beat;
                world.rng.between(longest / 2, longest)
            });
            let now = self.now();
            let alarm = if self.me(|me| me.is_active(now) || me.beat_due) || is_first {
                now + pause
            } else {
                Time::MAX
            };
            self.wait(&wake, alarm).await;
        }
    }

    /// One heartbeat; what it finds takes effect before it proves anything.
    async fn prove_by(&self, link: Link, sent: Time) -> bool {
        let is_answered = self.beat(link, sent).await.is_some();
        let basis = if self.is(Mutant::BasisIsReceiptTime) {
            self.now()
        } else {
            sent
        };
        let wake = self.me(|me| {
            me.basis = if is_answered { me.basis.max(basis) } else { me.basis };
            is_answered.then(|| std::mem::take(&mut me.proven_wake))
        });
        if let Some(wake) = wake {
            self.with(|world| wake.complete(&mut world.sim, ()));
        }
        is_answered
    }

    async fn beat(&self, link: Link, sent: Time) -> Option<()> {
        // Its answer may come behind an invalidation of this process's own, which no push keeps in order with it.
        let (s, chan) = self.me(|me| (me.seq, me.chan));
        let mutant = self.with(|world| world.mutant);
        let asked = self.me(|me| me.rules.applied(None, None));
        let commands = vec![Command::Namespace, Command::Rules { after: asked }];
        let replies = self.call_on(link.conn, commands).await?;
        let [Reply::Namespace(tag), Reply::Rules(set)] = &replies[..] else {
            return None;
        };
        let latest = tag.map(|tag| tag.latest());
        match tag {
            Some(tag) => self.me(|me| {
                me.install(s, chan, NAMESPACE, *tag);
                me.rules.merge(asked, tag.latest(), set.as_ref(), mutant);
            }),
            None if self.is(Mutant::NilNamespaceProves) => return Some(()),
            // What it was is not known any more; its rules may be there.
            None => {
                self.me(|me| me.table.remove(&NAMESPACE));
            }
        }
        if self.is(Mutant::BasisBeforeRules) {
            self.me(|me| me.basis = me.basis.max(sent));
            self.call_on(link.conn, vec![Command::Ping]).await?;
        }
        // Pushes from before it come before its answer, not before it is sent. One that came meanwhile may be of a rule
        // from after it, too: another beat asks.
        let due = self.me(|me| {
            let due = me.rule_due;
            me.rule_due = due && me.rules.signed > s;
            me.beat_due &= me.rule_due;
            due
        });
        self.apply_rules(latest, set.as_ref(), due);
        Some(())
    }

    /// Lets the rules of peers take effect on memory and loads. A rule was told of, and what was there is not there any
    /// more: whatever it meant falls.
    fn apply_rules(&self, latest: Option<Latest>, set: Option<&RuleSet>, due: bool) {
        let mutant = self.with(|world| world.mutant);
        let after = self.me(|me| me.rules.applied(latest, mutant));
        let is_whole = set.is_some_and(|set| set.floor <= after);
        let missed = due && !is_whole && !self.is(Mutant::GapOfRulesIgnored);
        if missed || begun_anew(after, latest) {
            self.with(|world| world.bump(self.process, NAMESPACE, Mode::Remove));
        }
        for rule in self.me(|me| me.rules.apply(after, latest, set)) {
            self.with(|world| {
                let at = world.moment();
                world.history.ruled.push((at, rule.pattern));
            });
            self.with(|world| world.bump(self.process, rule.pattern, rule.mode));
        }
    }

    /// After a pause nobody vouches for memory and table: one heartbeat does.
    pub async fn be_proven(&self) {
        let until = self.now() + TIMEOUT;
        while self.now() < until && self.me(|me| me.coherence.is_some()) {
            let now = self.now();
            if self.me(|me| me.is_recent(now, me.basis, me.bounds.max_unverified)) {
                return;
            }
            let proven = self.me(|me| me.proven_wake.clone());
            self.with(|world| world.wake_beats(self.process));
            self.wait(&proven, until).await;
        }
    }
}
