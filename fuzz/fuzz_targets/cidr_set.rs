//! A prefix and its exceptions, one a line: what is taken selects what it says, and prints back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_identity::LabelSet;
use palisade_policy::{Level, Options, PeerKind, ingest, print};

fuzz_target!(|text: &str| {
    let mut lines = text
        .lines()
        .map(|line| format!("'{}'", line.replace('\'', "''")));
    let cidr = lines.next().unwrap_or_else(|| "''".to_owned());
    let except: Vec<String> = lines.take(64).collect();
    let document = format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p}}\n\
         spec: {{endpointSelector: {{}}, egress: [{{toCIDRSet: [{{cidr: {cidr}, except: [{}]}}]}}]}}\n",
        except.join(", ")
    );
    for level in [Level::Agent, Level::Cluster] {
        let options = Options {
            level,
            ..Options::default()
        };
        let Ok(read) = ingest::read("fuzz.yaml", &document, &options) else {
            continue;
        };
        let policy = &read.policies[0];
        let peer = &policy.rules[0].peers.list()[0];
        let PeerKind::Cidr { prefix, except } = &peer.kind else {
            panic!("not a prefix");
        };
        if prefix.length() > 0 {
            let labels = LabelSet::of_prefix(*prefix);
            let is_out = except.iter().any(|inner| inner.covers(*prefix));
            assert_eq!(peer.selector.matches(&labels), !is_out);
        }
        let printed = print::policy(policy).expect("a prefix can be printed");
        let again = ingest::read("fuzz.yaml", &printed, &options).expect("and read again");
        assert_eq!(again.policies[0].rules[0].peers.list()[0].kind, peer.kind);
    }
});
