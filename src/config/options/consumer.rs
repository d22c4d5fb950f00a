//! `consumers`: messages taken from queues.

use super::redis::REDIS;
use super::tls::TLS;
use crate::config::option::{Opt, duration, inline, int, int_in, section, switch, text, texts};

const I32: i64 = i32::MAX as i64;

/// One entry of `consumers`.
pub const CONSUMER: &[Opt] = &[
    text("name", "", "Unique name of the consumer."),
    switch("enabled", "Run the consumer."),
    text("type", "", "Kind of queue, the name of one of the sections below."),
    section("postgresql", POSTGRESQL, "An outbox table in PostgreSQL."),
    section("kafka", KAFKA, "Kafka topics."),
    section("nats_jetstream", NATS_JETSTREAM, "A NATS JetStream stream."),
    section("redis_stream", REDIS_STREAM, "Redis streams."),
    section("google_pub_sub", GOOGLE_PUB_SUB, "Google Pub/Sub subscriptions."),
    section("aws_sqs", AWS_SQS, "Amazon SQS queues."),
    section("azure_service_bus", AZURE_SERVICE_BUS, "Azure Service Bus queues."),
];

const POSTGRESQL: &[Opt] = &[
    text("dsn", "", "Connection string of the database."),
    text("outbox_table_name", "", "Name of the outbox table."),
    int("num_partitions", "1", "Number of partitions of the table, each read on its own."),
    int("partition_select_limit", "100", "Most rows read from a partition at once."),
    duration("partition_poll_interval", "300ms", "Pause between two looks at an empty partition."),
    text("partition_notification_channel", "", "Notification channel that wakes up the readers."),
    text("partition_notification_dsn", "", "Connection string for listening when the main one goes through a pooler."),
    section("tls", TLS, "TLS towards the database."),
    switch("use_try_lock", "Skip a partition that another node holds rather than wait for it."),
];

const KAFKA: &[Opt] = &[
    texts("brokers", "", "Addresses of Kafka brokers."),
    texts("topics", "", "Topics to consume."),
    text("consumer_group", "", "Consumer group."),
    int("max_poll_records", "100", "Most records taken at once."),
    int_in("fetch_max_bytes", -I32 - 1, I32, "", "Most bytes in one fetch; 0 means 50 MB."),
    duration("fetch_max_wait", "500ms", "Longest time that a fetch waits for records."),
    switch("fetch_read_uncommitted", "Read records of transactions that are not committed."),
    int("partition_queue_max_size", "1000", "Records queued for a partition before fetching pauses."),
    duration("dial_timeout", "3s", "Longest time to connect to one broker."),
    section("tls", TLS, "TLS towards Kafka."),
    text("sasl_mechanism", "", "SASL mechanism: plain, scram-sha-256, scram-sha-512 or aws-msk-iam."),
    text("sasl_user", "", "SASL user."),
    text("sasl_password", "", "SASL password."),
    text("assume_role_arn", "", "AWS role taken on for aws-msk-iam."),
    text("instance_id", "", "Static member ID within the consumer group."),
    text("method_header", "centrifugo-method", "Header that names the API method when the body is its request alone."),
    section("publication_data_mode", KAFKA_DATA_MODE, "Bodies that are payloads."),
];

const KAFKA_DATA_MODE: &[Opt] = &[
    switch("enabled", "Take message bodies as payloads to publish rather than as API commands."),
    text(
        "channels_header",
        "centrifugo-channels",
        "Header that lists the channels to publish into, with commas between.",
    ),
    text("idempotency_key_header", "centrifugo-idempotency-key", "Header that holds the idempotency key."),
    text("delta_header", "centrifugo-delta", "Header that switches delta compression on."),
    text("version_header", "centrifugo-version", "Header that holds the version of the publication."),
    text("version_epoch_header", "centrifugo-version-epoch", "Header that holds the epoch of versions."),
    text("tags_header_prefix", "centrifugo-tag-", "Prefix of those that become tags of the publication."),
];

