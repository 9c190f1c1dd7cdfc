//! Compiles a folder of policies and explains a flow: for CI, without root and without a kernel.
//!
//! ```text
//! cargo run -q -p palisade-examples --bin explain_flow -- examples/policies cart pay:8443
//! ```
//! Exit status 0 if the flow is allowed, 1 if it is denied, 2 if a document is refused.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::{env, fs};

use palisade_abi::{Action, EndpointId, Protocol, TableSizes};
use palisade_identity::{Allocator, LabelSet, Range};
use palisade_policy::{
    Desired, Flow, LocalEndpoint, NamedPorts, Options, Party, Policy, ProxyPorts, Tables, ingest,
};

/// The pods of the shop. A real tool would read them from manifests.
const PODS: [&str; 4] = ["web", "cart", "pay", "db"];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, source, target] = arguments.as_slice() else {
        eprintln!("usage: explain_flow FOLDER SOURCE DESTINATION:PORT");
        return Ok(ExitCode::from(2));
    };
    let (destination, port) = target.split_once(':').ok_or("no port: write pay:8443")?;

    let options = Options::default();
    let Some(policies) = read_folder(Path::new(folder), &options)? else {
        return Ok(ExitCode::from(2));
    };

    // Equal labels would share an identity; here every pod has labels of its own.
    let mut allocator = Allocator::new(Range::CLUSTER);
    let mut identities = BTreeMap::new();
    let mut endpoints = Vec::new();
    let mut parties = BTreeMap::new();
    for (name, number) in PODS.into_iter().zip(1..) {
        let labels = LabelSet::parse([
            format!("k8s:app={name}"),
            "k8s:io.kubernetes.pod.namespace=shop".to_owned(),
            format!("k8s:io.cilium.k8s.policy.cluster={}", options.cluster_name),
        ])?;
        let (identity, _) = allocator.allocate(&labels)?;
        let id = EndpointId::new(number);
        identities.insert(identity, labels.clone());
        endpoints.push(LocalEndpoint::new(id, labels));
        let name_in_full = Arc::from(format!("shop/{name}"));
        parties.insert(
            name,
            Party {
                name: name_in_full,
                identity,
                endpoint: Some(id),
            },
        );
    }

    let mut tables = Tables::new(TableSizes::default());
    tables.update(&Desired {
        identities: &identities,
        endpoints: &endpoints,
        policies: &policies,
        options: &options,
        named_ports: NamedPorts::NONE,
        proxy_ports: ProxyPorts::NONE,
    })?;

    let party = |name: &str| parties.get(name).cloned().ok_or(format!("no pod {name}"));
    let explanation = tables.explain(&Flow {
        source: party(source)?,
        destination: party(destination)?,
        protocol: Protocol::TCP,
        port: port.parse()?,
    });
    println!("{explanation}");
    Ok(match explanation.action {
        Action::Allow | Action::Redirect => ExitCode::SUCCESS,
        Action::Deny => ExitCode::FAILURE,
    })
}

/// Every policy of a folder; `None` if one was refused, which has then been said.
fn read_folder(
    folder: &Path,
    options: &Options,
) -> Result<Option<Vec<Arc<Policy>>>, Box<dyn Error>> {
    let mut policies = Vec::new();
    let mut refused = false;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        match ingest::read(&path.to_string_lossy(), &text, options) {
            Ok(read) => policies.extend(read.policies.into_iter().map(Arc::new)),
            Err(errors) => {
                refused = true;
                for error in &errors {
                    eprintln!("{}", error.render(&text));
                }
            }
        }
    }
    Ok((!refused).then_some(policies))
}
