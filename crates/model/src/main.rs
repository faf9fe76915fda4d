//! Plays histories and prints the first one that breaks a rule.
//!
//! `cargo run --release -p tidecache-model -- --histories 20000 --seed 1 [--mutant NoSecondBump]`

use std::process::ExitCode;
use std::time::Instant;

use tidecache_model::mutant::Mutant;
use tidecache_model::scenario::{play, Trace};

struct Options {
    histories: u64,
    seed: u64,
    mutant: Option<Mutant>,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        histories: 20_000,
        seed: 1,
        mutant: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(format!("{name} needs a value"))?;
        let number = || value.parse().map_err(|_| format!("{name} needs a number, got {value}"));
        match name.as_str() {
            "--histories" => options.histories = number()?,
            "--seed" => options.seed = number()?,
            "--mutant" => options.mutant = Some(Mutant::by_name(&value).ok_or(format!("no mutant {value}"))?),
            _ => return Err(format!("{name}: expected --histories, --seed or --mutant")),
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
        let outcome = play(seed, options.mutant, Trace::Off);
        reads += outcome.reads;
        if let Some(violation) = outcome.violation {
            let traced = play(seed, options.mutant, Trace::On);
            let shown = traced.log.iter().filter(|line| at(line) <= violation.at);
            let lines: Vec<&String> = shown.collect();
            for line in &lines[lines.len().saturating_sub(400)..] {
                println!("{line}");
            }
            println!(
                "seed {seed}, history {}: {} at {} µs",
                number + 1,
                violation.rule,
                violation.at
            );
            println!("  {}", violation.detail);
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
