//! What this Redis allows: every step an engine takes, taken once and told apart. Facts only; the words, and what to
//! do, are the tool's.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis::Value;
use serde_json::{json, Value as Json};

use super::connect::{open, open_plain, Unreached};
use super::dryrun::{dry_run, Scratch, Slots};
use super::facts::{self, Info};
use super::masters;
use super::needs::{self, On, Trial, CLUSTER_TRIALS, TRIALS};
use super::pushes::{tracking, Pushes};
use super::reach::{ms, reach};
use crate::clock::SystemClock;
use crate::config::{Address, CoherenceMode, RedisConfig};
use crate::key::{Namespace, RedisKeys};
use crate::redis::fault::Fault;
use crate::redis::sentinel::locate;
use crate::redis::session::{Canaries, Session};
use crate::redis::wire::{Budget, Wire};

/// Round trips measured, and the time they may take.
const PINGS: usize = 200;
const PINGING: Duration = Duration::from_secs(1);

/// Probes a Redis for a namespace: of a cluster the master that has the namespace's version, and a little of the others. Takes
/// one to some seconds; what cannot be asked is null.
pub async fn probe(config: &RedisConfig, namespace: &str) -> Json {
    let sentinels = config.sentinels.as_ref().map_or(0, |sentinels| sentinels.nodes.len());
    let located = locate(config).await;
    let config = located.as_ref().unwrap_or(config);
    if config.nodes.is_empty() {
        return probe_one(config, namespace, &|_| true, (sentinels, located.as_ref().err())).await;
    }
    let keys = RedisKeys::new(namespace);
    let none = (0, None);
    let chart = match masters::chart(config).await {
        Ok(chart) => chart,
        Err((node, fault)) => {
            let mut report = probe_one(&config.at(&node), namespace, &|_| true, none).await;
            report["cluster"] = json!({ "error": fault.to_string() });
            return report;
        }
    };
    let whole = Namespace::new(namespace).whole().slot();
    let home = chart.owners.iter().find(|owner| masters::owns(owner, whole));
    let node = home.map_or_else(|| config.nodes[0].clone(), |home| home.node.clone());
    let is_own = |slot| home.is_some_and(|home| masters::owns(home, slot));
    let mut report = probe_one(&config.at(&node), namespace, &is_own, none).await;
    report["cluster"] = masters::report(&chart, config, &keys).await;
    report
}

async fn probe_one(
    config: &RedisConfig,
    namespace: &str,
    slots: Slots<'_>,
    (sentinels, unlocated): (usize, Option<&Fault>),
) -> Json {
    let keys = RedisKeys::new(namespace);
    let user = needs::user_of(config);
    let mut report = json!({
        "endpoint": {
            "place": config.place(),
            "isUnix": matches!(config.address, Address::Unix(_)),
            "isTls": matches!(&config.address, Address::Tcp { tls: Some(_), .. }),
            "db": config.db,
            "user": user,
            "hasPassword": config.password.is_some(),
            "sentinels": sentinels,
        },
        "unlocated": unlocated.map(ToString::to_string),
        "namespace": namespace,
        "timeouts": {
            "connect": config.connect_timeout.as_millis() as u64,
            "command": config.command_timeout.as_millis() as u64,
        },
        "reach": reach(config).await,
        "pings": null, "server": null, "clock": null, "commands": null, "scripts": null, "tracking": null, "session": null,
    });
    let pushes = Arc::new(Pushes::default());
    let (wire, hello) = greet(config, &pushes).await;
    report["hello"] = hello;
    let Some(wire) = wire else {
        return report;
    };
    let has_resp3 = report["hello"]["isResp3"] == json!(true);
    if let Err(fault) = look(&wire, config, (&keys, slots), &pushes, has_resp3, &mut report).await {
        report["lost"] = json!(fault.to_string());
    }
    report["session"] = session(config, &keys, slots).await;
    report
}

