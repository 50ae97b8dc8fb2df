//! Measures what pronk costs and how right it is.
