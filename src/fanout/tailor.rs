//! What each member of a channel gets of a publication, where some want delta or have a filter (upstream: hub.go
//! `broadcastPublication`, client.go `writePublicationUpdatePosition`).
//!
//! A patch is made against the publication before, so it is only for members that have seen that one. Upstream lets a
//! filter go unheeded where delta is asked for too, and takes every first publication for a base, also one that is not
//! in the stream; the client could not apply what follows. Here whoever has not seen the base gets the whole.

use super::hub::{Hub, LocalChannel};
use super::member::{Member, MemberFlags};
use crate::base::mutation::{Mutation, is_on};
use crate::channel::publication::Publication;

/// How a member is told of a publication.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// As whoever did not ask for delta.
    Plain,
    /// Whole, as whoever asked for delta.
    Whole,
    /// As a patch against the publication before, if there is one worth sending.
    Patch,
}

impl Hub {
    /// Calls `send` for each member that gets the publication; only those are looked at for which `is_for` holds.
    /// Gives the number of members whose filter kept it from them.
    pub fn tailor(
        &mut self,
        channel: LocalChannel,
        publication: &Publication,
        is_for: impl Fn(MemberFlags) -> bool,
        mut send: impl FnMut(&Member, Form),
    ) -> u64 {
        let (members, filters) = self.members_and_filters(channel);
        filters.begin();
        let mut filtered = 0;
        for member in members {
            let flags = member.flags();
            if !is_for(flags) {
                continue;
            }
            if flags.contains(MemberFlags::FILTERED) && !filters.fits(member.id(), publication.tags()) {
                filtered += 1;
                member.set_seen(false);
                continue;
            }
            let mut form = Form::Plain;
            if flags.contains(MemberFlags::DELTA) {
                // A filter may have kept from the member what a map's key was before.
                let may_lack = publication.entry.is_some() && flags.contains(MemberFlags::FILTERED);
                let has_seen = flags.contains(MemberFlags::SEEN) && !may_lack || is_on(Mutation::PatchAtOnce);
                form = if has_seen { Form::Patch } else { Form::Whole };
                // Without a position nobody can tell whether the next publication follows upon this one.
                member.set_seen(flags.contains(MemberFlags::POSITIONED) && publication.offset > 0);
            }
            send(member, form);
        }
        filtered
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::base::ids::ConnId;
    use crate::channel::filter::Filter;
    use crate::channel::name::ChannelName;
    use crate::channel::publication::Tags;
    use crate::protocol::client::FilterNode;

    fn publication(offset: u64, tag: &str) -> Publication {
        let tags: Tags = Box::new([("k".into(), tag.into())]);
        Publication { tags: Some(Arc::new(tags)), offset, ..Publication::bare(Bytes::new()) }
    }

    /// What one member with these flags gets of publications with these offsets and tags; `-` is nothing.
    #[track_caller]
    fn check(flags: MemberFlags, wants: Option<&str>, came: &[(u64, &str)], expected: &str) {
        let mut hub = Hub::new();
        let channel = hub.retain(&ChannelName::new("a"));
        let filter = wants.map(|wants| {
            let node = FilterNode { key: "k".into(), cmp: "eq".into(), val: wants.into(), ..FilterNode::default() };
            Arc::new(Filter::compile(&node).unwrap())
        });
        let member = hub.join_with(channel, ConnId { slot: 0, generation: 0 }, flags, filter);
        assert_eq!(hub.is_tailored(channel), flags.contains(MemberFlags::DELTA) || wants.is_some());
        let mut got = String::new();
        for (offset, tag) in came {
            let mut form = '-';
            let filtered = hub.tailor(
                channel,
                &publication(*offset, tag),
                |_| true,
                |_, given| {
                    form = match given {
                        Form::Plain => 'p',
                        Form::Whole => 'w',
                        Form::Patch => 'd',
                    };
                },
            );
            assert_eq!(filtered, u64::from(form == '-'));
            got.push(form);
        }
        assert_eq!(got, expected, "{flags:?} {wants:?} {came:?}");
        hub.leave(channel, member);
        assert!(!hub.is_tailored(channel) && hub.filters().is_empty());
    }

    #[test]
    fn whoever_has_not_seen_the_one_before_gets_the_whole() {
        let delta = MemberFlags::DELTA.with(MemberFlags::POSITIONED);
        let three = &[(1, "a"), (2, "b"), (3, "b")];
        check(MemberFlags::POSITIONED, None, three, "ppp");
        check(delta, None, three, "wdd");
        check(delta.with(MemberFlags::SEEN), None, three, "ddd");
        check(MemberFlags::DELTA, None, three, "www");
        check(delta, None, &[(1, "a"), (0, "a"), (2, "a"), (3, "a")], "wdwd");
        check(MemberFlags::NONE, Some("b"), three, "-pp");
        check(delta.with(MemberFlags::SEEN), Some("b"), three, "-wd");
        check(delta, Some("b"), &[(1, "b"), (2, "a"), (3, "b"), (4, "b")], "w-wd");
    }
}
