//! Plans and executes changes: the only writer.
