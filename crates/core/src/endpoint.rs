//! What the engines of one process know of one server together: it is silent.
//!
//! A page may read from several namespaces. Each engine has connections of its own; without this each would find out by a
//! wait of its own. What one has found opens the breakers of all, and each closes its own by a probe of its own: where
//! the silence was that of one connection, it takes the others a round trip.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use crate::link::Link;

static LINKS: LazyLock<Mutex<HashMap<String, Vec<Weak<Link>>>>> = LazyLock::new(Mutex::default);

/// A link that begins to connect. If the server is known to be silent, so does this one from its start.
pub fn join(link: &Arc<Link>) {
    let mut links = links();
    links.retain(|_, list| {
        list.retain(|link| link.strong_count() > 0);
        !list.is_empty()
    });
    let list = links.entry(name(link)).or_default();
    let is_silent = |other: Arc<Link>| other.breaker.is_open();
    if list.iter().filter_map(Weak::upgrade).any(is_silent) {
        link.breaker.trip();
    }
    list.push(Arc::downgrade(link));
}

/// A link whose engine is closed: what it believed is of no use to others.
pub fn leave(link: &Arc<Link>) {
    if let Some(list) = links().get_mut(&name(link)) {
        list.retain(|other| !std::ptr::eq(other.as_ptr(), Arc::as_ptr(link)));
    }
}

/// Not a byte came for a whole budget: nobody waits for this server until it has answered.
pub fn is_silent(link: &Link) {
    if !link.breaker.trip() {
        return;
    }
    link.wake.notify_one();
    let others: Vec<Arc<Link>> = {
        let links = links();
        let list = links.get(&name(link)).into_iter().flatten();
        list.filter_map(Weak::upgrade).collect()
    };
    for other in others {
        if other.breaker.trip() {
            other.wake.notify_one();
        }
    }
}

fn name(link: &Link) -> String {
    link.config.endpoint()
}

fn links() -> MutexGuard<'static, HashMap<String, Vec<Weak<Link>>>> {
    LINKS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Address, CoherenceMode, RedisConfig};

    fn link_to(host: &str) -> Arc<Link> {
        let link = Arc::new(Link::new(RedisConfig {
            address: Address::Tcp {
                host: host.into(),
                port: 1,
                tls: None,
            },
            nodes: Vec::new(),
            username: None,
            password: None,
            db: 0,
            connect_timeout: Duration::ZERO,
            command_timeout: Duration::ZERO,
            max_unverified: Duration::ZERO,
            isolated: None,
            coherence: CoherenceMode::None,
            sentinels: None,
            integrity_key: None,
            max_entry_bytes: 8 << 20,
        }));
        join(&link);
        link
    }

    #[test]
    fn what_one_link_finds_out_about_a_server_holds_for_all_links_to_it_and_for_no_other() {
        let [one, same, other] = ["a.test", "A.test", "b.test"].map(link_to);

        is_silent(&one);

        assert!(one.breaker.is_open() && same.breaker.is_open());
        assert!(!other.breaker.is_open());
        assert!(
            link_to("a.test").breaker.is_open(),
            "nor does a link that begins now wait"
        );
    }

    #[test]
    fn a_link_that_was_closed_in_an_outage_tells_nothing_to_those_that_begin_after_it() {
        let closed = link_to("d.test");
        is_silent(&closed);

        leave(&closed);

        assert!(!link_to("d.test").breaker.is_open());
    }

    #[test]
    fn each_link_closes_its_own_breaker() {
        let [one, same] = ["c.test", "c.test"].map(link_to);
        is_silent(&one);

        same.breaker.probed(true);

        assert!(one.breaker.is_open());
        assert!(!same.breaker.is_open());
    }
}
