//! A publication for members with delta: encoded once for each protocol and form, the patch made once for all.

use super::frame::{Frame, FrameBuilder};
use super::tailor::Form;
use super::variant::frame_of;
use crate::channel::convert::IdText;
use crate::channel::delta;
use crate::channel::name::ChannelName;
use crate::channel::publication::Publication;
use crate::protocol::{NotJson, Protocol, client};

/// The frames of one publication on one shard. Made for each delivery to a channel with such members.
#[derive(Debug)]
pub struct DeltaVariants<'e> {
    channel: &'e str,
    publication: &'e Publication,
    /// The publication before, where patches may be sent.
    previous: Option<&'e Publication>,
    /// Made when the first member needs it; nothing in it when the whole does as well.
    patch: Option<Option<Vec<u8>>>,
    whole: ByProtocol,
    patched: ByProtocol,
}

type ByProtocol = [Option<Result<Frame, NotJson>>; 2];

impl<'e> DeltaVariants<'e> {
    /// Nothing is encoded yet.
    pub fn new(channel: &'e ChannelName, publication: &'e Publication, previous: Option<&'e Publication>) -> Self {
        let (whole, patched) = ([None, None], [None, None]);
        Self { channel: channel.as_str(), publication, previous, patch: None, whole, patched }
    }

    /// The publication as a WebSocket frame in the form that a member gets; a patch that is not worth it is the whole.
    /// Fails for JSON clients when what is known of the publisher is no JSON. The payload may be anything.
    pub fn frame(&mut self, protocol: Protocol, form: Form, builder: &mut FrameBuilder) -> Result<Frame, NotJson> {
        let is_patch = form == Form::Patch && self.has_patch(protocol);
        let Self { channel, publication, patch, whole, patched, .. } = self;
        let slot = &mut (if is_patch { patched } else { whole })[protocol as usize];
        if let Some(frame) = slot {
            return frame.clone();
        }
        let mut id: IdText = [0; 36];
        let wire = match patch.as_ref().and_then(|patch| patch.as_deref()).filter(|_| is_patch) {
            Some(patch) => delta::patched(protocol, publication, patch, &mut id),
            None => delta::whole(protocol, publication, &mut id),
        };
        slot.insert(encode(protocol, channel, wire, builder)).clone()
    }

    /// Whether there is a patch, and it can be told in the protocol.
    fn has_patch(&mut self, protocol: Protocol) -> bool {
        let (publication, Some(previous)) = (self.publication, self.previous) else { return false };
        delta::can_patch(protocol, previous, publication)
            && self.patch.get_or_insert_with(|| delta::patch(previous, publication)).is_some()
    }
}

fn encode(
    protocol: Protocol,
    channel: &str,
    publication: client::Publication<'_>,
    builder: &mut FrameBuilder,
) -> Result<Frame, NotJson> {
    let push = client::Push { channel: channel.into(), r#pub: Some(publication), ..client::Push::default() };
    frame_of(protocol, push, builder)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::channel::publication::Epoch;

    fn publication(offset: u64, n: u32) -> Publication {
        Publication {
            offset,
            epoch: Epoch::from_random([1; 8]),
            ..Publication::bare(Bytes::from(format!("{{\"text\":\"something that stays the same\",\"n\":{n}}}")))
        }
    }

    #[test]
    fn each_form_is_encoded_once_and_only_when_asked_for() {
        let (name, first, second) = (ChannelName::new("a"), publication(1, 1), publication(2, 2));
        let mut builder = FrameBuilder::new();
        let mut variants = DeltaVariants::new(&name, &second, Some(&first));
        for form in [Form::Whole, Form::Patch] {
            for protocol in [Protocol::Json, Protocol::Protobuf] {
                let before = builder.built();
                let frame = variants.frame(protocol, form, &mut builder).unwrap();
                let again = variants.frame(protocol, form, &mut builder).unwrap();
                assert!(std::ptr::eq(frame.as_bytes(), again.as_bytes()));
                assert_eq!(builder.built(), before + 1);
            }
        }
    }

    #[track_caller]
    fn check(mut variants: DeltaVariants<'_>, form: Form, json: &str) {
        let frame = variants.frame(Protocol::Json, form, &mut FrameBuilder::new()).unwrap();
        assert_eq!(std::str::from_utf8(&frame.as_bytes()[frame.len() - json.len()..]).unwrap(), json);
        assert_eq!(frame.message_len(), json.len());
    }

    #[test]
    fn without_a_publication_before_a_patch_is_the_whole() {
        let (name, first, second) = (ChannelName::new("a"), publication(1, 1), publication(2, 2));
        let whole = r#"{"push":{"channel":"a","pub":{"data":"{\"text\":\"something that stays the same\",\"n\":1}","offset":1}}}"#;
        for form in [Form::Whole, Form::Patch] {
            check(DeltaVariants::new(&name, &first, None), form, whole);
        }
        let frame = DeltaVariants::new(&name, &second, Some(&first))
            .frame(Protocol::Json, Form::Patch, &mut FrameBuilder::new())
            .unwrap();
        let text = std::str::from_utf8(&frame.as_bytes()[2..]).unwrap();
        assert!(text.starts_with(r#"{"push":{"channel":"a","pub":{"data":"j\nh@0,2:2}"#), "{text}");
        assert!(text.ends_with(r#";","offset":2,"delta":true}}}"#), "{text}");
    }
}
