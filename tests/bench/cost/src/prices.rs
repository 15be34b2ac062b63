//! AWS's list prices.

use serde::Deserialize;

use crate::Error;

/// A price for a number of units.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// US dollars for `per` units.
    pub dollars: f64,
    /// The number of units.
    pub per: f64,
    /// Where AWS publishes the price.
    pub source: String,
}

/// The prices of one region. Each has the name of its unit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each is named for its unit; prices.toml says what a unit is")]
pub struct Prices {
    /// The year of the prices.
    pub as_of: String,
    /// The region of the prices.
    pub region: String,
    pub lambda_requests: Price,
    pub lambda_gb_seconds: Price,
    pub queue_requests: Price,
    pub table_read_units: Price,
    pub table_write_units: Price,
    pub table_gb_months: Price,
    pub secrets: Price,
    pub secret_requests: Price,
    pub log_gb: Price,
    pub metrics: Price,
    pub alarms: Price,
    pub dashboards: Price,
    pub schedule_firings: Price,
    pub api_requests: Price,
}

impl Prices {
    /// The prices in `prices.toml`.
    pub fn listed() -> Result<Self, Error> {
        toml::from_str(include_str!("../prices.toml")).map_err(|source| Error { file: "prices.toml", source })
    }
}
