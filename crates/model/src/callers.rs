//! Who calls a process: three callers, on few keys, most of the time at once.

use crate::names::Mode;
use crate::node::Node;

use crate::sim::Time;

/// When the callers stop.
pub const CALLS_END: Time = 300_000;
/// A process that starts is given this time to connect before it is called.
const CONNECTED: Time = 10_000;

/// Boots a process and its callers.
pub fn start(node: &Node) {
    node.boot();
    for _ in 0..3 {
        let caller = node.clone();
        node.spawn(async move { caller.calls().await });
    }
}

impl Node {
    /// One caller: a call after the other, now and then two at once. Memory is small: entries are lost.
    async fn calls(&self) {
        self.sleep(CONNECTED).await;
        loop {
            let pause = self.with(|world| {
                let idle = world.rng.chance(world.config.idle_percent);
                world.rng.between(10, if idle { 60_000 } else { 12_000 })
            });
            self.sleep(pause).await;
            if self.now() > CALLS_END {
                return;
            }
            let (dice, key, dep, rarely) = self.with(|world| {
                let rarely = !world.rng.chance(world.config.change_percent);
                let key = world.rng.index(world.config.keys.len());
                let dep = world.rng.index(world.config.targets.len());
                let (key, dep) = (world.config.keys[key], world.config.targets[dep]);
                (world.rng.between(0, 100), key, dep, rarely)
            });
            let mode = if dice % 3 == 0 { Mode::Stale } else { Mode::Remove };
            let settle = self.with(|world| match mode {
                Mode::Remove if world.rng.chance(world.config.settle_percent) => {
                    world.rng.between(2_000, world.config.longest_settle)
                }
                _ => 0,
            });
            match dice {
                _ if rarely => {}
                0..16 => self.invalidate(dep, mode, settle).await,
                16..22 => self.set(key).await,
                22..30 => {
                    let other = self.clone();
                    self.spawn(async move { other.get_or_set(key, false).await });
                    self.invalidate(dep, mode, settle).await;
                }
                _ => {}
            }
            self.with(|world| {
                if world.rng.chance(10) {
                    world.processes[self.process].memory.remove(&key);
                }
            });
            self.get_or_set(key, false).await;
        }
    }
}
