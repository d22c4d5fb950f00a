//! Fan-out: who is subscribed on this shard, pushes encoded once per variant, and what each connection is owed.

pub mod delta;
pub mod filters;
pub mod frame;
pub mod hub;
pub mod key_variant;
pub mod member;
pub mod outbox;
pub mod tailor;
pub mod variant;

pub use delta::DeltaVariants;
pub use filters::Filters;
pub use frame::{Frame, FrameBuilder};
pub use hub::{Continuity, Hub, LocalChannel};
pub use member::{Member, MemberFlags, MemberId};
pub use outbox::{Outbox, Pool};
pub use tailor::Form;
pub use variant::Variants;