const NATS_JETSTREAM: &[Opt] = &[
    text("url", "nats://127.0.0.1:4222", "Address of the NATS server."),
    text("credentials_file", "", "File with NATS credentials."),
    text("username", "", "NATS user."),
    text("password", "", "NATS password."),
    text("token", "", "NATS token."),
    text("stream_name", "", "Name of the stream."),
    switch("use_existing_consumer", "Use the durable consumer as it is rather than create one."),
    texts("subjects", "", "Subjects of the stream to consume; empty means all."),
    text("durable_consumer_name", "", "Name of the durable consumer."),
    text("deliver_policy", "new", "Where a new consumer starts: new or all."),
    int("max_ack_pending", "100", "Most messages under way without acknowledgement."),
    text("method_header", "centrifugo-method", "Header that names the API method when the body is its request alone."),
    section("publication_data_mode", NATS_DATA_MODE, "Bodies that are payloads."),
    section("tls", TLS, "TLS towards NATS."),
];

const NATS_DATA_MODE: &[Opt] = &[
    switch("enabled", "Take message bodies as payloads to publish rather than as API commands."),
    text(
        "channels_header",
        "centrifugo-channels",
        "Header that lists the channels to publish into, with commas between.",
    ),
    text("idempotency_key_header", "centrifugo-idempotency-key", "Header that holds the idempotency key."),
    text("delta_header", "centrifugo-delta", "Header that switches delta compression on."),
    text("version_header", "centrifugo-version", "Header that holds the version of the publication."),
    text("version_epoch_header", "centrifugo-version-epoch", "Header that holds the epoch of versions."),
    text("tags_header_prefix", "centrifugo-tag-", "Prefix of those that become tags of the publication."),
];

const REDIS_STREAM: &[Opt] = &[
    inline(REDIS),
    texts("streams", "", "Streams to consume."),
    text("consumer_group", "", "Consumer group."),
    duration("visibility_timeout", "30s", "Time after which an unacknowledged entry is taken by another consumer."),
    int("num_workers", "1", "Number of workers."),
    text("payload_value", "payload", "Field of an entry that holds the payload."),
    text("method_value", "method", "Field of an entry that names the API method."),
    section("publication_data_mode", REDIS_DATA_MODE, "Entries that are payloads."),
];

const REDIS_DATA_MODE: &[Opt] = &[
    switch("enabled", "Take message bodies as payloads to publish rather than as API commands."),
    text(
        "channels_value",
        "centrifugo-channels",
        "Field that lists the channels to publish into, with commas between.",
    ),
    text("idempotency_key_value", "centrifugo-idempotency-key", "Field that holds the idempotency key."),
    text("delta_value", "centrifugo-delta", "Field that switches delta compression on."),
    text("version_value", "centrifugo-version", "Field that holds the version of the publication."),
    text("version_epoch_value", "centrifugo-version-epoch", "Field that holds the epoch of versions."),
    text("tags_value_prefix", "centrifugo-tag-", "Prefix of those that become tags of the publication."),
];

const GOOGLE_PUB_SUB: &[Opt] = &[
    text("project_id", "", "Google Cloud project."),
    texts("subscriptions", "", "Subscriptions to consume."),
    int("max_outstanding_messages", "100", "Most messages under way."),
    int("max_outstanding_bytes", "1000000", "Most bytes under way."),
    text("auth_mechanism", "", "How to authenticate: default or service_account."),
    text("credentials_file", "", "File with the key of the service account."),
    text(
        "method_attribute",
        "centrifugo-method",
        "Attribute that names the API method when the body is its request alone.",
    ),
    section("publication_data_mode", GOOGLE_DATA_MODE, "Bodies that are payloads."),
];

