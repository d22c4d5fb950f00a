//! A call: its methods, one after another or at the same time, and the answers they wait for.
//!
//! The commands of a batch that is not `parallel` run one after another: none is asked before those ahead of it are
//! answered, with one exception that nobody can see. Requests to the same home arrive there in order, are carried
//! out in order, and what the home sends because of them arrives in order everywhere; so a run of commands with the
//! same home is sent at once.

use std::sync::Arc;

use smallvec::SmallVec;

use super::control::{Control, ControlAnswer};
use super::form::{Finished, Form};
use super::request::{ApiCx, ApiEffect, Request};
use super::response::Response;
use super::scrape::{Scrape, ScrapeForm};
use super::step::{Failed, Step, Wait};
use super::{batch, channels, info, legacy, method};
use crate::base::glob::Glob;
use crate::base::ids::ShardId;
use crate::channel::name::ChannelName;
use crate::channel::op::{Answer, Op};
use crate::metrics::labels::Api;
use crate::metrics::shard::{MARSHAL, UNMARSHAL};
use crate::protocol::error::Error;

/// Most requests of one call that are unanswered; upstream bounds its concurrency in the same way.
const MOST_IN_FLIGHT: usize = 1024;

/// Entries of a result that are written as soon as the last answer is there: most nodes have no more.
const WRITTEN_AT_ONCE: usize = 256;

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
pub struct Call {
    form: Form,
    slots: SmallVec<[Slot; 1]>,
    /// Slots that have begun: all before this one.
    begun: usize,
    /// Slots that have begun and are not finished.
    open: usize,
    next_tag: u32,
    /// Requests to homes that are unanswered.
    in_flight: usize,
    /// Slots whose answers are all there and whose result is being written, and those that are to ask for a page more.
    writing: SmallVec<[usize; 1]>,
    /// Where the open slots have sent their requests.
    lane: Lane,
    /// Other nodes are neither told nor asked.
    is_local: bool,
}

/// One method.
#[derive(Debug)]
struct Slot {
    method: Api,
    started_us: u64,
    /// Tag of its first request; meaningful once it has begun.
    first_tag: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting(Step),
    Asking {
        wait: Wait,
        /// Requests that are still to be sent.
        rest: smallvec::IntoIter<[(ChannelName, Op); 1]>,
        /// The result so far.
        out: Vec<u8>,
    },
    Surveying {
        wait: Wait,
        /// Shards that have not answered, and the other nodes as one more; none while the result is written.
        left: u16,
        out: Vec<u8>,
    },
    Finished(Finished),
    /// While a slot is looked at.
    Taken,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lane {
    Idle,
    Home(ShardId),
    Mixed,
}

/// Starts an authorized request to one of [`super::methods`], or to the legacy route.
pub fn start(cx: &mut ApiCx<'_>, request: Request<'_>) -> Started {
    if request.method.is_empty() {
        return start_legacy(cx, request.body);
    }
    let Some(method) = method::by_name(request.method) else {
        return Started::Done(Response::not_found());
    };
    let prepared = if method == Api::Batch {
        batch::prepare(cx, request.body).map(|(parallel, steps)| Call::new(Form::Batch { parallel }, steps))
    } else {
        let transport_errors = cx.config.http_api.error_mode_transport || request.error_mode == Some("transport");
        method::prepare(cx, method, request.body)
            .map(|step| Call::new(Form::Single { transport_errors }, [(method, step)]))
    };
    match prepared {
        Ok(call) => call.begin(cx),
        Err(_) => {
            cx.metrics.api_error(method, UNMARSHAL);
            Started::Done(Response::bad_request())
        }
    }
}

/// Starts to read the metrics of all shards.
pub fn scrape(cx: &mut ApiCx<'_>, form: ScrapeForm) -> Started {
    let scrape = Scrape::new(form);
    let form = Form::Bare { content_type: scrape.content_type() };
    Call::new(form, [(Api::Unknown, Step::Survey(Control::Metrics, Wait::Scrape(scrape)))]).begin(cx)
}

/// Starts to find out what this node tells others about itself: the response is a [`control::Node`] in Protobuf.
///
/// [`control::Node`]: crate::protocol::control::Node
pub fn report(cx: &mut ApiCx<'_>, has_metrics: bool) -> Started {
    local(info::report(has_metrics)).begin(cx)
}

/// Starts to list this node's channels for another node: the response is a [`ChannelsResult`] in Protobuf.
///
/// [`ChannelsResult`]: crate::protocol::api::ChannelsResult
pub fn list(cx: &mut ApiCx<'_>, pattern: Option<Glob>) -> Started {
    local(channels::answer(pattern)).begin(cx)
}

fn local(step: Step) -> Call {
    let form = Form::Bare { content_type: "application/octet-stream" };
    Call { is_local: true, ..Call::new(form, [(Api::Unknown, step)]) }
}

fn start_legacy(cx: &mut ApiCx<'_>, body: &[u8]) -> Started {
    if body.is_empty() {
        return Started::Done(Response::bad_request());
    }
    let legacy::Commands { ids, steps, is_cut } = legacy::prepare_all(cx, body);
    Call::new(Form::Legacy { ids, is_cut }, steps).begin(cx)
}

impl Call {
    fn new(form: Form, steps: impl IntoIterator<Item = (Api, Step)>) -> Self {
        let slot = |(method, step)| Slot { method, started_us: 0, first_tag: 0, state: State::Waiting(step) };
        Self {
            form,
            slots: steps.into_iter().map(slot).collect(),
            begun: 0,
            open: 0,
            next_tag: 0,
            in_flight: 0,
            writing: SmallVec::new(),
            lane: Lane::Idle,
            is_local: false,
        }
    }

