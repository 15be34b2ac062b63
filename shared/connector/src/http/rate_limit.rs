//! Limits the requests of one client address, so that one client can neither block athletes nor run up costs.
//!
//! Each process counts only its own requests. That is inexact when several run in parallel, but it need not be exact:
//! the API in front has a total limit, which bounds what a flood costs.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The length of one counting period.
pub(crate) const WINDOW: Duration = Duration::from_mins(1);

/// The most requests of one address within [`WINDOW`]. It allows a squad of a hundred behind one address to open the
/// link, press the button and return from Oura.
const MOST_REQUESTS: u32 = 300;

/// The most addresses counted at once. Requests from further addresses are admitted: so many addresses are not one
/// client.
const MOST_ADDRESSES: usize = 10_000;

/// Counts requests by the address they come from.
#[derive(Debug, Default)]
pub struct RateLimit(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    began: Option<Instant>,
    by_address: HashMap<IpAddr, u32>,
}

impl RateLimit {
    /// Counts a request; `false` if its address has sent too many within the last minute.
    #[must_use]
    pub fn admits(&self, address: IpAddr, now: Instant) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.began.is_none_or(|began| now.duration_since(began) >= WINDOW) {
            *counts = Counts { began: Some(now), by_address: HashMap::new() };
        }
        let address = network(address);
        if counts.by_address.len() >= MOST_ADDRESSES && !counts.by_address.contains_key(&address) {
            return true;
        }
        let count = counts.by_address.entry(address).or_default();
        *count = count.saturating_add(1);
        if *count == MOST_REQUESTS.saturating_add(1) {
            tracing::warn!("one address sent more than {MOST_REQUESTS} requests within a minute; refusing the rest");
        }
        *count <= MOST_REQUESTS
    }
}

/// The part of an address that identifies one client: a whole IPv4 address, or the first 64 bits of an IPv6 address,
/// because providers give one client a /64 network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_is_refused_and_the_others_are_served() {
        let (limit, now) = (RateLimit::default(), Instant::now());
        let admitted = (0..2_000).filter(|_| limit.admits(address("192.0.2.1"), now)).count();
        assert_eq!(admitted, 300);
        assert!(limit.admits(address("192.0.2.2"), now));
        assert!(!limit.admits(address("192.0.2.1"), now + WINDOW / 2));
        assert!(limit.admits(address("192.0.2.1"), now + WINDOW), "a minute later it is counted anew");
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_count_as_one() {
        let (limit, now) = (RateLimit::default(), Instant::now());
        let admitted = (0..1_000).filter(|host| limit.admits(address(&format!("2001:db8::{host:x}")), now)).count();
        assert_eq!(admitted, 300);
        assert!(limit.admits(address("2001:db8:0:1::1"), now));
        assert!(limit.admits(address("::ffff:192.0.2.1"), now));
    }

    #[test]
    fn the_number_of_counted_addresses_is_bounded() {
        let (limit, now) = (RateLimit::default(), Instant::now());
        for number in 0..20_000 {
            assert!(limit.admits(IpAddr::from(std::net::Ipv4Addr::from_bits(number)), now));
        }
        assert_eq!(limit.0.lock().unwrap().by_address.len(), MOST_ADDRESSES);
    }
}
