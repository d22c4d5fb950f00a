//! A client's JSON frame, and a body of the server API: whatever decodes must survive being encoded and decoded again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spindle::protocol::client::Command;
use spindle::protocol::commands::Commands;
use spindle::protocol::json::write::Style;
use spindle::protocol::{Protocol, api, json};

fuzz_target!(|input: &[u8]| {
    let mut commands = Commands::new(Protocol::Json, input);
    while let Some(command) = commands.next() {
        let Ok(command) = command else { break };
        let mut text = Vec::new();
        json::encode(&command, Style::Client, &mut text).expect("decoded payloads are JSON");
        let again = json::decode_whole::<Command<'_>>(&text).expect("encoded is JSON");
        // Newlines between the tokens of a payload are gone now; a second time nothing changes.
        let mut same = Vec::new();
        json::encode(&again, Style::Client, &mut same).expect("decoded payloads are JSON");
        assert_eq!(text, same);
        commands = Commands::resume(Protocol::Json, commands.rest());
    }
    if let Ok(batch) = json::decode_whole::<api::BatchRequest<'_>>(input) {
        json::encode(&batch, Style::Api, &mut Vec::new()).expect("decoded payloads are JSON");
    }
    if json::is_valid(input) {
        let mut compact = Vec::new();
        json::compact_html(input, &mut compact);
        assert!(json::is_valid(&compact));
    }
});
