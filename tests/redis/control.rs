//! What two Centrifugo nodes told each other (`control.json`: what for, channel, message).

use spindle::broker::{Layout, Names, control};
use spindle::protocol::control::Command;
use spindle::protocol::proto;

use super::recording::to_bytes;

fn recorded() -> Vec<(String, String, String)> {
    serde_json::from_str(include_str!("control.json")).expect("the recording")
}

/// The member of the command that is set.
fn member(command: &Command<'_>) -> &'static str {
    let members = [
        ("node", command.node.is_some()),
        ("unsubscribe", command.unsubscribe.is_some()),
        ("disconnect", command.disconnect.is_some()),
        ("shutdown", command.shutdown.is_some()),
        ("survey_request", command.survey_request.is_some()),
        ("survey_response", command.survey_response.is_some()),
        ("subscribe", command.subscribe.is_some()),
        ("notification", command.notification.is_some()),
        ("refresh", command.refresh.is_some()),
    ];
    let mut set = members.iter().filter(|(_, is_set)| *is_set);
    let (Some((name, _)), None) = (set.next(), set.next()) else { panic!("not one member: {command:?}") };
    name
}

#[test]
fn every_message_is_read_and_told_alike() {
    let names = Names::new("p", Layout::Plain, false);
    for (cause, channel, message) in recorded() {
        let message = to_bytes(&message);
        let command = control::read(&message).expect("a command");
        let expected = match &*cause {
            "start" | "info" | "later" => "node",
            "channels" if channel == "p.control" => "survey_request",
            "channels" => "survey_response",
            "end" => "shutdown",
            other => other,
        };
        assert_eq!(member(&command), expected, "{cause}");
        let node = channel.strip_prefix("p.node.");
        let mut encoded = Vec::new();
        proto::encode(&command, &mut encoded);
        let call = control::tell(&names, node, &encoded);
        assert_eq!(call.keys().collect::<Vec<_>>(), [channel.as_bytes()], "{cause}");
        let told = call.args().next().expect("a message");
        // Items of metrics have no order there.
        let metrics = command.node.as_ref().and_then(|node| node.metrics.as_ref()).is_some();
        assert!(told == message || metrics && told.len() == message.len(), "{cause}: {}", told.escape_ascii());
        assert_eq!(proto::decode(told), Ok(command), "{cause}");
    }
}

#[test]
fn fields_mean_what_was_asked_for() {
    let all = recorded();
    let messages: Vec<_> =
        all.iter().filter(|(cause, ..)| cause == "subscribe").map(|(.., text)| to_bytes(text)).collect();
    let command = control::read(&messages[0]).unwrap();
    let subscribe = command.subscribe.unwrap();
    assert_eq!((&*subscribe.user, &*subscribe.channel, subscribe.client.len()), ("u", "b", 36));
    assert_eq!((subscribe.expire_at, subscribe.source), (1_900_000_000, 10));
    assert!(subscribe.emit_presence && subscribe.emit_join_leave && subscribe.push_join_leave);
    assert!(!subscribe.position && !subscribe.recover && !subscribe.all_users);
    assert_eq!(
        (subscribe.channel_info.as_bytes(), subscribe.data.as_bytes()),
        (&br#"{"x": 1}"#[..], &br#"{"d": 1}"#[..])
    );
    let since = subscribe.recover_since.unwrap();
    assert_eq!((since.offset, &*since.epoch), (3, "ab"));
}
