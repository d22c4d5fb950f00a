//! Bytes from a connection's socket: messages, the commands in them, and what is held back while one waits.

use std::ops::ControlFlow;

use super::connections::Phase;
use super::{Action, Engine, TURN_BUDGET};
use crate::base::ids::ConnId;
use crate::protocol::commands::Commands;
use crate::transport::ws::header::{write_close, write_pong};
use crate::transport::ws::{Event, Violation};

/// Input that came while a command was waiting for its answer.
#[derive(Default)]
pub(super) struct Held {
    /// The rest of a message whose earlier command is waiting.
    commands: Option<Vec<u8>>,
    /// Bytes behind that message.
    input: Vec<u8>,
}

impl Engine {
    /// Whether the connection's socket may be read now. If not, an [`Action::Resume`] says when.
    pub fn takes_input_of(&self, id: ConnId) -> bool {
        self.conns.get(id).is_some_and(|conn| conn.held.is_none() && !(conn.is_open() && conn.session.is_blocked()))
    }

    /// Bytes from the connection's socket. They are unmasked in place.
    pub fn input(&mut self, id: ConnId, bytes: &mut [u8]) {
        let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.phase != Phase::Leaving) else { return };
        if let Some(held) = &mut conn.held {
            held.input.extend_from_slice(bytes);
            return;
        }
        let mut reader = std::mem::take(&mut conn.reader);
        let limit = self.config.websocket.message_size_limit;
        let result = reader.read(bytes, limit, |event| self.on_event(id, event));
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.reader = reader;
        match result {
            Ok(consumed) if consumed < bytes.len() && conn.is_open() => {
                conn.held.get_or_insert_default().input.extend_from_slice(&bytes[consumed..]);
            }
            Ok(_) => {}
            Err(violation) => self.on_violation(id, violation),
        }
    }

    pub(super) fn on_event(&mut self, id: ConnId, event: Event<'_>) -> ControlFlow<()> {
        let Some(conn) = self.conns.get_mut(id) else { return ControlFlow::Break(()) };
        match event {
            Event::Close(_) => {
                let answered = conn.phase == Phase::Closing;
                self.close_session(id);
                if !answered {
                    let Event::Close(close) = event else { unreachable!() };
                    self.push_control(id, |out| write_close(out, close.map(|(code, _)| (code, ""))));
                }
                self.leave(id);
                ControlFlow::Break(())
            }
            _ if !conn.is_open() => ControlFlow::Continue(()),
            Event::Message(message) => {
                let commands = Commands::new(conn.protocol, message);
                self.run_commands(id, commands)
            }
            Event::Ping(payload) => {
                self.push_control(id, |out| write_pong(out, payload));
                ControlFlow::Continue(())
            }
            Event::Pong => {
                self.with_session(id, |session, cx| session.on_native_pong(cx));
                ControlFlow::Continue(())
            }
        }
    }

    /// Runs commands until one has to wait; then the rest is held.
    pub(super) fn run_commands(&mut self, id: ConnId, mut commands: Commands<'_>) -> ControlFlow<()> {
        loop {
            match self.conns.get(id) {
                Some(conn) if conn.is_open() => {
                    if conn.session.is_blocked() {
                        // A home on this shard answers right here, and most clients never wait.
                        self.deliver_local(TURN_BUDGET);
                    }
                }
                // Further messages have no effect, but are read on: the peer's close frame stands behind them.
                _ => return ControlFlow::Continue(()),
            }
            let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.is_open()) else {
                return ControlFlow::Continue(());
            };
            if conn.session.is_blocked() {
                let again = conn.session.wants_command_again();
                let left = if again { commands.rest_with_newest() } else { commands.rest() };
                conn.held.get_or_insert_default().commands = Some(left.to_vec());
                return ControlFlow::Break(());
            }
            match commands.next() {
                None => return ControlFlow::Continue(()),
                Some(Ok(command)) => {
                    let bytes = commands.size();
                    self.with_session(id, |session, cx| session.on_command(cx, command, bytes));
                }
                Some(Err(_)) => self.with_session(id, |session, cx| session.on_malformed(cx)),
            }
        }
    }

    /// Goes on with what was held while a command waited. True when more is left.
    pub(super) fn run_unblocked(&mut self) -> bool {
        let mut budget = TURN_BUDGET;
        while budget > 0 {
            let Some(id) = self.unblocked.pop_front() else { return false };
            budget -= 1;
            self.resume(id);
        }
        true
    }

    pub(super) fn resume(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if let Some(mut held) = conn.held.take() {
            if let Some(rest) = held.commands.take() {
                let commands = Commands::resume(conn.protocol, &rest);
                let flow = self.run_commands(id, commands);
                let Some(conn) = self.conns.get_mut(id) else { return };
                if flow.is_break() {
                    if let Some(again) = &mut conn.held {
                        again.input = held.input;
                    }
                    return;
                }
            }
            if !held.input.is_empty() {
                self.input(id, &mut held.input);
            }
        }
        // Where a command ended the connection too: the peer's close frame, or its end, is still to be read.
        if self.takes_input_of(id)
            && let Some(conn) = self.conns.get(id)
        {
            self.actions.push(Action::Resume { socket: conn.socket });
        }
    }

    pub(super) fn on_violation(&mut self, id: ConnId, violation: Violation) {
        let Some(conn) = self.conns.get(id) else { return };
        if conn.phase == Phase::Closing {
            self.leave(id);
            return;
        }
        self.close_session(id);
        self.push_control(id, |out| violation.write_close(out));
        if let Some(conn) = self.conns.get_mut(id) {
            conn.lingers = violation.code().is_some();
        }
        self.leave(id);
    }
}
