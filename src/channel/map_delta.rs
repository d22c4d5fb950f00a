//! Keys and changes of a map as subscribers with delta receive them in replies. The base of a patch is what the key was
//! before; a removal has none and is none (upstream: centrifuge client_map.go `escapeStateForDelta`, client.go
//! `makeRecoveredMapPubsDeltaFossil`). What is pushed later is told as in a stream.

use std::collections::HashMap;
use std::sync::Arc;

use super::delta::{by_patch, can_patch, in_full, patch};
use super::publication::Publication;
use crate::protocol::{Protocol, client};

/// A page of keys or changes: all whole. What has no data stays as it is.
pub fn page(protocol: Protocol, publications: &[Arc<Publication>]) -> Vec<client::Publication<'_>> {
    let told = publications.iter().map(|publication| match publication.data.is_empty() {
        true => client::Publication::of(publication),
        false => in_full(protocol, client::Publication::of(publication)),
    });
    told.collect()
}

/// The changes that make a subscription live, oldest first: of each key the first one whole, each further one against
/// the one before.
pub fn changes(protocol: Protocol, publications: &[Arc<Publication>]) -> Vec<client::Publication<'_>> {
    let mut before: HashMap<&str, &Publication> = HashMap::new();
    let told = publications.iter().map(|publication| {
        let wire = client::Publication::of(publication);
        let Some(entry) = publication.entry.as_deref() else { return in_full(protocol, wire) };
        if entry.removed {
            before.remove(&*entry.key);
            return wire;
        }
        let patch = before
            .insert(&entry.key, publication)
            .filter(|previous| can_patch(protocol, previous, publication))
            .and_then(|previous| patch(previous, publication));
        match patch {
            Some(patch) => by_patch(protocol, wire, &patch),
            None => in_full(protocol, wire),
        }
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::channel::publication::{Epoch, MapEntry};
    use crate::protocol::fossil;

    /// From `KEY DATA`, or `KEY` alone for a removal; offsets count from 1.
    fn publications(text: &str) -> Vec<Arc<Publication>> {
        let publication = |(at, line): (usize, &str)| {
            let (key, data) = line.split_once(' ').map_or((line, None), |(key, data)| (key, Some(data)));
            let entry = MapEntry { key: key.into(), removed: data.is_none() };
            Arc::new(Publication {
                entry: Some(Box::new(entry)),
                offset: at as u64 + 1,
                epoch: Epoch::from_random([1; 8]),
                ..Publication::bare(Bytes::from(data.unwrap_or_default().to_owned()))
            })
        };
        text.split(", ").enumerate().map(publication).collect()
    }

    /// The data of each, `~` in front of what a patch leads to.
    fn told(wire: &[client::Publication<'_>]) -> String {
        let mut values: HashMap<String, Vec<u8>> = HashMap::new();
        let word = |publication: &client::Publication<'_>| {
            let key = publication.key.to_string();
            let data = publication.data.as_bytes().to_vec();
            let value = match publication.delta {
                true => fossil::apply(&values[&key], &data, 1 << 20).unwrap(),
                false => data,
            };
            let mark = if publication.delta { "~" } else { "" };
            let word = format!("{key} {mark}{}", String::from_utf8_lossy(&value));
            values.insert(key, value);
            word
        };
        wire.iter().map(word).collect::<Vec<_>>().join(", ")
    }

    const LONG: &str = "a text that is long enough to be worth a patch";

    #[test]
    fn a_patch_is_against_what_the_key_was() {
        let text = format!("a {LONG}1, b {LONG}2, a {LONG}3, b {LONG}4, a, a {LONG}5, a {LONG}6, c x, c y");
        let expected = format!("a {LONG}1, b {LONG}2, a ~{LONG}3, b ~{LONG}4, a , a {LONG}5, a ~{LONG}6, c x, c y");
        assert_eq!(told(&changes(Protocol::Protobuf, &publications(&text))), expected);
        assert_eq!(told(&page(Protocol::Protobuf, &publications(&text))), expected.replace('~', ""));
    }

    #[test]
    fn data_in_json_is_text_of_it() {
        let publications = publications("a {\"n\":1}, a");
        let quoted = Bytes::from_static(br#""{\"n\":1}""#);
        for wire in [page(Protocol::Json, &publications), changes(Protocol::Json, &publications)] {
            assert_eq!(wire[0].data.as_bytes(), &*quoted);
            assert_eq!((wire[0].epoch.as_ref(), wire[1].data.as_bytes()), ("", &b""[..]));
        }
    }
}
