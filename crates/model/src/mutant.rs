//! The protocol with one rule taken out.
//!
//! A model that finds nothing proves nothing until it finds what was put in: each mutant must be caught.

/// What callers of a history read and invalidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// Keys, tags, the namespace.
    Plain,
    /// The same, while the coherence connection is lost again and again.
    Blinks,
    Patterns,
    /// An entry that is a version of another one's key.
    Versions,
    /// Sources that lag behind their invalidations.
    Settle,
}

macro_rules! mutants {
    ($($focus:ident { $($(#[doc = $doc:literal])+ $name:ident,)+ })+) => {
        /// One rule of the protocol left out or done wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Mutant {
            $($($(#[doc = $doc])+ $name,)+)+
        }

        impl Mutant {
            pub const ALL: &'static [(Mutant, &'static str)] = &[$($((Mutant::$name, stringify!($name)),)+)+];

            /// It takes many histories.
            #[must_use]
            pub fn is_rare(self) -> bool {
                matches!(
                    self,
                    Self::RulesBaseAfterChannel
                        | Self::RangesWithGap
                        | Self::WaitsNotRecovered
                        | Self::JournalForgetsSettle
                )
            }

            /// The histories in which it can be found.
            #[must_use]
            pub fn focus(self) -> Focus {
                match self {
                    $($(Self::$name)|+ => Focus::$focus,)+
                }
            }
        }
    };
}

mutants! {
    Plain {
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
        /// The version of a tag is chosen by the client, once for all its attempts.
        ClientChosenVersion,
        /// The versions a load is stored under are read after the loader ran.
        TagSnapshotAfterLoad,
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
    Blinks {
        /// The version table survives `chan++`.
        VersionsKeptOverRearm,
        /// `chan++` happens before TRACKING is answered.
        ChanBumpBeforeTracking,
        /// A load is joined however old it is and however deaf the process.
        JoinWhileIncoherent,
        /// A load from before `chan++` is joined once the channel is proven again.
        JoinAcrossArming,
        /// The version table is believed without a recent basis.
        TableWhileIncoherent,
        /// An entry accepted by the table counts as proven when it was read, not when the table was.
        ProofIgnoresBasis,
    }
    Patterns {
        /// A load is stored under the number of the latest rule after its loader ran.
        RulesStampAfterLoad,
        /// A beat that tells of new rules moves `basis` before they are applied.
        BasisBeforeRules,
        /// A beat that finds no namespace proves, and its rules are dropped.
        NilNamespaceProves,
        /// After a namespace that was lost only rules that are younger than the new one are applied.
        NewVersionHidesRules,
        /// A rule leaves loads in flight joinable.
        RuleDoesNotDetach,
        /// A memory entry is served without comparing its stamp with later rules.
        NoRuleCheckAtRead,
        /// Of local rules that were dropped nothing is remembered.
        DroppedLocalRulesIgnored,
        /// Rules that are lost count as none.
        LostRulesNotNoticed,
        /// Lost rules begin anew as if there had been none.
        LostRulesForgotten,
        /// An entry may be older than the rules that Redis dropped.
        FloorIgnored,
        /// A process may have missed rules that Redis dropped or lost.
        GapOfRulesIgnored,
        /// An entry is judged by rules up to the number that was known, not by younger ones that were found.
        YoungerRulesIgnored,
        /// What was fetched joins what is known even if there is a gap between them.
        RangesWithGap,
        /// `invalidate` of a pattern does not bump again when Redis has answered.
        NoSecondBumpOfRule,
        /// A pattern that could not be sent is not queued.
        JournalForgetsRules,
        /// A pattern in mode `stale` changes nothing for entries in Redis.
        StaleRuleIgnored,
        /// The push of a rule changes nothing.
        RulePushIgnored,
        /// Nor in a process that nobody reads.
        IdleKeepsBasis,
        /// A namespace that was fetched enters the table even if a rule came meanwhile.
        HeadInstallUnchecked,
        /// The number from which rules are applied is read after `chan++`.
        RulesBaseAfterChannel,
        /// A rule's number may be less than the one before.
        RuleBehindHead,
        /// A rule that is made again keeps its number.
        EqualRuleKeepsNumber,
    }
    Versions {
        /// An invalidation of a key gives no new version to what depends on it.
        VersionsNotRemoved,
        /// A stale one neither.
        VersionsNotStaled,
        /// An entry of a version does not depend on its key's name in memory.
        VersionWithoutKeysSlot,
    }
    Settle {
        /// READ grants leases inside a window.
        ReadIgnoresSettle,
        /// The window of a tag is not seen.
        TagGetIgnoresSettle,
        /// Nor that of a tag that the loader names.
        LateTagIgnoresSettle,
        /// Of a tag that the loader names counts whether it settles when the load ends.
        LateTagJudgedAtEnd,
        /// Leases are granted while a pattern waits.
        WaitsIgnored,
        /// Waits that were dropped, or that the copy does not cover, count as none.
        UnknownWaitsIgnored,
        /// A namespace that is made anew forgets which patterns wait.
        WaitsNotRecovered,
        /// An invalidation without a window ends the one that is open.
        SettleCutShort,
        /// A queued invalidation loses its window.
        JournalForgetsSettle,
        /// A process that loads without Redis knows of no windows.
        NoLocalWindow,
        /// A heartbeat vouches for what was loaded without Redis.
        AloneProvenByBasis,
        /// A load that began in a window is joined after its end.
        JoinAcrossWindow,
    }
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
