//! Calculates what an installation costs a month on AWS: list prices times counts.
//!
//! The prices are in `prices.toml`, with their sources. The counts are in `counts.toml`, with the test that checks each
//! of them. This crate measures nothing and links nothing of the product, so `cargo bench-cost` prints the bill within
//! a second.
//!
//! ```
//! let (prices, counts) = (cost::Prices::listed()?, cost::Counts::held()?);
//! let bill = cost::bill(&prices, &counts, cost::Site { athletes: 1000, worker_mb: counts.template.worker_mb });
//! println!("{bill}");
//! # Ok::<(), cost::Error>(())
//! ```

mod bill;
mod counts;
mod prices;

pub use bill::{Bill, Line, Payer, Site, bill};
pub use counts::{Assumed, Bytes, Code, Counts, Day, Template};
pub use prices::{Price, Prices};

/// One of the two files is invalid; the message names the line.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {source}")]
pub struct Error {
    /// The file.
    file: &'static str,
    /// What is wrong with it.
    source: toml::de::Error,
}
