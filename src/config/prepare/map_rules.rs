//! What clients may do in maps: the built-in defaults.

use crate::config::snapshot::{ClientKey, MapPermission, MapRules};
use crate::config::value::Section;

/// The `map` options of a namespace for sessions; 0 stands for the built-in value. As upstream, a negative bound means none.
pub(super) fn rules(map: &Section) -> MapRules {
    let built_in = MapRules::default();
    let max_page_size = size(map, "max_page_size", built_in.max_page_size);
    MapRules {
        publish: permission(map, "publish"),
        remove: permission(map, "remove"),
        client_key: match map.text("client_key") {
            "client_id" => ClientKey::ClientId,
            "user_id" => ClientKey::UserId,
            _ => ClientKey::Named,
        },
        remove_client_on_unsubscribe: map.bool("remove_client_on_unsubscribe"),
        default_page_size: size(map, "default_page_size", built_in.default_page_size),
        min_page_size: size(map, "min_page_size", built_in.min_page_size),
        max_page_size,
        live_limit: match map.int("live_transition_max_publication_limit") {
            0 => max_page_size,
            limit => u32::try_from(limit).unwrap_or(u32::MAX),
        },
        catch_up_timeout_ms: match map.duration_ns("subscribe_catch_up_timeout") {
            0 => built_in.catch_up_timeout_ms,
            ns => u64::try_from(ns).ok().map(|ns| ns.div_ceil(1_000_000)),
        },
    }
}

fn permission(map: &Section, action: &str) -> MapPermission {
    let is_on = |name: &str| map.bool(&name.replace("ACTION", action));
    MapPermission {
        client: is_on("allow_ACTION_for_client"),
        subscriber: is_on("allow_ACTION_for_subscriber"),
        anonymous: is_on("allow_ACTION_for_anonymous"),
        proxied: is_on("ACTION_proxy_enabled"),
    }
}

fn size(map: &Section, name: &str, default: u32) -> u32 {
    match map.int(name) {
        size if size > 0 => u32::try_from(size).unwrap_or(u32::MAX),
        _ => default,
    }
}
