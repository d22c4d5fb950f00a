//! Rules of channels and namespaces.

use crate::config::error::Error;
use crate::config::pattern;
use crate::config::snapshot::{ChannelOptions, Channels, DataFormat, HistoryOptions, Proxies, SubscriptionType};
use crate::config::value::Section;

/// Makes the channel part of the snapshot.
pub fn channels(root: &Section, proxies: &Proxies) -> Result<Channels, Error> {
    let options = root.section("channel");
    let general = General {
        proxies,
        history_meta_ttl_s: match seconds(options, "history_meta_ttl") {
            // Only a zero from the environment gets here; the reference then keeps thirty days.
            0 => 30 * 24 * 3600,
            seconds => seconds,
        },
        data_format: data_format(options.text("publication_data_format")),
    };
    let mut namespaces = std::collections::HashMap::new();
    for namespace in options.list("namespaces") {
        let name = namespace.text("name");
        let path = format!("channel.namespaces.{name}");
        namespaces.insert(Box::from(name), channel_options(namespace, &path, &general)?);
    }
    Ok(Channels {
        max_length: match options.int("max_length") {
            0 => 255,
            // What is negative is no bound, and 0 stands for that from here on.
            length => usize::try_from(length).unwrap_or(0),
        },
        private_prefix: options.text("private_prefix").into(),
        namespace_boundary: options.text("namespace_boundary").into(),
        user_boundary: options.text("user_boundary").into(),
        user_separator: options.text("user_separator").into(),
        history_meta_ttl_s: general.history_meta_ttl_s,
        publication_data_format: general.data_format,
        without_namespace: channel_options(
            options.section("without_namespace"),
            "channel.without_namespace",
            &general,
        )?,
        namespaces,
    })
}

/// What namespaces fall back to.
struct General<'p> {
    proxies: &'p Proxies,
    history_meta_ttl_s: u32,
    data_format: DataFormat,
}

fn channel_options(options: &Section, path: &str, general: &General<'_>) -> Result<ChannelOptions, Error> {
    let channel_regex = match options.text("channel_regex") {
        "" => None,
        regex => {
            let compiled = pattern::compile(regex);
            Some(compiled.map_err(|problem| Error::invalid(format!("{path}.channel_regex"), problem))?)
        }
    };
    let streamed = options.bool("subscribe_stream_proxy_enabled");
    Ok(ChannelOptions {
        subscribe_proxied: options.bool("subscribe_proxy_enabled") || streamed,
        publish_proxied: options.bool("publish_proxy_enabled") || streamed,
        presence: options.bool("presence"),
        join_leave: options.bool("join_leave"),
        force_push_join_leave: options.bool("force_push_join_leave"),
        history: HistoryOptions {
            size: options.int("history_size").clamp(0, i64::from(u32::MAX)) as u32,
            ttl_s: seconds(options, "history_ttl"),
            meta_ttl_s: match seconds(options, "history_meta_ttl") {
                0 => general.history_meta_ttl_s,
                seconds => seconds,
            },
        },
        force_positioning: options.bool("force_positioning"),
        allow_positioning: options.bool("allow_positioning"),
        force_recovery: options.bool("force_recovery"),
        allow_recovery: options.bool("allow_recovery"),
        recovery_mode_cache: options.text("force_recovery_mode") == "cache",
        auto_cache_recover: options.bool("auto_cache_recover"),
        allow_tags_filter: options.bool("allow_tags_filter"),
        delta_fossil: options.texts("allowed_delta_types").iter().any(|kind| kind == "fossil"),
        delta_publish: options.bool("delta_publish"),
        allow_subscribe_for_client: options.bool("allow_subscribe_for_client"),
        allow_subscribe_for_anonymous: options.bool("allow_subscribe_for_anonymous"),
        allow_publish_for_client: options.bool("allow_publish_for_client"),
        allow_publish_for_subscriber: options.bool("allow_publish_for_subscriber"),
        allow_publish_for_anonymous: options.bool("allow_publish_for_anonymous"),
        allow_presence_for_client: options.bool("allow_presence_for_client"),
        allow_presence_for_subscriber: options.bool("allow_presence_for_subscriber"),
        allow_presence_for_anonymous: options.bool("allow_presence_for_anonymous"),
        allow_history_for_client: options.bool("allow_history_for_client"),
        allow_history_for_subscriber: options.bool("allow_history_for_subscriber"),
        allow_history_for_anonymous: options.bool("allow_history_for_anonymous"),
        allow_user_limited_channels: options.bool("allow_user_limited_channels"),
        channel_regex,
        publication_data_format: match options.text("publication_data_format") {
            "" => general.data_format,
            format => data_format(format),
        },
        subscription_type: match options.text("subscription_type") {
            "map" => SubscriptionType::Map,
            "map_clients" => SubscriptionType::MapClients,
            "map_users" => SubscriptionType::MapUsers,
            "shared_poll" => SubscriptionType::SharedPoll,
            _ => SubscriptionType::Stream,
        },
        map: super::map::options(options.section("map")),
        poll: super::poll::options(options, path, general.proxies)?,
        map_rules: super::map_rules::rules(options.section("map")),
        map_clients_prefix: options.text("map_clients_presence_channel_prefix").into(),
        map_users_prefix: options.text("map_users_presence_channel_prefix").into(),
    })
}

fn data_format(text: &str) -> DataFormat {
    match text {
        "json" => DataFormat::Json,
        "json_object" => DataFormat::JsonObject,
        "binary" => DataFormat::Binary,
        _ => DataFormat::Any,
    }
}

/// Whole seconds, as validation has made sure; what is negative is 0, what is too long is the longest.
fn seconds(options: &Section, path: &str) -> u32 {
    (options.duration_ns(path).max(0) / 1_000_000_000).min(i64::from(u32::MAX)) as u32
}
