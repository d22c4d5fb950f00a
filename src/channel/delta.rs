//! Publications as subscribers with delta receive them: whole, or as a patch against the one before.
//!
//! In Protobuf the payload is the bytes themselves. In JSON it is a string: of the payload's text, or of the patch.
//! JSON strings hold text only, so payloads that are no UTF-8 are not patched there: the client's copy of them is not
//! ours.
//!
//! Upstream: centrifuge hub.go (`getDeltaPub`), client.go (`makeRecoveredPubsDeltaFossil`).

use std::sync::Arc;

use super::convert::IdText;
use super::publication::Publication;
use crate::base::mutation::{Mutation, is_on};
use crate::protocol::json::write::quote;
use crate::protocol::raw::Raw;
use crate::protocol::{Protocol, client, fossil};

/// The whole publication. In JSON it never comes with an epoch or a version.
pub fn whole<'p>(protocol: Protocol, publication: &'p Publication, id: &'p mut IdText) -> client::Publication<'p> {
    in_full(protocol, client::Publication::with(publication, id))
}

/// The publication by a patch.
pub fn patched<'p>(
    protocol: Protocol,
    publication: &'p Publication,
    patch: &'p [u8],
    id: &'p mut IdText,
) -> client::Publication<'p> {
    by_patch(protocol, client::Publication::with(publication, id), patch)
}

/// The patch between two publications that follow upon each other; nothing when the whole does as well.
pub fn patch(previous: &Publication, publication: &Publication) -> Option<Vec<u8>> {
    fossil::create(&previous.data, &publication.data)
}

/// Whether a patch between the two can be told in the protocol.
pub fn can_patch(protocol: Protocol, previous: &Publication, publication: &Publication) -> bool {
    let is_text = |publication: &Publication| std::str::from_utf8(&publication.data).is_ok();
    protocol == Protocol::Protobuf || is_text(previous) && is_text(publication)
}

/// Recovered publications, oldest first: the first one whole, each further one against the one before it in the list.
pub fn recovered(protocol: Protocol, publications: &[Arc<Publication>]) -> Vec<client::Publication<'_>> {
    let mut told = Vec::with_capacity(publications.len());
    let mut previous: Option<&Publication> = None;
    for publication in publications.iter().map(|publication| &**publication) {
        let wire = client::Publication::of(publication);
        let patch = previous
            .filter(|previous| can_patch(protocol, previous, publication))
            .and_then(|previous| patch(previous, publication));
        told.push(match patch {
            Some(patch) => by_patch(protocol, wire, &patch),
            None => in_full(protocol, wire),
        });
        if previous.is_none() || !is_on(Mutation::PatchAgainstFirst) {
            previous = Some(publication);
        }
    }
    told
}

/// The publication with its payload as clients with delta take a whole one: in JSON a string, without epoch and version.
pub fn in_full(protocol: Protocol, wire: client::Publication<'_>) -> client::Publication<'_> {
    match protocol {
        Protocol::Json => rewritten(quote(wire.data.as_bytes()).into(), wire),
        Protocol::Protobuf => wire,
    }
}

/// The publication with a patch in place of its payload; in JSON without epoch and version.
pub fn by_patch<'p>(protocol: Protocol, wire: client::Publication<'p>, patch: &[u8]) -> client::Publication<'p> {
    let data = match protocol {
        Protocol::Json => Raw::from(quote(patch)),
        Protocol::Protobuf => Raw::from(patch.to_vec()),
    };
    client::Publication { delta: true, ..rewritten(data, wire) }
}

