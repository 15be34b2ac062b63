//! The athlete's pages: the four routes, the personal links, the pages' content, and which requests are refused.

mod csrf;
pub(crate) mod pages;
pub(crate) mod params;
mod rate_limit;
mod routes;
mod signed_link;

pub use rate_limit::RateLimit;
pub use signed_link::{Link, LinkFault};
