//! Faults that a build with the feature `mutations` can switch on, each in one place of the real code.
//!
//! They exist to show that the simulator notices (`tests/mutations.rs`). Without the feature every question is
//! answered by a constant and nothing of this is in the program.

/// A fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutation {
    /// A publication is not delivered to the last of several interested shards.
    SkipShard,
    /// The last item of a batch is lost when the batch is handed over.
    DropLastOfBatch,
    /// Recovery begins one publication too late.
    RecoverTooFar,
    /// Recovery brings publications that the subscriber's filter does not want.
    RecoverUnfiltered,
    /// A subscriber gets a patch though it has not seen the publication before.
    PatchAtOnce,
    /// A filter lets everything through.
    IgnoreFilter,
    /// The recovered publications of a subscriber with delta are patches against the first of them.
    PatchAgainstFirst,
    /// The home forgets to tell of a leave.
    ForgetLeave,
    /// Recovery of the newest publication brings the oldest one.
    RecoverOldest,
    /// A subscription that begins with the connection does not recover.
    ForgetServerSideRecovery,
    /// A client of a map goes live though changes that it missed are gone.
    MapGoesLiveAnyway,
    /// Going live on a map leaves out the last change that was missed.
    MapForgetsMissed,
    /// Keys of a map that expire are recorded and not told.
    MapExpiresSilently,
    /// A page of a map shows keys that changed since the first page.
    MapPageOfNow,
    /// Messages come again after a while without, and nobody is told.
    ResumeSilently,
    /// A home takes a broker's message though it has it.
    DeliverTwice,
    /// A home takes a broker's message though there is a gap before it.
    PassOverGap,
    /// A home believes that a stream is the one that it knows though other publications stand there.
    TrustOffsets,
    /// The same of a map.
    TrustMapOffsets,
    /// A subscriber of a brokered channel does not get what came between the read of the stream and its answer.
    ForgetSince,
    /// A subscriber of a brokered channel is told what a read found that began before it came, whatever that is.
    ShareAnyRead,
    /// The key of a client that leaves stays in the map that mirrors the channel.
    MapKeepsWhoLeft,
    /// Users are not named in the map that mirrors them.
    MapForgetsUser,
    /// A map that is cleared loses its keys and stays the same map.
    MapClearsInPlace,
    /// A version of a tracked key is not told again to whoever begins to track it.
    PollForgetsWanted,
    /// A key that nobody tracks any more stays at its home.
    PollKeepsKey,
    /// Keys are told as patches to whatever data the backend sends along.
    PollPatchesAnything,
    /// A shared-poll channel is forgotten though it has subscribers who were told its epoch.
    PollForgetsSubscribers,
    /// A client that tracked nothing when versions became void goes on with them.
    PollMissesReset,
    /// Keys are told to whoever has them already.
    PollTellsAgain,
}

#[cfg(feature = "mutations")]
mod switch {
    use super::Mutation;
    use std::cell::Cell;

    thread_local! {
        static ON: Cell<Option<Mutation>> = const { Cell::new(None) };
    }

    /// Switches one fault on for this thread, or all of them off.
    pub fn switch(mutation: Option<Mutation>) {
        ON.set(mutation);
    }

    /// Whether the fault is on.
    pub fn is_on(mutation: Mutation) -> bool {
        ON.get() == Some(mutation)
    }
}

#[cfg(feature = "mutations")]
pub use switch::{is_on, switch};

/// Whether the fault is on: never, in this build.
#[cfg(not(feature = "mutations"))]
#[inline(always)]
pub const fn is_on(_: Mutation) -> bool {
    false
}
