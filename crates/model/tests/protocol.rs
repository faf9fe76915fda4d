//! The protocol as it is: no history breaks a rule.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tidecache_model::scenario::{play, Trace};

const HISTORIES: u64 = 20_000;

#[test]
fn protocol_holds_in_20_000_histories() {
    let (start, reads) = (Instant::now(), AtomicUsize::new(0));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);

    std::thread::scope(|scope| {
        for thread in 0..threads {
            let reads = &reads;
            scope.spawn(move || {
                for seed in (1..=HISTORIES).skip(thread).step_by(threads) {
                    let outcome = play(seed, None, Trace::Off);
                    reads.fetch_add(outcome.reads, Ordering::Relaxed);
                    assert!(outcome.violation.is_none(), "seed {seed}: {:?}", outcome.violation);
                }
            });
        }
    });

    let (reads, seconds) = (reads.into_inner(), start.elapsed().as_secs_f64());
    println!("{HISTORIES} histories, {reads} reads, {seconds:.1} s");
    assert!(
        reads as u64 > 50 * HISTORIES,
        "histories in which little happens prove little"
    );
}

#[test]
fn a_history_is_the_same_for_the_same_seed() {
    for seed in 1..20 {
        let (first, second) = (play(seed, None, Trace::On), play(seed, None, Trace::On));

        assert_eq!(first.log, second.log);
    }
}
