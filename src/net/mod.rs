//! Sockets: listening, accepting, reading, writing, HTTP. The only room with `unsafe`.

pub mod bell;
pub mod ring;
