//! Messages: the client protocol and the server API, their JSON and Protobuf codecs, and the tables of codes.

pub mod disconnect;
pub mod error;
