//! A client's connection: frames, encodings, and the messages in them.

use std::collections::HashMap;
use std::net::TcpStream;
use std::time::Instant;

use serde_json::Value;
use spindle::protocol::client::{ClientInfo, Command, Publication, Reply};
use spindle::protocol::raw::Raw;
use spindle::protocol::{Protocol, json, proto, reply};

use crate::patches::{BYTES, Patches};
use crate::step::id_of;
use crate::support::PATIENCE;
use crate::support::ws::{CLOSE, Client, Frame, HANDSHAKE, TEXT, frame};

const BINARY: u8 = 0x82;

/// A message of the server.
pub struct Message {
    /// As JSON, as it came or as it would have come.
    pub text: String,
    pub value: Value,
    /// What the command that it answers was about.
    pub channel: Option<String>,
}

impl Message {
    pub fn id(&self) -> Option<u64> {
        self.value["id"].as_u64()
    }
}

/// A connection.
pub struct Connection {
    client: Client,
    protocol: Protocol,
    arrived: Vec<Message>,
    /// Channels of the commands by id.
    asked: HashMap<u64, String>,
    end: Option<String>,
    is_connected: bool,
    /// The last id that was sent first.
    first_id: Option<u64>,
    pub patches: Patches,
}

impl Connection {
    pub fn open(stream: TcpStream, protocol: Protocol) -> Self {
        let mut client = Client::on(stream);
        client.write(
            match protocol {
                Protocol::Json => HANDSHAKE.to_owned(),
                Protocol::Protobuf => HANDSHAKE.replacen("websocket HTTP", "websocket?cf_protocol=protobuf HTTP", 1),
            }
            .as_bytes(),
        );
        client.expect_upgrade();
        Self {
            client,
            protocol,
            arrived: Vec::new(),
            asked: HashMap::new(),
            end: None,
            is_connected: false,
            first_id: None,
            patches: Patches::default(),
        }
    }

    pub fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Sends commands, given as JSON, in one frame.
    pub fn send(&mut self, commands: &[String]) {
        for command in commands {
            let Ok(value) = serde_json::from_str::<Value>(command) else { continue };
            let Some(id) = id_of(&value) else { continue };
            self.first_id = self.first_id.or(Some(id));
            let channels = value.as_object().into_iter().flat_map(|command| command.values());
            if let Some(channel) = channels.filter_map(|request| request["channel"].as_str()).next() {
                self.asked.insert(id, channel.to_owned());
            }
        }
        match self.protocol {
            Protocol::Json => self.send_raw(false, commands.join("\n").as_bytes()),
            Protocol::Protobuf => {
                let mut out = Vec::new();
                for command in commands {
                    // What JSON can say and Protobuf cannot is sent as it is, and is rubbish.
                    match json::decode_first::<Command<'_>>(command.as_bytes()) {
                        Ok(command) => proto::encode_delimited(&command, &mut out),
                        Err(_) => out.extend_from_slice(command.as_bytes()),
                    }
                }
                self.send_raw(true, &out);
            }
        }
    }

    pub fn send_raw(&mut self, binary: bool, bytes: &[u8]) {
        let frame = frame(if binary { BINARY } else { TEXT }, bytes);
        // Whoever is closed already hears of it when reading.
        let _ = std::io::Write::write_all(&mut self.client.stream, &frame);
    }

    /// Hears the answer to the first command. False when there will be none.
    pub fn hear_first(&mut self) -> bool {
        match self.first_id {
            Some(id) => self.hear_until(id),
            // Not a connect command: whatever it was, this is one command too many.
            None => {
                self.send(&[r#"{"id":1,"rpc":{}}"#.to_owned()]);
                self.hear_until(1)
            }
        }
    }

    /// Hears what comes until then, or until the end.
    pub fn hear_for(&mut self, until: Instant) {
        while self.end.is_none()
            && let left = until.saturating_duration_since(Instant::now())
            && !left.is_zero()
        {
            self.client.stream.set_read_timeout(Some(left)).expect("a timeout");
            match self.client.frame_or_silence() {
                Ok(frame) => self.take_frame(frame),
                Err(_) => break,
            }
        }
        self.client.stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    }

    /// Hears up to the answer with this id. False when the stream ended before.
    pub fn hear_until(&mut self, id: u64) -> bool {
        let mut looked_at = 0;
        loop {
            let news = &self.arrived[looked_at..];
            if news.iter().any(|message| message.id() == Some(id)) {
                return true;
            }
            looked_at = self.arrived.len();
            if self.end.is_some() || !self.hear() {
                return false;
            }
        }
    }

    /// Hears one frame. False at the end.
    fn hear(&mut self) -> bool {
        let Ok(frame) = self.client.frame_or_silence() else {
            self.end = Some("says nothing any more".to_owned());
            return false;
        };
        self.take_frame(frame);
        self.end.is_none()
    }

    fn take_frame(&mut self, frame: Option<Frame>) {
        match frame {
            None => self.end = Some("ends without a close frame".to_owned()),
            Some((CLOSE, payload)) => {
                let code = payload.get(..2).map_or(0, |code| u16::from_be_bytes([code[0], code[1]]));
                let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned();
                self.end = Some(format!("closes {code} {reason}"));
            }
            Some((TEXT, payload)) => {
                let text = String::from_utf8_lossy(&payload);
                for line in text.split('\n') {
                    self.arrive(line.to_owned());
                }
            }
            Some((BINARY, payload)) => {
                let mut reader = proto::Reader::new(&payload);
                while !reader.rest().is_empty() {
                    let text = as_json(reader.bytes().expect("a message behind its length"));
                    self.arrive(text);
                }
            }
            Some((first, payload)) => panic!("a frame {first:#x} {payload:?}"),
        }
    }

    fn arrive(&mut self, text: String) {
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        self.is_connected |= value["connect"].is_object();
        let channel = value["id"].as_u64().and_then(|id| self.asked.get(&id).cloned());
        self.arrived.push(Message { text, value, channel });
    }

    /// What has arrived since.
    pub fn take(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.arrived)
    }

    /// How the stream ended, if it has. One that could not connect is of no use, and ends here.
    pub fn end(&mut self) -> Option<String> {
        if self.end.is_none() && !self.is_connected {
            return Some("could not connect".to_owned());
        }
        self.end.take()
    }
}