const GOOGLE_DATA_MODE: &[Opt] = &[
    switch("enabled", "Take message bodies as payloads to publish rather than as API commands."),
    text(
        "channels_attribute",
        "centrifugo-channels",
        "Attribute that lists the channels to publish into, with commas between.",
    ),
    text("idempotency_key_attribute", "centrifugo-idempotency-key", "Attribute that holds the idempotency key."),
    text("delta_attribute", "centrifugo-delta", "Attribute that switches delta compression on."),
    text("version_attribute", "centrifugo-version", "Attribute that holds the version of the publication."),
    text("version_epoch_attribute", "centrifugo-version-epoch", "Attribute that holds the epoch of versions."),
    text("tags_attribute_prefix", "centrifugo-tag-", "Prefix of those that become tags of the publication."),
];

const AWS_SQS: &[Opt] = &[
    texts("queues", "", "Addresses of the queues."),
    switch("sns_envelope", "Expect the envelope of SNS around messages."),
    text("region", "", "AWS region."),
    int_in("max_number_of_messages", -I32 - 1, I32, "10", "Most messages taken at once."),
    duration("wait_time_time", "20s", "How long a request waits for messages, in whole seconds."),
    duration("visibility_timeout", "30s", "How long a message is hidden from others while it is worked on."),
    int("max_concurrency", "1", "Most messages of a batch worked on at once."),
    text("credentials_profile", "", "Profile in the shared AWS credentials."),
    text("assume_role_arn", "", "AWS role to take on."),
    text(
        "method_attribute",
        "centrifugo-method",
        "Attribute that names the API method when the body is its request alone.",
    ),
    text("localstack_endpoint", "", "Address of LocalStack, for development."),
    section("publication_data_mode", AWS_DATA_MODE, "Bodies that are payloads."),
];

const AWS_DATA_MODE: &[Opt] = &[
    switch("enabled", "Take message bodies as payloads to publish rather than as API commands."),
    text(
        "channels_attribute",
        "centrifugo-channels",
        "Attribute that lists the channels to publish into, with commas between.",
    ),
    text("idempotency_key_attribute", "centrifugo-idempotency-key", "Attribute that holds the idempotency key."),
    text("delta_attribute", "centrifugo-delta", "Attribute that switches delta compression on."),
    text("version_attribute", "centrifugo-version", "Attribute that holds the version of the publication."),
    text("version_epoch_attribute", "centrifugo-version-epoch", "Attribute that holds the epoch of versions."),
    text("tags_attribute_prefix", "centrifugo-tag-", "Prefix of those that become tags of the publication."),
];

const AZURE_SERVICE_BUS: &[Opt] = &[
    text("connection_string", "", "Connection string of the namespace."),
    switch("use_azure_identity", "Authenticate with an Azure identity rather than a connection string."),
    text("fully_qualified_namespace", "", "Host name of the namespace, for identities."),
    text("tenant_id", "", "Azure tenant, for identities."),
    text("client_id", "", "Azure client, for identities."),
    text("client_secret", "", "Secret of the Azure client, for identities."),
    texts("queues", "", "Queues to consume."),
    switch("use_sessions", "Keep the order of messages within a session."),
    int("max_concurrent_calls", "1", "Most messages of a queue worked on at once."),
    int("max_receive_messages", "1", "Most messages taken at once."),
    text(
        "method_property",
        "centrifugo-method",
        "Property that names the API method when the body is its request alone.",
    ),
    section("publication_data_mode", AZURE_DATA_MODE, "Bodies that are payloads."),
];

const AZURE_DATA_MODE: &[Opt] = &[
    switch("enabled", "Take message bodies as payloads to publish rather than as API commands."),
    text(
        "channels_property",
        "centrifugo-channels",
        "Property that lists the channels to publish into, with commas between.",
    ),
    text("idempotency_key_property", "centrifugo-idempotency-key", "Property that holds the idempotency key."),
    text("delta_property", "centrifugo-delta", "Property that switches delta compression on."),
    text("version_property", "centrifugo-version", "Property that holds the version of the publication."),
    text("version_epoch_property", "centrifugo-version-epoch", "Property that holds the epoch of versions."),
    text("tags_property_prefix", "centrifugo-tag-", "Prefix of those that become tags of the publication."),
];
