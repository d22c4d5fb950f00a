//! What a channel's name and a publication's payload must be, resolved against `channel.*`.
//!
//! Upstream: centrifugo internal/config/{container,format}.go and `validChannelName` of
//! internal/client/handler.go. Every function only looks; which error follows is the caller's decision.

use crate::config::snapshot::{ChannelOptions, Channels, DataFormat};
use crate::protocol::json;

/// The options of the namespace that the name lies in; `None` when that namespace is not configured
/// (error 102). Names without a namespace, and those with an empty one (`:x`), use `without_namespace`.
pub fn options<'c>(channels: &'c Channels, name: &str) -> Option<&'c ChannelOptions> {
    match split(channels, name) {
        Some((namespace, _)) if !namespace.is_empty() => channels.namespaces.get(namespace),
        _ => Some(&channels.without_namespace),
    }
}

/// Milliseconds that a client may take to read the channel's map page by page; none = any time.
pub fn map_catch_up_timeout_ms(channels: &Channels, name: &str) -> Option<u64> {
    options(channels, name).map_or(Some(0), |options| options.map_rules.catch_up_timeout_ms)
}

/// Whether a subscription needs a subscription token: the name starts with `private_prefix`.
pub fn is_private(channels: &Channels, name: &str) -> bool {
    !channels.private_prefix.is_empty() && name.starts_with(&*channels.private_prefix)
}

/// Whether the name carries a list of users. The list counts only where `allow_user_limited_channels` is on.
pub fn is_user_limited(channels: &Channels, name: &str) -> bool {
    !channels.user_boundary.is_empty() && name.contains(&*channels.user_boundary)
}

/// Whether the user stands in the list behind the name's last `user_boundary`; true when there is no list.
/// An empty entry is the anonymous user.
///
/// Boundaries are looked for from the left, as upstream does: of `x###1` with the boundary `##`, the list is `#1`.
/// Looking from the right would let in users whom the name does not mean.
pub fn user_allowed(channels: &Channels, name: &str, user: &str) -> bool {
    if !is_user_limited(channels, name) {
        return true;
    }
    let list = name.split(&*channels.user_boundary).last().unwrap_or_default();
    if channels.user_separator.is_empty() {
        return list == user;
    }
    list.split(&*channels.user_separator).any(|entry| entry == user)
}

/// Whether the name fits: `channel_regex` on the part behind the namespace, or ASCII only where no regex is
/// set. `options` are those of [`options`] for the same name. Checked on client subscribe and publish, not
/// for the server API; the length is another rule, see [`is_too_long`].
pub fn is_valid_name(channels: &Channels, options: &ChannelOptions, name: &str) -> bool {
    match &options.channel_regex {
        Some(regex) => regex.is_match(split(channels, name).map_or(name, |(_, rest)| rest)),
        None => name.is_ascii(),
    }
}

/// Whether the name exceeds `channel.max_length` bytes. Checked on client subscribe alone.
pub fn is_too_long(channels: &Channels, name: &str) -> bool {
    channels.max_length > 0 && name.len() > channels.max_length
}

/// Whether the payload is what the namespace's `publication_data_format` asks for.
pub fn check_data(format: DataFormat, data: &[u8]) -> bool {
    match format {
        DataFormat::Any => !data.is_empty(),
        DataFormat::Json => json::is_valid(data),
        DataFormat::JsonObject => json::is_object(data),
        DataFormat::Binary => true,
    }
}