/// Upstream leaves these two behind when it puts other data into a publication.
fn rewritten<'p>(data: Raw<'p>, wire: client::Publication<'p>) -> client::Publication<'p> {
    client::Publication { data, epoch: "".into(), version: 0, ..wire }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::channel::publication::Epoch;
    use crate::protocol::fossil::apply;
    use crate::protocol::json::scan::Scanner;

    fn publication(offset: u64, data: &[u8]) -> Arc<Publication> {
        Arc::new(Publication {
            offset,
            epoch: Epoch::from_random([0; 8]),
            ..Publication::bare(Bytes::copy_from_slice(data))
        })
    }

    const LONG: &str = r#"{"text":"a rather long value that does not change at all","<n>":"#;

    /// Follows the publications as a client does: the payloads, and which of them came as patches.
    fn follow(protocol: Protocol, told: &[client::Publication<'_>]) -> (Vec<Vec<u8>>, String) {
        let (mut payloads, mut forms) = (Vec::<Vec<u8>>::new(), String::new());
        for publication in told {
            let data = match protocol {
                Protocol::Json => Scanner::new(publication.data.as_bytes()).string().unwrap().into_owned().into_bytes(),
                Protocol::Protobuf => publication.data.as_bytes().to_vec(),
            };
            let base = payloads.last().map_or(&[][..], |base| base);
            payloads.push(if publication.delta { apply(base, &data, 1000).unwrap() } else { data });
            forms.push(if publication.delta { 'd' } else { 'w' });
        }
        (payloads, forms)
    }

    #[test]
    fn recovered_publications_build_upon_each_other() {
        let texts =
            [format!("{LONG}1}}"), format!("{LONG}2}}"), format!("{LONG}2}}"), "{}".into(), format!("{LONG}3}}")];
        let publications: Vec<_> =
            texts.iter().zip(1..).map(|(text, offset)| publication(offset, text.as_bytes())).collect();
        for protocol in [Protocol::Json, Protocol::Protobuf] {
            let told = recovered(protocol, &publications);
            let (payloads, forms) = follow(protocol, &told);
            assert_eq!((payloads, &*forms), (texts.iter().map(|text| text.as_bytes().to_vec()).collect(), "wddww"));
            // The epoch goes along with offset 1, and in JSON it does not.
            let epochs: Vec<_> = told.iter().map(|wire| !wire.epoch.is_empty()).collect();
            assert_eq!(epochs, [protocol == Protocol::Protobuf, false, false, false, false]);
        }
        assert!(recovered(Protocol::Json, &[]).is_empty());
    }

    #[test]
    fn in_json_the_payload_is_a_string_that_is_safe_in_html() {
        let first = publication(1, b"{\"a\":\"<\"}\n");
        let told = whole(Protocol::Json, &first, &mut [0; 36]).data.into_owned();
        assert_eq!(told, r#""{\"a\":\"\u003c\"}\n""#.into());
    }

    #[test]
    fn what_is_no_text_is_not_patched_in_json() {
        let binary = |last: u8| [&[0xFF; 40][..], &[last]].concat();
        let publications = [publication(1, &binary(1)), publication(2, &binary(2))];
        assert_eq!(follow(Protocol::Protobuf, &recovered(Protocol::Protobuf, &publications)).1, "wd");
        assert_eq!(follow(Protocol::Json, &recovered(Protocol::Json, &publications)).1, "ww");
    }

    #[test]
    fn only_what_stays_as_it_was_published_keeps_its_version_and_epoch() {
        #[track_caller]
        fn check(protocol: Protocol, expected: [(u64, &str); 2]) {
            let versioned = |offset, data: &str| {
                let plain = publication(offset, data.as_bytes());
                Arc::new(Publication { version: offset + 6, ..(*plain).clone() })
            };
            let publications = [versioned(1, &format!("{LONG}1}}")), versioned(2, &format!("{LONG}2}}"))];
            let told = recovered(protocol, &publications);
            let left: Vec<_> = told.iter().map(|wire| (wire.version, &*wire.epoch)).collect();
            assert_eq!(left, expected, "{protocol:?}");
        }
        check(Protocol::Json, [(0, ""), (0, "")]);
        check(Protocol::Protobuf, [(7, "aaaaaaaa"), (0, "")]);
    }
}
