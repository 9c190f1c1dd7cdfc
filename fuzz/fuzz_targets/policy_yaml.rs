//! Documents that others wrote: never a panic, and every refusal can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_policy::{Level, Options, ingest};

fuzz_target!(|text: &str| {
    for level in [Level::Agent, Level::Cluster] {
        let options = Options {
            level,
            ..Options::default()
        };
        match ingest::read("fuzz.yaml", text, &options) {
            Ok(read) => {
                for rule in read.policies.iter().flat_map(|policy| &policy.rules) {
                    assert!(rule.location.line() >= 1 && rule.location.column() >= 1);
                }
            }
            Err(errors) => {
                assert!(!errors.is_empty());
                for error in errors.iter().take(64) {
                    assert!(!error.render(text).is_empty());
                    assert!(!error.to_string().is_empty());
                }
            }
        }
    }
});
