//! Plays histories and prints the first one that breaks a rule.
//!
//! `cargo run --release -p tidecache-model -- --histories 20000 --seed 1 [--mutant NoSecondBump]`
//! `cargo run --release -p tidecache-model -- --masters 3 … [--mutant NoMajority]`: those of several masters

use std::process::ExitCode;
use std::time::Instant;

use tidecache_model::cluster;
use tidecache_model::mutant::Mutant;
use tidecache_model::scenario::{play, Trace};

struct Options {
    histories: u64,
    seed: u64,
    mutant: Option<Mutant>,
    /// Of several masters, with one of its own mutants.
    cluster: bool,
    of_cluster: Option<cluster::mutant::Mutant>,
}

/// What a history comes to: reads, the rule that it breaks and why, the log.
type Played = (usize, Option<(String, u64)>, Vec<String>);

impl Options {
    fn play(&self, seed: u64, trace: Trace) -> Played {
        if self.cluster {
            let outcome = cluster::play::play(seed, self.of_cluster, trace);
            let broken = outcome.violation;
            let broken = broken.map(|broken| (format!("{}\n  {}", broken.rule, broken.detail), broken.at));
            return (outcome.reads, broken, outcome.log);
        }
        let outcome = play(seed, self.mutant, trace);
        let broken = outcome.violation;
        let broken = broken.map(|broken| {
            (
                format!("{} at {} µs\n  {}", broken.rule, broken.at, broken.detail),
                broken.at,
            )
        });
        (outcome.reads, broken, outcome.log)
    }
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        histories: 20_000,
        seed: 1,
        mutant: None,
        cluster: false,
        of_cluster: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(format!("{name} needs a value"))?;
        let number = || value.parse().map_err(|_| format!("{name} needs a number, got {value}"));
        match name.as_str() {
            "--histories" => options.histories = number()?,
            "--seed" => options.seed = number()?,
            "--masters" => options.cluster = number()? > 1,
            "--mutant" => {
                options.mutant = Mutant::by_name(&value);
                options.of_cluster = cluster::mutant::Mutant::by_name(&value);
                if options.mutant.is_none() && options.of_cluster.is_none() {
                    return Err(format!("no mutant {value}"));
                }
            }
            _ => return Err(format!("{name}: expected --histories, --seed, --masters or --mutant")),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let (start, mut reads) = (Instant::now(), 0);
    for number in 0..options.histories {
        let seed = options.seed + number;
        let (read, broken, _) = options.play(seed, Trace::Off);
        reads += read;
        if let Some((rule, until)) = broken {
            let (_, _, log) = options.play(seed, Trace::On);
            let lines: Vec<&String> = log.iter().filter(|line| at(line) <= until).collect();
            for line in &lines[lines.len().saturating_sub(400)..] {
                println!("{line}");
            }
            println!("seed {seed}, history {}: {rule}", number + 1);
            return ExitCode::FAILURE;
        }
        if (number + 1) % 5_000 == 0 {
            println!(
                "{} histories, {reads} reads, {:.1} s",
                number + 1,
                start.elapsed().as_secs_f64()
            );
        }
    }
    println!(
        "{} histories hold, {reads} reads, {:.1} s",
        options.histories,
        start.elapsed().as_secs_f64()
    );
    ExitCode::SUCCESS
}

fn at(line: &str) -> u64 {
    line.split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or(0)
}
