use std::collections::HashMap;

use crate::label::Label;
use crate::label_set::{LabelSet, LabelSetError};

/// Labels that have been read, each once.
///
/// The workloads of a cluster share most of their labels: to read a list through a pool costs a
/// lookup for each label that has occurred before.
///
/// ```
/// use palisade_identity::{LabelPool, LabelSet};
///
/// let mut pool = LabelPool::default();
/// let labels = pool.parse(["k8s:app=web", "k8s:tier=db"])?;
/// assert_eq!(labels, LabelSet::parse(["k8s:tier=db", "k8s:app=web"])?);
/// # Ok::<(), palisade_identity::LabelSetError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct LabelPool {
    by_text: HashMap<Box<str>, Label>,
}

impl LabelPool {
    /// Reads a list of labels.
    ///
    /// # Errors
    /// As [`LabelSet::parse`].
    pub fn parse<I>(&mut self, texts: I) -> Result<LabelSet, LabelSetError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let texts = texts.into_iter();
        let mut labels = Vec::with_capacity(texts.size_hint().0);
        for text in texts {
            let text = text.as_ref();
            let label = if let Some(label) = self.by_text.get(text) {
                label.clone()
            } else {
                let label: Label = text.parse()?;
                self.by_text.insert(text.into(), label.clone());
                label
            };
            labels.push(label);
        }
        LabelSet::try_from(labels)
    }
}