async fn look(
    wire: &Wire,
    config: &RedisConfig,
    (keys, slots): (&RedisKeys, Slots<'_>),
    pushes: &Arc<Pushes>,
    has_resp3: bool,
    report: &mut Json,
) -> Result<(), Fault> {
    report["pings"] = pings(wire, config).await?;
    report["server"] = server(wire, config).await?;
    report["clock"] = clock(wire, config).await?;
    let is_cluster = report["server"]["isCluster"] == json!(true);
    report["commands"] = commands(wire, (keys, slots), config, is_cluster).await?;
    let scratch = Scratch::new(keys, slots);
    let scripts = dry_run(wire, &scratch, &mut Budget::new(config.connect_timeout)).await;
    scratch.remove(wire, &mut Budget::new(config.connect_timeout)).await;
    report["scripts"] = scripts?;
    if has_resp3 {
        report["tracking"] = tracking(wire, keys, pushes, config, slots).await?;
    }
    Ok(())
}

/// The connection, and how it was greeted: with HELLO, or without where that was refused.
async fn greet(config: &RedisConfig, pushes: &Arc<Pushes>) -> (Option<Wire>, Json) {
    let tap = Arc::clone(pushes);
    let refused = match open(config, move |info| tap.note(&info)).await {
        Ok(wire) => return (Some(wire), json!({ "isResp3": true })),
        Err(refused) => refused,
    };
    let error = refused.to_string();
    let kind = match refused {
        Unreached::Socket(_) => "socket",
        Unreached::Silent => "silent",
        Unreached::Greeting(_) => "refused",
        Unreached::NoHello => "unknown",
    };
    let plain = match refused {
        Unreached::Greeting(_) | Unreached::NoHello => open_plain(config).await.ok(),
        Unreached::Socket(_) | Unreached::Silent => None,
    };
    (plain, json!({ "isResp3": false, "error": error, "kind": kind }))
}

/// Round trips one after the other, ms.
async fn pings(wire: &Wire, config: &RedisConfig) -> Result<Json, Fault> {
    let mut times = Vec::with_capacity(PINGS);
    let began = Instant::now();
    while times.len() < PINGS && (times.len() < 3 || began.elapsed() < PINGING) {
        let sent = Instant::now();
        let replies = wire
            .send(redis::pipe().cmd("PING"), &mut Budget::new(config.connect_timeout))
            .await?;
        if let Some(error) = facts::error(&replies[0]) {
            return Ok(json!({ "error": error }));
        }
        times.push(sent.elapsed());
    }
    times.sort_unstable();
    let at = |share: f64| ms(times[((times.len() - 1) as f64 * share).round() as usize]);
    Ok(json!({ "count": times.len(), "p50": at(0.5), "p99": at(0.99), "max": at(1.0) }))
}

/// Who the server is, from INFO; `CONFIG GET` where INFO tells no policy.
async fn server(wire: &Wire, config: &RedisConfig) -> Result<Json, Fault> {
    let mut pipeline = redis::pipe();
    for section in ["server", "replication", "memory", "cluster"] {
        pipeline.cmd("INFO").arg(section);
    }
    pipeline.cmd("CONFIG").arg("GET").arg("maxmemory-policy");
    let replies = wire.send(&pipeline, &mut Budget::new(config.connect_timeout)).await?;
    if let Some(error) = facts::error(&replies[0]) {
        return Ok(json!({ "error": error }));
    }
    let info = Info::of(&replies[..4]);
    Ok(json!({
        "version": info.get("valkey_version").or(info.get("redis_version")),
        "product": info.get("server_name").unwrap_or("redis"),
        "mode": info.get("redis_mode").or(info.get("server_mode")),
        "isCluster": info.get("cluster_enabled") == Some("1"),
        "role": info.get("role"),
        "hasRunId": info.get("run_id").is_some() && info.get("master_replid").is_some(),
        "replicas": info.number("connected_slaves"),
        "isLoading": info.get("loading") == Some("1"),
        "memoryUsed": info.number("used_memory"),
        "memoryMax": info.number("maxmemory"),
        "policy": info.get("maxmemory_policy").map(ToOwned::to_owned).or_else(|| policy(&replies[4])),
    }))
}

fn policy(reply: &Value) -> Option<String> {
    match reply {
        Value::Map(pairs) => facts::text(&pairs.first()?.1),
        Value::Array(parts) => facts::text(parts.get(1)?),
        _ => None,
    }
}

/// The server's clock minus this machine's, ms, taken at the middle of the round trip.
async fn clock(wire: &Wire, config: &RedisConfig) -> Result<Json, Fault> {
    let sent = SystemTime::now();
    let replies = wire
        .send(redis::pipe().cmd("TIME"), &mut Budget::new(config.connect_timeout))
        .await?;
    if let Some(error) = facts::error(&replies[0]) {
        return Ok(json!({ "error": error }));
    }
    let micros = |time: SystemTime| {
        time.duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_micros() as i64)
    };
    let here = i64::midpoint(micros(sent), micros(SystemTime::now()));
    Ok(json!({ "offset": facts::time(&replies[0]).map(|there| (there - here) / 1_000) }))
}

