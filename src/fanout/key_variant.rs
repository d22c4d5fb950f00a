//! A version of a key, or its end, in each form that those who track it understand: encoded when the first of them
//! needs it, and once for all of them (upstream: centrifuge client_keyed.go `keyedWritePublication`).

use super::frame::{Frame, FrameBuilder};
use super::tailor::Form;
use super::variant::frame_of;
use crate::channel::convert::IdText;
use crate::channel::delta::{by_patch, in_full};
use crate::channel::poll::op::KeyPublication;
use crate::protocol::{NotJson, Protocol, client, fossil};

/// The frames of one version on one shard. Made for each delivery, dropped when it is fanned out.
#[derive(Debug)]
pub struct KeyVariants<'e> {
    told: &'e KeyPublication,
    /// Made when the first member needs it; nothing in it when the whole does as well.
    patch: Option<Option<Vec<u8>>>,
    frames: [[Option<Result<Frame, NotJson>>; 2]; 3],
}

impl<'e> KeyVariants<'e> {
    /// Nothing is encoded yet.
    pub fn new(told: &'e KeyPublication) -> Self {
        Self { told, patch: None, frames: Default::default() }
    }

    /// The version as a WebSocket frame in the form that a member gets; a patch that is not worth it is the whole.
    /// Fails for JSON clients when the payload is no JSON, unless they take it as a string.
    pub fn frame(&mut self, protocol: Protocol, form: Form, builder: &mut FrameBuilder) -> Result<Frame, NotJson> {
        let form = match form {
            _ if self.told.is_removal() => Form::Plain,
            Form::Patch if !self.has_patch(protocol) => Form::Whole,
            form => form,
        };
        let Self { told, patch, frames } = self;
        let slot = &mut frames[form as usize][protocol as usize];
        slot.get_or_insert_with(|| {
            let patch = patch.as_ref().and_then(|patch| patch.as_deref()).filter(|_| form == Form::Patch);
            encode(protocol, form, told, patch, builder)
        })
        .clone()
    }

    /// Whether there is a patch, and it can be told in the protocol.
    fn has_patch(&mut self, protocol: Protocol) -> bool {
        let Some((before, _)) = &self.told.before else { return false };
        let data = &self.told.publication.data;
        let is_text = || std::str::from_utf8(before).is_ok() && std::str::from_utf8(data).is_ok();
        (protocol == Protocol::Protobuf || is_text())
            && self.patch.get_or_insert_with(|| fossil::create(before, data)).is_some()
    }
}

fn encode(
    protocol: Protocol,
    form: Form,
    told: &KeyPublication,
    patch: Option<&[u8]>,
    builder: &mut FrameBuilder,
) -> Result<Frame, NotJson> {
    let mut id: IdText = [0; 36];
    let wire = client::Publication::with(&told.publication, &mut id);
    let wire = client::Publication { epoch: (&*told.epoch).into(), ..wire };
    let wire = match (form, patch) {
        (Form::Plain, _) => wire,
        (_, Some(patch)) => by_patch(protocol, wire, patch),
        (_, None) => in_full(protocol, wire),
    };
    // Of a key the version is always told.
    let wire = client::Publication { version: told.publication.version, ..wire };
    let push = client::Push { channel: told.channel.as_str().into(), r#pub: Some(wire), ..client::Push::default() };
    frame_of(protocol, push, builder)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::channel::name::ChannelName;
    use crate::channel::poll::key_name;
    use crate::channel::publication::{MapEntry, Publication};

    const BEFORE: &str = r#"{"text":"something that stays the same","n":1}"#;
    const NOW: &str = r#"{"text":"something that stays the same","n":2}"#;

    fn told(data: &'static str, removed: bool) -> KeyPublication {
        let entry = Some(Box::new(MapEntry { key: "k".into(), removed }));
        let version = if removed { 0 } else { 7 };
        KeyPublication {
            channel: ChannelName::new("a"),
            key: key_name("a", "k"),
            publication: Publication { entry, version, ..Publication::bare(Bytes::from_static(data.as_bytes())) },
            before: Some((Bytes::from_static(BEFORE.as_bytes()), 6)),
            epoch: Box::default(),
        }
    }

    #[track_caller]
    fn check(told: &KeyPublication, form: Form, expected: &str) {
        let (mut variants, mut builder) = (KeyVariants::new(told), FrameBuilder::new());
        let frame = variants.frame(Protocol::Json, form, &mut builder).unwrap();
        let again = variants.frame(Protocol::Json, form, &mut builder).unwrap();
        assert!(std::ptr::eq(frame.as_bytes(), again.as_bytes()));
        let json = std::str::from_utf8(&frame.as_bytes()[frame.len() - frame.message_len()..]).unwrap();
        assert_eq!(json, expected);
    }

    #[test]
    fn each_form_reads_as_that_of_the_reference() {
        let (long, short) = (told(NOW, false), told("1", false));
        let push = |publication: &str| format!(r#"{{"push":{{"channel":"a","pub":{publication}}}}}"#);
        check(&long, Form::Plain, &push(&format!(r#"{{"data":{NOW},"key":"k","version":7}}"#)));
        let whole = r#"{"data":"{\"text\":\"something that stays the same\",\"n\":2}","key":"k","version":7}"#;
        check(&long, Form::Whole, &push(whole));
        let patch = fossil::create(BEFORE.as_bytes(), NOW.as_bytes()).unwrap();
        let patch = String::from_utf8(patch).unwrap().replace('\n', "\\n");
        check(&long, Form::Patch, &push(&format!(r#"{{"data":"{patch}","delta":true,"key":"k","version":7}}"#)));
        // No patch is shorter.
        check(&short, Form::Patch, &push(r#"{"data":"1","key":"k","version":7}"#));
        for form in [Form::Plain, Form::Whole, Form::Patch] {
            check(&told("", true), form, &push(r#"{"key":"k","removed":true}"#));
        }
    }
}
