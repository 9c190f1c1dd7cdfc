use palisade_abi::TableSizes;
use palisade_fqdn::Limits;
use palisade_identity::LabelSet;
use palisade_policy::Options;

/// What a node is and may use.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Config {
    /// How policies decide.
    pub options: Options,
    /// How large the tables are.
    pub sizes: TableSizes,
    /// How much is remembered of names.
    pub names: Limits,
    /// The node's own labels, by which policies select it; that it is the host is added.
    pub host_labels: LabelSet,
}

impl Config {
    /// A node whose policies are read and decide under `options`.
    pub fn new(options: Options, sizes: TableSizes, names: Limits) -> Self {
        Self {
            options,
            sizes,
            names,
            host_labels: LabelSet::new(),
        }
    }
}