/// Namespace and rest. A name without a boundary has no namespace and is its own rest, private prefix included.
fn split<'n>(channels: &Channels, name: &'n str) -> Option<(&'n str, &'n str)> {
    if channels.namespace_boundary.is_empty() {
        return None;
    }
    name.strip_prefix(&*channels.private_prefix).unwrap_or(name).split_once(&*channels.namespace_boundary)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::config::pattern;

    fn channels() -> Channels {
        let chat = ChannelOptions { presence: true, ..ChannelOptions::default() };
        let digits = ChannelOptions {
            channel_regex: Some(pattern::compile("^[0-9é]+$").unwrap()),
            ..ChannelOptions::default()
        };
        Channels {
            max_length: 8,
            private_prefix: "$".into(),
            namespace_boundary: ":".into(),
            user_boundary: "#".into(),
            user_separator: ",".into(),
            history_meta_ttl_s: 0,
            publication_data_format: DataFormat::Any,
            without_namespace: ChannelOptions { join_leave: true, ..ChannelOptions::default() },
            namespaces: HashMap::from([("chat".into(), chat), ("digits".into(), digits)]),
        }
    }

    /// Which options a name gets: `-` without namespace, `chat`, `digits`, or `102`.
    fn resolved(channels: &Channels, name: &str) -> &'static str {
        match options(channels, name) {
            None => "102",
            Some(options) if options.join_leave => "-",
            Some(options) if options.presence => "chat",
            Some(_) => "digits",
        }
    }

    #[test]
    fn a_namespace_is_the_text_before_the_first_boundary() {
        for (name, expected) in [
            ("news", "-"),
            ("$news", "-"),
            ("chat:1", "chat"),
            ("chat:", "chat"),
            ("chat:a:b", "chat"),
            ("$chat:1", "chat"),
            ("$$chat:1", "102"),
            (":x", "-"),
            ("$:x", "-"),
            ("other:1", "102"),
            ("Chat:1", "102"),
            ("chat", "-"),
            ("", "-"),
        ] {
            assert_eq!(resolved(&channels(), name), expected, "{name}");
        }
    }

    #[test]
    fn without_a_boundary_there_are_no_namespaces() {
        let channels = Channels { namespace_boundary: "".into(), ..channels() };
        assert_eq!(resolved(&channels, "other:1"), "-");
    }

    #[test]
    fn the_private_prefix_can_be_switched_off() {
        let on = channels();
        assert!(is_private(&on, "$a") && is_private(&on, "$") && !is_private(&on, "a$"));
        let off = Channels { private_prefix: "".into(), ..channels() };
        assert!(!is_private(&off, "$a"));
        assert_eq!(resolved(&off, "$chat:1"), "102");
    }

    #[test]
    fn users_stand_behind_the_last_boundary() {
        for (name, user, limited, allowed) in [
            ("dialog", "1", false, true),
            ("dialog#1", "1", true, true),
            ("dialog#1", "11", true, false),
            ("dialog#1,2", "2", true, true),
            ("dialog#1, 2", "2", true, false),
            ("dialog#1#2", "1", true, false),
            ("dialog#1#2", "2", true, true),
            ("#,x", "", true, true),
            ("#x", "", true, false),
            ("dialog#", "", true, true),
        ] {
            assert_eq!(is_user_limited(&channels(), name), limited, "{name}");
            assert_eq!(user_allowed(&channels(), name, user), allowed, "{name} for {user:?}");
        }
        let no_separator = Channels { user_separator: "".into(), ..channels() };
        assert!(user_allowed(&no_separator, "a#1,2", "1,2") && !user_allowed(&no_separator, "a#1,2", "1"));
        let no_boundary = Channels { user_boundary: "".into(), ..channels() };
        assert!(!is_user_limited(&no_boundary, "a#1") && user_allowed(&no_boundary, "a#1", "2"));
    }

    /// Each row as the functions of upstream's internal/config/container.go answer it.
    #[test]
    fn separators_of_several_characters_are_found_from_the_left() {
        let channels = Channels {
            private_prefix: "$$".into(),
            namespace_boundary: "::".into(),
            user_boundary: "##".into(),
            user_separator: ",,".into(),
            ..channels()
        };
        for (name, user, limited, allowed) in [
            ("x##1", "1", true, true),
            ("x###1", "1", true, false),
            ("x###1", "#1", true, true),
            ("x####1", "1", true, true),
            ("x#####1", "1", true, false),
            ("x#####1", "#1", true, true),
            ("x##1##", "", true, true),
            ("x##1##", "1", true, false),
            ("x##1###", "#", true, true),
            ("x#1", "2", false, true),
            ("x##1,,2", "1", true, true),
            ("x##1,,2", "2", true, true),
            ("x##1,2", "1", true, false),
            ("x##1,2", "1,2", true, true),
            ("x##1,,,2", "2", true, false),
            ("x##1,,,2", ",2", true, true),
            ("x##1,,,,2", "", true, true),
        ] {
            assert_eq!(is_user_limited(&channels, name), limited, "{name}");
            assert_eq!(user_allowed(&channels, name, user), allowed, "{name} for {user:?}");
        }
        for (name, private, namespace, rest) in [
            ("$$chat::1", true, "chat", Some("1")),
            ("$chat::1", false, "102", Some("1")),
            ("$$$chat::1", true, "102", Some("1")),
            ("chat:::1", false, "chat", Some(":1")),
            ("chat::::1", false, "chat", Some("::1")),
            ("chat:1", false, "-", None),
            (":::x", false, "-", Some(":x")),
            ("$$::x", true, "-", Some("x")),
        ] {
            assert_eq!(is_private(&channels, name), private, "{name}");
            assert_eq!(resolved(&channels, name), namespace, "{name}");
            assert_eq!(split(&channels, name).map(|(_, rest)| rest), rest, "{name}");
        }
    }

    #[test]
    fn a_name_is_ascii_or_fits_the_regex() {
        let channels = channels();
        for (name, expected) in [
            ("plain \t\u{7f}", true),
            ("é", false),
            ("digits:12", true),
            ("$digits:12", true),
            ("digits:1é", true),
            ("digits:1:2", false),
            ("digits:", false),
        ] {
            let options = options(&channels, name).unwrap();
            assert_eq!(is_valid_name(&channels, options, name), expected, "{name}");
        }
    }

    #[test]
    fn a_regex_without_namespace_sees_the_whole_name() {
        let mut channels = channels();
        channels.without_namespace.channel_regex = Some(pattern::compile(r"^\$a$").unwrap());
        assert!(is_valid_name(&channels, &channels.without_namespace, "$a"));
        assert!(!is_valid_name(&channels, &channels.without_namespace, "a"));
    }

    #[test]
    fn length_is_counted_in_bytes() {
        assert!(!is_too_long(&channels(), "12345678"));
        assert!(is_too_long(&channels(), "1234567é"));
        assert!(!is_too_long(&Channels { max_length: 0, ..channels() }, "123456789"));
    }

    #[test]
    fn payloads_keep_to_the_format() {
        use DataFormat::{Any, Binary, Json, JsonObject};
        for (format, data, expected) in [
            (Any, "", false),
            (Any, "null", true),
            (Any, "{broken", true),
            (Json, "", false),
            (Json, " [1] ", true),
            (Json, "1 2", false),
            (JsonObject, " {\"a\":1}\n", true),
            (JsonObject, "[]", false),
            (JsonObject, "{", false),
            (Binary, "", true),
            (Binary, "\u{0}", true),
        ] {
            assert_eq!(check_data(format, data.as_bytes()), expected, "{format:?} {data:?}");
        }
    }
}
