//! Exact search over stored vectors, and its evaluation.
