# Every chore of the house. `just` alone lists them.

server := "target/release/spindle"

_list:
    @just --list --unsorted

# A server to try things out with: http://127.0.0.1:8000
dev *flags:
    cargo run --release -- --dev {{flags}}

# Does it compile?
check:
    cargo check --workspace --all-targets

# Format everything
fmt:
    cargo fmt --all
    rustfmt --edition 2024 fuzz/fuzz_targets/*.rs tests/sdk/rust/client.rs

# Lints, warnings are errors
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# Unit, property and integration tests, the laws of the house among them
test *filter:
    cargo test --workspace {{filter}}

# Everything that CI checks, or only some parts: `just all sdk browser`
all *parts:
    bash tests/run {{parts}}

# Replay one seed of the simulator
sim seed:
    SPINDLE_SIM_SEED={{seed}} cargo test --release --test sim -- --nocapture

# The simulator under so many fresh seeds, and Redis failing under so many publications before and after
soak seeds="5000" publications="500000":
    SPINDLE_SIM_SEEDS={{seeds}} cargo test --release --test sim -- --nocapture
    SPINDLE_LOAD={{publications}} cargo test --release --test cluster storms -- --nocapture --test-threads 1

# So many random commands to our server, and the same ones to a reference if its binary is named
differential commands="100000" reference="":
    {{ if reference == "" { "" } else { "SPINDLE_REFERENCE=" + reference } }} SPINDLE_DIFF_COMMANDS={{commands}} cargo test --test differential -- --nocapture

# Does the simulator notice each planted fault?
mutations:
    cargo test --features mutations --test mutations -- --nocapture

# The doorbell protocol under every interleaving
loom:
    CARGO_TARGET_DIR=target/loom RUSTFLAGS='--cfg model_check' cargo test --release --lib mesh::doorbell

# Every fuzz target for so many seconds
fuzz seconds="60":
    bash fuzz/run {{seconds}}

# Official client SDKs against the release build
sdk *suites:
    cargo build --release
    tests/sdk/run '{{server}} --shards 2 -c {config}' {{suites}}

# The demo page and a load report in a real browser
browser:
    cargo build --release --workspace
    tests/browser/run {{server}} target/release/spindle-loadtest

# Benchmarks of single rooms
bench *filter:
    cargo bench {{filter}}

# Instructions of the operations that a message is made of, by callgrind; all, or those that match a word
instructions word="":
    bash benches/instructions.sh {{word}}

# The load generator: `just loadtest fanout --core 1 --server-core 0 --server 'target/release/spindle -p {port} ...'`
loadtest *arguments:
    cargo run --release --package spindle-loadtest -- {{arguments}}

# API documentation of the crate
doc:
    cargo doc --no-deps --document-private-items --open
