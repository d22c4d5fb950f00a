//! Who may do what in a channel, beside subscribing (upstream: centrifugo internal/client/handler.go).

use crate::config::snapshot::{ChannelOptions, MapPermission};

/// What the permission flags of a namespace are held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    /// The user has no name.
    pub(super) is_anonymous: bool,
    /// The connection is subscribed to the channel, or about to be.
    pub(super) is_subscriber: bool,
    /// `client.insecure` opens everything.
    pub(super) is_insecure: bool,
}

impl Claim {
    pub(super) fn may_publish(self, options: &ChannelOptions) -> bool {
        self.is_let_in(
            options.allow_publish_for_client,
            options.allow_publish_for_subscriber,
            options.allow_publish_for_anonymous,
        )
    }

    pub(super) fn may_see_presence(self, options: &ChannelOptions) -> bool {
        self.is_let_in(
            options.allow_presence_for_client,
            options.allow_presence_for_subscriber,
            options.allow_presence_for_anonymous,
        )
    }

    pub(super) fn may_see_history(self, options: &ChannelOptions) -> bool {
        self.is_let_in(
            options.allow_history_for_client,
            options.allow_history_for_subscriber,
            options.allow_history_for_anonymous,
        )
    }

    pub(super) fn may_change_map(self, permission: MapPermission) -> bool {
        self.is_let_in(permission.client, permission.subscriber, permission.anonymous)
    }

    fn is_let_in(self, clients: bool, subscribers: bool, anonymous: bool) -> bool {
        let by_flag = clients || subscribers && self.is_subscriber;
        by_flag && (!self.is_anonymous || anonymous) || self.is_insecure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_add_up() {
        let client = Claim { is_anonymous: false, is_subscriber: false, is_insecure: false };
        let subscriber = Claim { is_subscriber: true, ..client };
        let anonymous = Claim { is_anonymous: true, ..subscriber };
        let insecure = Claim { is_anonymous: true, is_insecure: true, ..client };
        for (clients, subscribers, anonymous_too, expected) in [
            (false, false, false, [false, false, false, true]),
            (true, false, false, [true, true, false, true]),
            (false, true, false, [false, true, false, true]),
            (false, false, true, [false, false, false, true]),
            (true, false, true, [true, true, true, true]),
            (false, true, true, [false, true, true, true]),
        ] {
            let options = ChannelOptions {
                allow_publish_for_client: clients,
                allow_publish_for_subscriber: subscribers,
                allow_publish_for_anonymous: anonymous_too,
                ..ChannelOptions::default()
            };
            let allowed = [client, subscriber, anonymous, insecure].map(|claim| claim.may_publish(&options));
            assert_eq!(allowed, expected, "{clients} {subscribers} {anonymous_too}");
        }
    }

    #[test]
    fn each_permission_has_its_own_flags() {
        let claim = Claim { is_anonymous: false, is_subscriber: false, is_insecure: false };
        let may = |options: &ChannelOptions| {
            [claim.may_publish(options), claim.may_see_presence(options), claim.may_see_history(options)]
        };
        let none = ChannelOptions::default();
        assert_eq!(may(&ChannelOptions { allow_publish_for_client: true, ..none.clone() }), [true, false, false]);
        assert_eq!(may(&ChannelOptions { allow_presence_for_client: true, ..none.clone() }), [false, true, false]);
        assert_eq!(may(&ChannelOptions { allow_history_for_client: true, ..none }), [false, false, true]);
    }
}
