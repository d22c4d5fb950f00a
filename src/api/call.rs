//! A request that waits for answers.

use crate::api::control::ControlAnswer;
use crate::api::request::{ApiCx, Request};
use crate::api::response::Response;
use crate::channel::op::Answer;

/// What came of a request.
#[derive(Debug)]
pub enum Started {
    /// It is answered.
    Done(Response),
    /// It waits for the answers to its effects.
    Pending(Box<Call>),
}

/// A request that waits for answers.
#[derive(Debug)]
pub struct Call {}

/// Checks an authorized request and starts it.
pub fn start(_cx: &mut ApiCx<'_>, _request: Request<'_>) -> Started {
    Started::Done(Response::not_found())
}

impl Call {
    /// A channel's home answered the effect with this tag. Returns the response when it was the last one.
    pub fn on_answer(&mut self, _cx: &mut ApiCx<'_>, _tag: u32, _answer: Answer) -> Option<Response> {
        None
    }

    /// A shard answered the survey with this tag. Returns the response when it was the last one.
    pub fn on_control_answer(&mut self, _cx: &mut ApiCx<'_>, _tag: u32, _answer: ControlAnswer) -> Option<Response> {
        None
    }
}
