//! What comes on PUB/SUB channels of Redis and on NATS: messages of channels, and messages of nodes. Whatever reads must be the
//! same when it is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spindle::broker::frame::{self, Message};
use spindle::broker::nats::Nats;
use spindle::broker::{Layout, Names, control, map, stored};
use spindle::protocol::proto;

fuzz_target!(|input: &[u8]| {
    let names = Names::new("p", Layout::Cluster, false);
    match frame::read(&input.to_vec().into()) {
        Ok(Message::Publication(publication, _)) => {
            let mut bytes = Vec::new();
            stored::write_publication(&publication, false, &mut bytes);
            let again = stored::read_publication(&bytes.into()).expect("a publication").publication;
            // The place goes beside it.
            let (offset, epoch) = (publication.offset, publication.epoch);
            assert_eq!(spindle::channel::publication::Publication { offset, epoch, ..again }, publication);
        }
        Ok(Message::Key(version)) => {
            let call = frame::key_version(&names, "1:ab", &version);
            let payload = call.args().next().expect("a payload").to_vec();
            assert_eq!(frame::read(&payload.into()), Ok(Message::Key(version)));
        }
        Ok(Message::Join(info)) => {
            let call = frame::join(&names, "a", &info);
            let payload = call.args().next().expect("a payload").to_vec();
            assert_eq!(frame::read(&payload.into()), Ok(Message::Join(info)));
        }
        Ok(Message::Leave(info)) => {
            let call = frame::leave(&names, "a", &info);
            let payload = call.args().next().expect("a payload").to_vec();
            assert_eq!(frame::read(&payload.into()), Ok(Message::Leave(info)));
        }
        Err(_) => {}
    }
    let bytes = input.to_vec().into();
    let _ = map::frame::read(&bytes);
    let _ = Nats::new("p", None, true).read("a", "p.client.a", &bytes);
    if let Ok(command) = control::read(input) {
        let mut bytes = Vec::new();
        proto::encode(&command, &mut bytes);
        // A number of metrics may be none, which equals nothing.
        let mut again = Vec::new();
        proto::encode(&control::read(&bytes).expect("a command"), &mut again);
        assert_eq!(again, bytes);
    }
    if let Some(channel) = std::str::from_utf8(input).ok().and_then(|name| names.channel_of(name)) {
        assert_eq!(names.messages(channel).to_string().as_bytes(), input);
    }
});
