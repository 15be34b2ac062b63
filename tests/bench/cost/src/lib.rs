//! What an installation costs a month on AWS: list prices times counts.
//!
//! The prices stand in `prices.toml`, with where they are published; what the product does stands in `counts.toml`, with
//! the test that holds it. Nothing is measured here, and nothing of the product is linked, so that the bill is printed in
//! a second: `cargo bench-cost`.
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

/// One of the two files is not what it should be; the message names the line.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {source}")]
pub struct Error {
    /// Which of them.
    file: &'static str,
    /// What is wrong with it.
    source: toml::de::Error,
}