/// Each command that is needed, tried alone: `[{ name, error }]`, error null where it is allowed.
async fn commands(
    wire: &Wire,
    (keys, slots): (&RedisKeys, Slots<'_>),
    config: &RedisConfig,
    is_cluster: bool,
) -> Result<Json, Fault> {
    let scratch = Scratch::new(keys, slots);
    let of_clusters = if is_cluster { CLUSTER_TRIALS } else { &[] };
    let mut pipeline = redis::pipe();
    for trial in TRIALS.iter().chain(of_clusters) {
        pipeline.add_command(command(trial, &scratch));
    }
    let replies = wire.send(&pipeline, &mut Budget::new(config.connect_timeout)).await?;
    scratch.remove(wire, &mut Budget::new(config.connect_timeout)).await;
    let trials = TRIALS.iter().chain(of_clusters);
    let told = trials.zip(&replies).map(|(trial, reply)| {
        let error = facts::error(reply).filter(|error| !error.starts_with("NOSCRIPT"));
        json!({ "name": trial.name, "error": error })
    });
    Ok(told.collect())
}

fn command(trial: &Trial, scratch: &Scratch) -> redis::Cmd {
    let (verb, rest) = trial.words.split_first().expect("a trial has a verb");
    let mut command = redis::cmd(verb);
    let rest = match rest.split_first() {
        // Of a command with a subcommand the key is the third word.
        Some((sub, rest)) if trial.on == On::Text && trial.name.contains('|') => {
            command.arg(*sub);
            rest
        }
        _ => rest,
    };
    match trial.on {
        On::Nothing => {}
        On::Text => {
            command.arg(&scratch.entry);
        }
        On::Sorted => {
            command.arg(&scratch.rules);
        }
    }
    for word in rest {
        command.arg(*word);
    }
    command
}

/// What an engine makes of it: the very code that an application runs.
async fn session(config: &RedisConfig, keys: &RedisKeys, slots: Slots<'_>) -> Json {
    let config = RedisConfig {
        coherence: CoherenceMode::Auto,
        ..config.clone()
    };
    let connecting = Session::connect(&config, keys, &SystemClock, Arc::new(|_| {}), Canaries::Within(slots));
    match tokio::time::timeout(config.connect_timeout, connecting).await {
        Ok(Ok(session)) => json!({
            "isTracking": session.coherence.is_some(),
            "refused": session.tracking_refused,
        }),
        Ok(Err(fault)) => json!({ "error": fault.to_string() }),
        Err(_) => json!({ "error": Fault::Timeout.to_string() }),
    }
}