    fn begin(mut self, cx: &mut ApiCx<'_>) -> Started {
        match self.go_on(cx) {
            Some(response) => Started::Done(response),
            None => Started::Pending(Box::new(self)),
        }
    }

    /// A channel's home answered the request with this tag. Returns the response when it was the last one.
    pub fn on_answer(&mut self, cx: &mut ApiCx<'_>, tag: u32, answer: Answer) -> Option<Response> {
        let index = self.slot_of(tag)?;
        let slot = &mut self.slots[index];
        let State::Asking { wait, out, .. } = &mut slot.state else {
            return None;
        };
        self.in_flight -= 1;
        if let Some(outcome) = wait.on_answer(cx, (tag - slot.first_tag) as usize, answer, out) {
            let finished = outcome.map(|()| std::mem::take(out));
            self.finish(cx, index, finished);
        } else if wait.goes_on() || matches!(wait, Wait::Pages(pages) if pages.goes_on()) {
            self.writing.push(index);
        }
        self.go_on(cx)
    }

    /// A shard answered the survey with this tag, or a piece of it. Returns the response when all is done.
    pub fn on_control_answer(&mut self, cx: &mut ApiCx<'_>, tag: u32, answer: ControlAnswer) -> Option<Response> {
        let index = self.slot_of(tag)?;
        let State::Surveying { wait, left, .. } = &mut self.slots[index].state else {
            return None;
        };
        *left -= u16::from(answer.is_last());
        let is_answered = *left == 0;
        wait.on_shard(answer);
        if !is_answered {
            return None;
        }
        self.writing.push(index);
        self.write(cx, &mut { WRITTEN_AT_ONCE })
    }

    /// Whether [`Call::write`] has something to do.
    pub fn is_writing(&self) -> bool {
        !self.writing.is_empty()
    }

    /// Goes on with results that are too long for one turn: so many entries are written or asked for. Returns the response when all is done.
    pub fn write(&mut self, cx: &mut ApiCx<'_>, budget: &mut usize) -> Option<Response> {
        while let Some(index) = self.writing.last().copied() {
            let slot = &mut self.slots[index];
            match &mut slot.state {
                State::Surveying { wait, out, .. } => {
                    let outcome = wait.write(cx, budget, out)?;
                    let finished = outcome.map(|()| std::mem::take(out));
                    self.finish(cx, index, finished);
                }
                State::Asking { wait, out, .. } if wait.goes_on() => {
                    let outcome = wait.write(cx, budget, out)?;
                    let finished = outcome.map(|()| std::mem::take(out));
                    self.finish(cx, index, finished);
                }
                State::Asking { wait: Wait::Pages(pages), .. } => {
                    if *budget == 0 {
                        return None;
                    }
                    let (channel, op) = pages.ask(budget);
                    cx.effects.push(ApiEffect::Op { channel, op, tag: slot.first_tag });
                    self.in_flight += 1;
                }
                _ => {}
            }
            self.writing.pop();
        }
        self.go_on(cx)
    }

    /// The slot that a tag belongs to. Slots take their tags in order, so the last one that begins at or before the
    /// tag has it (a slot that took none shares the next one's first tag).
    fn slot_of(&self, tag: u32) -> Option<usize> {
        self.slots[..self.begun].partition_point(|slot| slot.first_tag <= tag).checked_sub(1)
    }

    /// Sends what may be sent now; the response when all is done.
    fn go_on(&mut self, cx: &mut ApiCx<'_>) -> Option<Response> {
        while self.send_rest(cx) && self.begin_next(cx) {}
        (self.begun == self.slots.len() && self.open == 0).then(|| self.respond(cx))
    }

