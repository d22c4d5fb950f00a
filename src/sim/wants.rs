//! What a simulated client asks for when it subscribes, and how it reads what it then gets.

use std::borrow::Cow;

use crate::protocol::client::{FilterNode, Publication, SubscribeRequest};
use crate::protocol::{Protocol, fossil, json};

/// The tag that filters look at, and its value in publications that they keep away.
pub const TAG: (&str, &str) = ("k", "no");

/// Longest payload that a patch may make.
const MAX_PAYLOAD: usize = 1 << 16;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Wants {
    /// Publications as deltas.
    pub delta: bool,
    /// Only publications that are not tagged with [`TAG`].
    pub filter: bool,
}

impl Wants {
    /// Half of the clients want delta or a filter where they may, some want both.
    pub fn of(client: u64, channel: &str) -> Self {
        let (allows_delta, allows_filter) = (channel.starts_with("delta"), channel.starts_with("tags"));
        Self {
            delta: allows_delta && client.is_multiple_of(2),
            filter: allows_filter && client.is_multiple_of(2) || allows_delta && client.is_multiple_of(4),
        }
    }

    /// The request for a subscription.
    pub fn request(self, channel: &str) -> SubscribeRequest<'static> {
        let filter =
            FilterNode { key: TAG.0.into(), cmp: "nin".into(), vals: vec![TAG.1.into()], ..FilterNode::default() };
        SubscribeRequest {
            channel: Cow::Owned(channel.to_owned()),
            delta: if self.delta { "fossil".into() } else { "".into() },
            tf: self.filter.then(|| Box::new(filter)),
            ..SubscribeRequest::default()
        }
    }

    /// The payload behind what came.
    ///
    /// # Errors
    /// It came in another form than was asked for, or the patch does not fit.
    pub fn payload(
        self,
        protocol: Protocol,
        publication: &Publication<'_>,
        base: Option<&Vec<u8>>,
    ) -> Result<Vec<u8>, String> {
        let came = publication.data.as_bytes();
        let bytes = match protocol {
            Protocol::Json if self.delta => {
                let text = json::scan::Scanner::new(came).string().map_err(|error| error.to_string())?;
                text.into_owned().into_bytes()
            }
            _ => came.to_vec(),
        };
        if !publication.delta {
            return Ok(bytes);
        }
        if !self.delta {
            return Err("a patch that nobody asked for".to_owned());
        }
        let base = base.ok_or("a patch without a publication before it")?;
        fossil::apply(base, &bytes, MAX_PAYLOAD).map_err(|error| error.to_string())
    }
}

/// Whether filters keep the publication away.
pub fn is_unwanted(publication: &Publication<'_>) -> bool {
    publication.tags.iter().any(|(key, value)| (&**key, &**value) == TAG)
}
