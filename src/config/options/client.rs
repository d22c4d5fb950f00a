//! `client`: rules of client connections.

use super::proxy::{CLIENT_PROXIES, TO_DISCONNECT};
use crate::config::option::{Opt, duration, inline, int, int_in, list, section, switch, text, texts};

const U32: i64 = u32::MAX as i64;

/// Keys and claims of tokens.
pub const TOKEN: &[Opt] = &[
    text("hmac_secret_key", "", "Secret that signs tokens with HMAC.").live(),
    text("hmac_previous_secret_key", "", "Former HMAC secret, still accepted while secrets are rotated.").live(),
    int(
        "hmac_previous_secret_key_valid_until",
        "",
        "Unix time until which the former secret is accepted; 0 means always.",
    )
    .live(),
    text("rsa_public_key", "", "RSA public key that verifies tokens, as PEM text.").live(),
    text("ecdsa_public_key", "", "ECDSA public key that verifies tokens, as PEM text.").live(),
    text("jwks_public_endpoint", "", "Address of a JSON Web Key Set to verify tokens with.").live(),
    text("audience", "", "Audience that tokens must name.").live(),
    text("audience_regex", "", "Pattern that an audience of the token must match.").live(),
    text("issuer", "", "Issuer that tokens must name.").live(),
    text("issuer_regex", "", "Pattern that the issuer of the token must match.").live(),
    text("user_id_claim", "", "Claim that holds the user ID in place of sub.").live(),
    switch("insecure_skip_jwks_endpoint_safety_check", "Allow patterns in the key set address that match too much.")
        .live(),
];

const SUBSCRIPTION_TOKEN: &[Opt] =
    &[switch("enabled", "Verify subscription tokens with keys of their own.").live(), inline(TOKEN)];

const PERSONAL_CHANNEL: &[Opt] = &[
    switch("enabled", "Subscribe each user to a channel of their own when connecting.").live(),
    text("personal_channel_namespace", "", "Namespace of personal channels; empty means none.").live(),
    switch("single_connection", "Keep only the newest connection of a user; needs presence in that namespace.").live(),
];

const UNI_TRANSFORM: &[Opt] = &[
    int_in("code", 0, U32, "", "Error code of connect."),
    section("to", TO_DISCONNECT, "Disconnect sent in its place."),
];

const UNI_DISCONNECT: &[Opt] = &[
    switch("enabled", "Map error codes of connect to disconnects for unidirectional clients."),
    list("transforms", UNI_TRANSFORM, "The mapping."),
];

/// `client.*`.
pub const CLIENT: &[Opt] = &[
    section("proxy", CLIENT_PROXIES, "Questions to the backend about connections."),
    texts("allowed_origins", "", "Origins of web pages that may connect, with * as wildcard; empty allows none.")
        .live(),
    section("token", TOKEN, "Verification of connection tokens, and of subscription tokens unless separate."),
    section("subscription_token", SUBSCRIPTION_TOKEN, "Verification of subscription tokens."),
    switch("allow_anonymous_connect_without_token", "Let clients without token connect as anonymous users.").live(),
    switch("disallow_anonymous_connection_tokens", "Refuse connection tokens of anonymous users.").live(),
    duration("ping_interval", "25s", "Pause between two pings to a client; must be longer than pong_timeout.").live(),
    duration("pong_timeout", "8s", "How long a client may take to answer a ping; negative means that it need not.")
        .live(),
    duration("expired_close_delay", "25s", "Time for an expired connection to be refreshed before it is closed.")
        .live(),
    duration("expired_sub_close_delay", "25s", "Time for an expired subscription to be refreshed before it ends.")
        .live(),
    duration("stale_close_delay", "10s", "Time for a new connection to send its connect command.").live(),
    int("channel_limit", "128", "Most channels that one connection may subscribe to.").live(),
    int("queue_max_size", "1048576", "Most bytes queued for a slow client before it is disconnected.").live(),
    duration("presence_update_interval", "27s", "Pause between two refreshes of a client's presence entries.").live(),
    int("concurrency", "", "Commands of one client that may be processed at the same time."),
    duration("channel_position_check_delay", "40s", "Pause between two checks that a client lost no publication.")
        .live(),
    duration(
        "channel_position_max_time_lag",
        "",
        "Age of a publication at which a position counts as lost; 0 means never.",
    )
    .live(),
    int("connection_limit", "", "Most connections to this node; 0 means no limit.").live(),
    int("user_connection_limit", "", "Most connections of one user to this node; 0 means no limit.").live(),
    int("connection_rate_limit", "", "Most new connections to this node in a second; 0 means no limit.").live(),
    switch("connect_include_server_time", "Tell clients the server's time when they connect.").live(),
    int("history_max_publication_limit", "300", "Most publications in one history reply to a client.").live(),
    int("recovery_max_publication_limit", "300", "Most publications that a client can recover.").live(),
    switch("insecure_skip_token_signature_verify", "Believe tokens without checking their signature.").live(),
    text("user_id_http_header", "", "HTTP header, set by a trusted proxy, that holds the user ID.").live(),
    switch("insecure", "Allow clients everything without tokens; for development only.").live(),
    section("subscribe_to_user_personal_channel", PERSONAL_CHANNEL, "Personal channels of users."),
    section("connect_code_to_unidirectional_disconnect", UNI_DISCONNECT, "Disconnects of unidirectional clients."),
];