    /// Sends the requests of the slot that began last; false when some must still wait.
    fn send_rest(&mut self, cx: &mut ApiCx<'_>) -> bool {
        let Some(last) = self.begun.checked_sub(1) else {
            return true;
        };
        let State::Asking { rest, .. } = &mut self.slots[last].state else {
            return true;
        };
        while self.in_flight < MOST_IN_FLIGHT {
            let Some((channel, op)) = rest.next() else { return true };
            cx.effects.push(ApiEffect::Op { channel, op, tag: self.next_tag });
            self.next_tag += 1;
            self.in_flight += 1;
        }
        rest.len() == 0
    }

    /// Begins the next slot; false when there is none, or it must wait.
    fn begin_next(&mut self, cx: &mut ApiCx<'_>) -> bool {
        let Some(slot) = self.slots.get_mut(self.begun) else {
            return false;
        };
        let State::Waiting(step) = &slot.state else {
            return false;
        };
        if self.open == 0 {
            self.lane = Lane::Idle;
        }
        let lane = lane(step, cx.shards);
        let is_parallel = matches!(self.form, Form::Batch { parallel: true });
        if !is_parallel && self.open > 0 && lane != Lane::Idle && (lane != self.lane || lane == Lane::Mixed) {
            return false;
        }
        if lane != Lane::Idle {
            self.lane = if self.lane == Lane::Idle || self.lane == lane { lane } else { Lane::Mixed };
        }
        let index = self.begun;
        self.begun += 1;
        self.open += 1;
        slot.started_us = cx.now.mono_us;
        slot.first_tag = self.next_tag;
        let out = self.form.buffer();
        match std::mem::replace(&mut slot.state, State::Taken) {
            State::Waiting(Step::Ops(ops, wait)) => slot.state = State::Asking { wait, rest: ops.into_iter(), out },
            State::Waiting(Step::Survey(control, wait)) => {
                let asks_nodes = cx.is_clustered && !self.is_local;
                slot.state = State::Surveying { wait, left: cx.shards + u16::from(asks_nodes), out };
                cx.effects.push(ApiEffect::Survey { control: Arc::new(control), tag: self.next_tag, asks_nodes });
                self.next_tag += 1;
            }
            State::Waiting(Step::Done(result)) => {
                let whole = [out, result].concat();
                self.finish(cx, index, Ok(whole));
            }
            State::Waiting(Step::Failed(error)) => self.finish(cx, index, Err(Failed::Error(error))),
            other => slot.state = other,
        }
        true
    }

    fn finish(&mut self, cx: &mut ApiCx<'_>, index: usize, finished: Finished) {
        self.open -= 1;
        let slot = &mut self.slots[index];
        let ns = cx.now.mono_us.saturating_sub(slot.started_us) * 1000;
        if slot.method != Api::Unknown {
            cx.metrics.api(cx.now, slot.method, ns);
        }
        if slot.method == Api::Channels && finished.is_ok() {
            cx.metrics.survey(cx.now, ns);
        }
        if let (Form::Single { .. } | Form::Batch { .. }, Err(Failed::Error(error))) = (&self.form, &finished)
            && !error_is_of_null(slot.method, error)
        {
            cx.metrics.api_error(slot.method, error.code);
        }
        slot.state = State::Finished(finished);
    }

    fn respond(&mut self, cx: &mut ApiCx<'_>) -> Response {
        let is_unencodable = |slot: &&Slot| matches!(slot.state, State::Finished(Err(Failed::NotJson)));
        match self.form {
            Form::Single { .. } => {
                self.slots.iter().filter(is_unencodable).for_each(|slot| cx.metrics.api_error(slot.method, MARSHAL));
            }
            Form::Batch { .. } if self.slots.iter().any(|slot| is_unencodable(&slot)) => {
                cx.metrics.api_error(Api::Batch, MARSHAL);
            }
            Form::Batch { .. } | Form::Legacy { .. } | Form::Bare { .. } => {}
        }
        self.form.respond(std::mem::take(&mut self.slots).into_iter().filter_map(|slot| match slot.state {
            State::Finished(finished) => Some((slot.method, finished)),
            _ => None,
        }))
    }
}

/// Upstream counts every failed command of a batch except one that is `null`.
fn error_is_of_null(method: Api, error: &Error) -> bool {
    method == Api::Unknown && error.code == Error::BAD_REQUEST.code
}

/// Where a step sends its requests: nowhere, to one home, or to several shards.
fn lane(step: &Step, shards: u16) -> Lane {
    match step {
        Step::Failed(_) | Step::Done(_) => Lane::Idle,
        Step::Survey(..) => Lane::Mixed,
        // What follows must not be carried out between two pages.
        Step::Ops(_, Wait::Pages(pages)) if pages.may_go_on() => Lane::Mixed,
        Step::Ops(ops, _) => {
            let mut homes = ops.iter().map(|(channel, _)| channel.home(shards));
            let Some(first) = homes.next() else { return Lane::Idle };
            if homes.all(|home| home == first) { Lane::Home(first) } else { Lane::Mixed }
        }
    }
}