/// A Protobuf reply as JSON. Payloads that are not JSON become texts.
fn as_json(message: &[u8]) -> String {
    let mut reply: Reply<'_> = proto::decode(message).expect("a reply");
    if let Some(push) = &mut reply.push {
        push.r#pub.iter_mut().for_each(quote_publication);
        let infos = [
            push.join.iter_mut().find_map(|join| join.info.as_mut()),
            push.leave.iter_mut().find_map(|leave| leave.info.as_mut()),
        ];
        infos.into_iter().flatten().for_each(quote_info);
        push.subscribe.iter_mut().for_each(|subscribe| quote(&mut subscribe.data));
    }
    let presence = reply.presence.iter_mut().flat_map(|result| &mut result.presence);
    presence.for_each(|(_, info)| quote_info(info));
    reply.history.iter_mut().flat_map(|result| &mut result.publications).for_each(quote_publication);
    reply.connect.iter_mut().for_each(|result| quote(&mut result.data));
    let subs = reply.connect.iter_mut().flat_map(|result| &mut result.subs).map(|(_, result)| result);
    for result in subs.chain(reply.subscribe.as_deref_mut()) {
        quote(&mut result.data);
        result.publications.iter_mut().chain(&mut result.state).for_each(quote_publication);
    }
    let mut out = Vec::new();
    reply::encode_reply(Protocol::Json, &reply, &mut out).expect("JSON");
    String::from_utf8(out).expect("text")
}

fn quote_publication(publication: &mut Publication<'_>) {
    quote(&mut publication.data);
    publication.info.iter_mut().for_each(quote_info);
}

fn quote_info(info: &mut ClientInfo<'_>) {
    quote(&mut info.conn_info);
    quote(&mut info.chan_info);
}

fn quote(payload: &mut Raw<'_>) {
    let text = std::str::from_utf8(&payload.0);
    let is_json = text.is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
    if !payload.is_empty() && !is_json {
        let digits: String = payload.0.iter().map(|byte| format!("{byte:02x}")).collect();
        *payload = Raw(format!("\"{BYTES}{digits}\"").into_bytes().into());
    }
}
