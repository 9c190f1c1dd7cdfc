//! Documents in, policies out.
//!
//! A document is taken or refused whole; a refusal carries every reason at once, each with file,
//! line, column and field. Nothing is skipped silently: a field that does not exist is an error,
//! and so is one that exists but is not enforced yet ([`Cause::NotModelled`]).
//!
//! ```
//! use palisade_policy::{Options, ingest};
//!
//! let text = "\
//! apiVersion: cilium.io/v2
//! kind: CiliumNetworkPolicy
//! metadata: {name: db, namespace: shop}
//! spec:
//!   endpointSelector: {matchLabels: {app: db}}
//!   ingress:
//!   - fromEndpoints: [{matchLabels: {app: cart}}]
//!     toPorts: [{ports: [{port: \"70000\", protocol: TCP}]}]
//! ";
//! let errors = ingest::read("policies/db.yaml", text, &Options::default()).unwrap_err();
//! assert!(errors[0].render(text).starts_with(
//!     "error[P001]: port is out of range\n --> policies/db.yaml:8:31\n"
//! ));
//!
//! let policies = ingest::read("db.yaml", &text.replace("70000", "5432"), &Options::default())?;
//! assert_eq!(policies[0].resource.to_string(), "CiliumNetworkPolicy shop/db");
//! assert_eq!(format!("{:#}", policies[0].rules[0].location), "db.yaml:7:5");
//! # Ok::<(), Vec<ingest::Error>>(())
//! ```

mod cidr;
mod cilium;
mod document;
mod entity;
mod error;
mod fqdn;
mod icmp;
mod kubernetes;
mod peers;
mod ports;
mod reader;
mod render;
mod scope;
mod selector;

use std::sync::Arc;

pub use self::error::{Cause, Error, FieldPath, Segment};
use self::reader::Reader;
use crate::options::Options;
use crate::rule::Policy;
use crate::span::Location;
use crate::yaml;

/// A document of a file and what became of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Document {
    /// Where it starts.
    pub location: Location,
    /// The policy, or every reason to refuse it.
    pub outcome: Result<Policy, Vec<Error>>,
}

/// Reads a file of one or many documents, YAML or JSON, which must all be good.
///
/// `file` is the name that locations carry.
///
/// # Errors
/// Every reason to refuse any of the documents, in the order of the file.
pub fn read(file: &str, text: &str, options: &Options) -> Result<Vec<Policy>, Vec<Error>> {
    let mut policies = Vec::new();
    let mut errors = Vec::new();
    for document in read_documents(file, text, options) {
        match document.outcome {
            Ok(policy) => policies.push(policy),
            Err(more) => errors.extend(more),
        }
    }
    if errors.is_empty() {
        Ok(policies)
    } else {
        Err(errors)
    }
}

/// Reads a file of one or many documents; a bad one leaves the others alone.
///
/// Empty documents are left out. What is not YAML ends the file: the document it stands in is the
/// last one returned.
pub fn read_documents(file: &str, text: &str, options: &Options) -> Vec<Document> {
    let file: Arc<str> = file.into();
    yaml::parse(text)
        .into_iter()
        .filter(|document| document.root.is_some() || !document.faults.is_empty())
        .map(|document| one(&file, document, options))
        .collect()
}

fn one(file: &Arc<str>, document: yaml::Document, options: &Options) -> Document {
    let location = Location {
        file: Arc::clone(file),
        position: document.start,
    };
    let mut reader = Reader::new(file, options);
    // What an alias stands for is not known, and so neither is what else is wrong.
    let readable = document.faults.iter().all(|fault| !fault.hides_content());
    for fault in document.faults {
        reader.refuse_fault(fault);
    }
    let policy = document
        .root
        .as_ref()
        .filter(|_| readable)
        .and_then(|root| document::read(&mut reader, root, &location));
    let outcome = match policy {
        Some(policy) if reader.is_clean() => Ok(policy),
        Some(_) | None => Err(reader.into_errors()),
    };
    Document { location, outcome }
}
