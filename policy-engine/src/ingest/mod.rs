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
//! let read = ingest::read("db.yaml", &text.replace("70000", "5432"), &Options::default())?;
//! assert_eq!(read.policies[0].resource.to_string(), "CiliumNetworkPolicy shop/db");
//! assert_eq!(format!("{:#}", read.policies[0].rules[0].location), "db.yaml:7:5");
//! assert!(read.warnings.is_empty());
//! # Ok::<(), Vec<ingest::Error>>(())
//! ```

mod admin;
mod cidr;
mod cidr_group;
mod cilium;
mod document;
mod entity;
mod error;
mod fqdn;
mod groups;
mod icmp;
mod kubernetes;
mod l7;
mod list;
mod name;
mod peers;
mod ports;
mod reader;
mod render;
mod scope;
mod selector;
mod service;
mod warning;

use std::sync::Arc;

pub use self::error::{Cause, Error, FieldPath, Segment};
pub(crate) use self::groups::read as read_groups;
use self::reader::Reader;
pub use self::warning::{Doubt, Warning};
use crate::options::Options;
use crate::rule::{CidrGroup, Policy};
use crate::span::Location;
use crate::yaml;

/// What a file says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Read {
    /// The policies, in the order they stand in.
    pub policies: Vec<Policy>,
    /// The named sets of prefixes.
    pub cidr_groups: Vec<CidrGroup>,
    /// What is legal and was surely not meant, in the order of the file.
    pub warnings: Vec<Warning>,
}

/// A document of a file and what became of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Document {
    /// Where it starts.
    pub location: Location,
    /// What it says, or every reason to refuse it.
    pub outcome: Result<Resource, Vec<Error>>,
    /// What is legal in it and was surely not meant; empty if it is refused.
    pub warnings: Vec<Warning>,
}

/// What a document says.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Resource {
    /// A named set of prefixes.
    CidrGroup(CidrGroup),
    /// The rules of a policy.
    Policy(Policy),
}

/// Reads a file of one or many documents, YAML or JSON, which must all be good.
///
/// `file` is the name that locations carry.
///
/// # Errors
/// Every reason to refuse any of the documents, in the order of the file.
pub fn read(file: &str, text: &str, options: &Options) -> Result<Read, Vec<Error>> {
    let mut read = Read::default();
    let mut errors = Vec::new();
    for document in read_documents(file, text, options) {
        match document.outcome {
            Ok(Resource::CidrGroup(group)) => read.cidr_groups.push(group),
            Ok(Resource::Policy(policy)) => read.policies.push(policy),
            Err(more) => errors.extend(more),
        }
        read.warnings.extend(document.warnings);
    }
    if errors.is_empty() {
        Ok(read)
    } else {
        Err(errors)
    }
}

/// Reads a file of one or many documents; a bad one leaves the others alone.
///
/// Each item of a `List` counts as a document. Empty documents are left out. What is not YAML ends
/// the file: the document it stands in is the last one returned.
pub fn read_documents(file: &str, text: &str, options: &Options) -> Vec<Document> {
    Tree::parse(text).read(file, options)
}

/// A text as trees whose nodes know where they stand; nothing is known about policies yet.
#[derive(Debug)]
pub struct Tree<'t>(Vec<yaml::Document<'t>>);

impl<'t> Tree<'t> {
    /// Takes a text apart.
    pub fn parse(text: &'t str) -> Self {
        Self(yaml::parse(text))
    }

    /// Reads the documents, as [`read_documents`] does. Locations share the name of the file.
    pub fn read(self, file: impl Into<Arc<str>>, options: &Options) -> Vec<Document> {
        let file = file.into();
        let mut documents = Vec::new();
        for document in self.0 {
            if !document.is_empty() {
                read_document(&file, document, options, &mut documents);
            }
        }
        documents
    }
}

fn read_document(
    file: &Arc<str>,
    mut document: yaml::Document<'_>,
    options: &Options,
    documents: &mut Vec<Document>,
) {
    let location = Location {
        file: Arc::clone(file),
        position: document.start,
    };
    let mut reader = Reader::new(file, options);
    // What an alias stands for is not known, and so neither is what else is wrong.
    let readable = document.faults.iter().all(|fault| !fault.hides_content());
    for fault in std::mem::take(&mut document.faults) {
        reader.refuse_fault(fault);
    }
    let root = document.root().filter(|_| readable);
    if let Some(items) = root.and_then(|root| list::read(&mut reader, root)) {
        if !reader.is_clean() {
            documents.push(reader.finish(location, None));
            return;
        }
        for (index, item) in items.iter().enumerate() {
            let location = reader.location(item.root.span.start);
            let mut reader = Reader::of_item(file, options, index);
            let resource = document::read(&mut reader, item.root, item.kind, &location);
            documents.push(reader.finish(location, resource));
        }
        return;
    }
    let resource = root.and_then(|root| document::read(&mut reader, root, None, &location));
    documents.push(reader.finish(location, resource));
}
