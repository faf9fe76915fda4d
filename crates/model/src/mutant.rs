//! The protocol with one rule taken out.
//!
//! A model that finds nothing proves nothing until it finds what was put in: each mutant must be caught.

macro_rules! mutants {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// One rule of the protocol left out or done wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Mutant {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Mutant {
            pub const ALL: &'static [(Mutant, &'static str)] = &[$((Mutant::$name, stringify!($name)),)+];
        }
    };
}

mutants! {
    /// FILL writes whatever L holds.
    FillWithoutLeaseCheck,
    /// `invalidate` does not bump again when Redis has answered.
    NoSecondBump,
    /// `invalidate` does not bump again when it gives up and queues.
    NoBumpWhenQueued,
    /// A memory entry is served without comparing its stamp with the epochs.
    NoEpochCheckAtRead,
    /// `basis` is the time a beat's answer was seen, not the time it was sent.
    BasisIsReceiptTime,
    /// A memory entry is served however old its proof is.
    NoCoherenceBound,
    /// A bump leaves loads in flight joinable.
    NoDetach,
    /// A stale bump leaves loads in flight joinable.
    StaleDoesNotDetach,
    /// A load with tags unknown so far stays joinable after a tag was bumped.
    JoinDespiteTagBump,
    /// The version table survives `chan++`.
    VersionsKeptOverRearm,
    /// `chan++` happens before TRACKING is answered.
    ChanBumpBeforeTracking,
    /// The version of a tag is chosen by the client, once for all its attempts.
    ClientChosenVersion,
    /// The versions a load is stored under are read after the loader ran.
    TagSnapshotAfterLoad,
    /// A load is joined however old it is and however deaf the process.
    JoinWhileIncoherent,
    /// A load from before `chan++` is joined once the channel is proven again.
    JoinAcrossArming,
    /// The version table is believed without a recent basis.
    TableWhileIncoherent,
    /// A fetched version enters the table even if its tag was bumped meanwhile.
    TagInstallUnchecked,
    /// INVALIDATE of a key leaves L alone.
    InvalidateKeepsLease,
    /// Redis is read although invalidations are queued.
    JournalNotFirst,
    /// Queued invalidations are never sent.
    JournalDropped,
    /// The reign is not compared.
    ReignIgnored,
    /// Tags named by the loader: no round trip on the coherence connection before the check.
    DynamicTagsWithoutBarrier,
    /// Tags named by the loader: no check after the barrier.
    DynamicTagsWithoutCheck,
    /// A peer's stale push changes nothing.
    StalePushIgnored,
    /// A stale push between a load's start and its insert is forgotten.
    MarkInsideFillIgnored,
    /// STALE of a key does not set the mark byte.
    NoMarkByte,
    /// `set` sends FILL behind a TAKE that was not answered.
    LateTakeFilled,
    /// `set` does not check its tags when TAKE is answered.
    SetWithoutTagCheck,
    /// A load is stored under versions from the table, not under those read with its grant.
    LoadStampedByTable,
    /// An entry accepted by the table counts as proven when it was read, not when the table was.
    ProofIgnoresBasis,
    /// An F of another process counts as no lease at all.
    FailureIsNoLease,
    /// A lease granted over one's own F looks to others like any lease.
    RetryLooksLikeAnyLease,
    /// An entry is condemned by a version from the table.
    CondemnByTable,
    /// READ hands out the entry it was told is bad.
    BadIgnored,
    /// A waiter trusts the wake-up push alone.
    NoTimerBesideWakeUp,
}

impl Mutant {
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, known)| known.eq_ignore_ascii_case(name))?;
        Some(found.0)
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(mutant, _)| *mutant == self);
        found.map_or("", |(_, name)| name)
    }
}
