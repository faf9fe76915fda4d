//! The protocol with one rule taken out: some history tells.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

use tidecache_model::mutant::Mutant;
use tidecache_model::scenario::{play, Trace};

/// A mutant that survives this many histories counts as not found.
const PATIENCE: u64 = 30_000;
/// `MODEL_LONG=1` hunts the rare ones, too: minutes.
const LONG_PATIENCE: u64 = 400_000;

/// The first seed that tells, and the rule it broke.
fn hunt(mutant: Mutant) -> Option<(u64, &'static str)> {
    let patience = if mutant.is_rare() { LONG_PATIENCE } else { PATIENCE };
    (1..=patience).find_map(|seed| {
        let violation = play(seed, Some(mutant), Trace::Off).violation?;
        Some((seed, violation.rule))
    })
}

#[test]
fn every_mutant_is_killed() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let is_long = std::env::var_os("MODEL_LONG").is_some();
    let all = Mutant::ALL.iter().filter(|(mutant, _)| is_long || !mutant.is_rare());
    let all: Vec<_> = all.collect();

    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((mutant, name)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let killed = hunt(*mutant);
                    found.lock().expect("no hunter panics").push((*name, killed));
                }
            });
        }
    });

    let mut found = found.into_inner().expect("no hunter panics");
    found.sort_unstable();
    for (name, killed) in &found {
        let (histories, rule) = killed.map_or(("-".to_owned(), "survived"), |(seed, rule)| (seed.to_string(), rule));
        println!("{name:<28} {histories:>6}  {rule}");
    }
    assert!(found.len() >= 65);
    assert!(
        found.iter().all(|(_, killed)| killed.is_some()),
        "a rule that no history needs"
    );
}
