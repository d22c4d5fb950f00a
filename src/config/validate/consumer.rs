//! Rules of consumers.

use crate::config::error::Error;
use crate::config::value::{Section, Value};

/// What a kind of consumer cannot do without: its section, and the options that must not be empty.
///
/// The reference also asks for the option that names the channels in publication data mode; it has a default and so
/// cannot be empty.
const KINDS: [(&str, &[&str]); 7] = [
    ("postgresql", &["dsn", "outbox_table_name"]),
    ("kafka", &["brokers", "topics", "consumer_group"]),
    ("nats_jetstream", &["stream_name", "durable_consumer_name"]),
    ("google_pub_sub", &["project_id", "subscriptions"]),
    ("aws_sqs", &["queues"]),
    ("azure_service_bus", &["queues"]),
    ("redis_stream", &["address", "streams", "consumer_group"]),
];

/// Checks all consumers; what a consumer needs only when it is enabled.
pub fn all(options: &Section) -> Result<(), Error> {
    let mut seen = Vec::new();
    for (index, consumer) in options.list("consumers").iter().enumerate() {
        let (name, at) = (consumer.text("name"), format!("consumers.[{index}]"));
        let good = name.len() >= 2 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !good {
            let problem = format!("the consumer name {name:?} must be at least two letters, digits or underscores");
            return Err(Error::invalid(format!("{at}.name"), problem));
        }
        if seen.contains(&name) {
            return Err(Error::invalid(format!("{at}.name"), format!("the consumer name {name:?} is used twice")));
        }
        seen.push(name);
        let kind = consumer.text("type");
        let Some((kind, needed)) = KINDS.into_iter().find(|(known, _)| *known == kind) else {
            let known = KINDS.map(|(known, _)| known).join(", ");
            let problem = format!("unknown value {kind:?}, expected one of: {known}");
            return Err(Error::invalid(format!("{at}.type"), problem));
        };
        if consumer.bool("enabled") {
            enabled(consumer.section(kind), kind, needed, &format!("consumers.{name}.{kind}"))?;
        }
    }
    Ok(())
}

fn enabled(consumer: &Section, kind: &str, needed: &[&str], path: &str) -> Result<(), Error> {
    let refuse = |name: &str, problem: &str| Err(Error::invalid(format!("{path}.{name}"), problem));
    for name in needed {
        if is_empty(consumer, name) {
            return refuse(name, "must be set");
        }
    }
    match kind {
        "kafka" if !is_empty(consumer, "assume_role_arn") && consumer.text("sasl_mechanism") != "aws-msk-iam" => {
            refuse("assume_role_arn", "needs sasl_mechanism set to aws-msk-iam")
        }
        "nats_jetstream"
            if !consumer.bool("use_existing_consumer") && !matches!(consumer.text("deliver_policy"), "new" | "all") =>
        {
            refuse("deliver_policy", "must be new or all")
        }
        "azure_service_bus" => azure(consumer, path),
        _ => Ok(()),
    }
}

fn azure(consumer: &Section, path: &str) -> Result<(), Error> {
    let needed: &[&str] = match consumer.bool("use_azure_identity") {
        true => &["fully_qualified_namespace", "tenant_id", "client_id", "client_secret"],
        false => &["connection_string"],
    };
    match needed.iter().find(|name| is_empty(consumer, name)) {
        Some(name) => Err(Error::invalid(format!("{path}.{name}"), "must be set for this way of authentication")),
        None => Ok(()),
    }
}

fn is_empty(section: &Section, path: &str) -> bool {
    match section.find(path).map(|entry| &entry.value) {
        Some(Value::Text(text)) => text.is_empty(),
        Some(Value::Texts(texts)) => texts.as_ref().is_none_or(Vec::is_empty),
        _ => panic!("{path} is neither a text nor a list of texts"),
    }
}
