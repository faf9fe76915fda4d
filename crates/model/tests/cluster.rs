//! Several masters: no history breaks a rule, and each rule is needed by some history.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::Mutex;
use std::time::Instant;

use tidecache_model::cluster::mutant::Mutant;
use tidecache_model::cluster::play::play;
use tidecache_model::scenario::Trace;

const HISTORIES: u64 = 20_000;
/// A mutant that survives this many histories counts as not found.
const PATIENCE: u64 = 20_000;

fn on_all_threads(work: impl Fn() + Sync) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(&work);
        }
    });
}

#[test]
fn several_masters_hold_in_20_000_histories() {
    let (start, seeds) = (Instant::now(), AtomicU64::new(1));
    let (reads, by_owners) = (AtomicUsize::new(0), AtomicUsize::new(0));

    on_all_threads(|| loop {
        let seed = seeds.fetch_add(1, Ordering::Relaxed);
        if seed > HISTORIES {
            return;
        }
        let outcome = play(seed, None, Trace::Off);
        reads.fetch_add(outcome.reads, Ordering::Relaxed);
        by_owners.fetch_add(outcome.by_owners, Ordering::Relaxed);
        assert!(outcome.violation.is_none(), "seed {seed}: {:?}", outcome.violation);
    });

    let (reads, by_owners) = (reads.into_inner() as u64, by_owners.into_inner() as u64);
    let seconds = start.elapsed().as_secs_f64();
    println!("{HISTORIES} histories, {reads} reads, {by_owners} of them by owners alone, {seconds:.1} s");
    assert!(reads > 50 * HISTORIES, "histories in which little happens prove little");
    assert!(
        by_owners > HISTORIES / 2,
        "{by_owners} reads by owners alone prove little"
    );
}

#[test]
fn every_mutant_of_several_masters_is_killed() {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));

    on_all_threads(|| {
        while let Some((mutant, name)) = Mutant::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
            let rule = |seed| Some((seed, play(seed, Some(*mutant), Trace::Off).violation?.rule));
            let killed = (1..=PATIENCE).find_map(rule);
            found.lock().expect("no hunter panics").push((*name, killed));
        }
    });

    let found = found.into_inner().expect("no hunter panics");
    for (name, killed) in &found {
        println!("{name:<24} {killed:?}");
    }
    assert_eq!(found.len(), Mutant::ALL.len());
    assert!(
        found.iter().all(|(_, killed)| killed.is_some()),
        "a rule that no history needs: {found:?}"
    );
}

#[test]
fn a_history_of_several_masters_is_the_same_for_the_same_seed() {
    for seed in 1..20 {
        let (first, second) = (play(seed, None, Trace::On), play(seed, None, Trace::On));

        assert_eq!(first.log, second.log);
    }
}
