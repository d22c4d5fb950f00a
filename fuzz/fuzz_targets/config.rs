//! A configuration file in each format, with the environment that its lines make: whatever loads must survive being
//! checked, prepared, written and loaded again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spindle::config::dotenv;
use spindle::config::env::Env;
use spindle::config::file::Format;
use spindle::config::load::{Loaded, Sources, load};
use spindle::config::prepare::{Host, prepare};
use spindle::config::validate::validate;
use spindle::config::write::write;

fn load_file(name: &str, text: &str, env: &Env) -> Option<Loaded> {
    load(Sources { file: Some((name, text)), env, flags: &[] }).ok()
}

fuzz_target!(|input: &str| {
    let (variables, text) = input.split_once("---\n").unwrap_or(("", input));
    let mut env = Env::new();
    let _ = dotenv::merge(variables, &mut env);
    for (name, format) in [("a.json", Format::Json), ("a.yaml", Format::Yaml), ("a.toml", Format::Toml)] {
        let Some(loaded) = load_file(name, text, &env) else {
            continue;
        };
        let written = write(&loaded.options, format);
        // A variable may hold the form of another one, which then is missing.
        if written.contains("${CENTRIFUGO_VAR_") {
            continue;
        }
        let again = load_file(name, &written, &Env::new()).expect("what is written loads");
        assert!(again.unknown_keys.is_empty(), "{:?}", again.unknown_keys);
        if validate(&loaded.options).is_ok() {
            let _ = prepare(&loaded.options, &Host { name: "fuzz", resolve: &|_| None }, false);
        }
    }
});
