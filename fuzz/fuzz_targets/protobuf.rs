//! A client's Protobuf frame: whatever decodes must survive being encoded and decoded again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spindle::protocol::client::{Command, Reply};
use spindle::protocol::commands::Commands;
use spindle::protocol::{Protocol, proto};

fuzz_target!(|input: &[u8]| {
    let mut commands = Commands::new(Protocol::Protobuf, input);
    while let Some(command) = commands.next() {
        let Ok(command) = command else { break };
        let mut bytes = Vec::new();
        proto::encode(&command, &mut bytes);
        assert_eq!(proto::decode::<Command<'_>>(&bytes), Ok(command));
        commands = Commands::resume(Protocol::Protobuf, commands.rest());
    }
    // Replies reach further into maps, lists and numbers than commands do.
    if let Ok(reply) = proto::decode::<Reply<'_>>(input) {
        let mut bytes = Vec::new();
        proto::encode(&reply, &mut bytes);
        assert_eq!(proto::decode::<Reply<'_>>(&bytes), Ok(reply));
    }
});
