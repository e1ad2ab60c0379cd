//! A proxy from the node that it announces.
