//! The protocol of several masters with one rule taken out: each must be caught.

macro_rules! mutants {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Mutant {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Mutant {
            pub const ALL: &'static [(Mutant, &'static str)] = &[$((Mutant::$name, stringify!($name)),)+];

            #[must_use]
            pub fn by_name(name: &str) -> Option<Self> {
                let found = Self::ALL.iter().find(|(_, known)| known.eq_ignore_ascii_case(name))?;
                Some(found.0)
            }
        }
    };
}

mutants! {
    /// An entry needs the word of its key's master alone.
    BasisOfKeyOnly,
    /// The basis is that of the masters that can be reached now.
    BasisOfThoseUp,
    /// One master's heartbeat vouches for all.
    AnyBeatProves,
    /// Stamps carry the reign of the key's master, and are held against that.
    ReignOfKeysMaster,
    /// A master that is armed anew leaves what it owns proven.
    ArmingRaisesNothing,
    /// A slot that has moved leaves what it held proven.
    MoveRaisesNothing,
    /// A master that is none any more goes on proving what it owned.
    FormerMasterProves,
    /// A slot that has gone and come back leaves what it held proven.
    ReturnRaisesNothing,
    /// The owners of an entry are those of the first map.
    OwnersNotRecomputed,
    /// A master is believed while the others may have replaced it.
    NoMajority,
    /// Of what a heartbeat tells of the cluster the epoch alone is looked at, not which slots have lost their master.
    EpochAlone,
    /// What heartbeats tell of the namespace counts while an invalidation of it is noted.
    HeartbeatsTellUndrained,
    /// What they told of it counts however long ago that was.
    KnownForEver,
}
