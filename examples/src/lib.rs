//! One runnable example per kind of user.
