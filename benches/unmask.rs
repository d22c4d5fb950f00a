//! Reading what clients send: a masked WebSocket message is found in the input and unmasked in place.
//!
//! `cargo bench --bench unmask`

use std::ops::ControlFlow;

use divan::Bencher;
use divan::counter::BytesCount;
use spindle::transport::ws::Reader;

fn main() {
    divan::main();
}

/// One masked message of so many bytes that lies wholly in the input.
#[divan::bench(args = [16, 256, 4096, 65_536])]
fn read(bencher: Bencher<'_, '_>, len: usize) {
    let mut input = vec![0x82, 0xff];
    input.extend_from_slice(&(len as u64).to_be_bytes());
    input.extend_from_slice(&[1, 2, 3, 4]);
    input.resize(input.len() + len, 0x55);
    let mut reader = Reader::new();
    bencher.counter(BytesCount::new(len)).bench_local(|| {
        let on = |event: spindle::transport::ws::Event<'_>| {
            divan::black_box(event);
            ControlFlow::Continue(())
        };
        reader.read(&mut input, len, on)
    });
}
