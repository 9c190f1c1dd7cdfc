//! Network policies in, decision tables, verdicts and explanations out.
