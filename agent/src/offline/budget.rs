//! What the policies in files cost a node that has the pods in these files.

use std::path::PathBuf;

use super::world::{OfflineError, node};
use crate::print;

/// Prints what the tables hold, and which rules take how much of them.
pub(crate) fn budget(files: &[PathBuf]) -> Result<(), OfflineError> {
    let node = node(None, files)?;
    let tables = node.tables();
    print::line(&tables.budget().to_string()).map_err(OfflineError::Print)?;
    let costs = tables.budget_by_rule();
    for cost in costs.iter().take(SHOWN) {
        print::line(&format!("  {cost}")).map_err(OfflineError::Print)?;
    }
    match costs.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => {
            let more = print::count(more, "rule takes", "rules take");
            print::line(&format!("  {more} no more than the last of these"))
        }
        _ => Ok(()),
    }
    .map_err(OfflineError::Print)
}

/// Rules that are listed, the dearest first.
const SHOWN: usize = 20;
