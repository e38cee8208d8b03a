//! Any chunking cuts the same, and nothing is lost, added or said twice.
