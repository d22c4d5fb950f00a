//! Sockets: listening, accepting, reading, writing, HTTP. The only room with `unsafe`.

pub mod admin;
pub mod bell;
pub mod clients;
pub mod debug;
pub mod flush;
pub mod form;
pub mod heap;
pub mod http;
pub mod listener;
pub mod mux;
pub mod proxy;
pub mod reply;
pub mod ring;
pub mod routes;
pub mod site;
pub mod stream;
pub mod tasks;
