//! Checks the Oura application: its credentials, its callback address, and whether that address leads to this
//! installation.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use connector::{Connector, Link};
use jiff::Timestamp;
use oura::{Callback, ClientCredentials};
use reqwest::StatusCode;
use reqwest::redirect::Policy;
use store::{AthleteId, Keyring};

use super::checkup::Checkup;
use crate::installation::soon;
use crate::remote_errors::{self, Keeper};

const CLIENT: &str = "oura-client";
const CALLBACK: &str = "callback";
const ADDRESS: &str = "public-address";

/// The checks of this file, in order.
pub(super) const CHECKS: [&str; 3] = [CLIENT, CALLBACK, ADDRESS];

pub(super) async fn check(
    checkup: &mut Checkup,
    connector: &Connector,
    application: Option<&ClientCredentials>,
    key: Option<&Keyring>,
) {
    match application {
        None => checkup.skip_all(&[CLIENT, CALLBACK], "oura-secret"),
        Some(application) => {
            if recognised(checkup, connector, application).await {
                registered(checkup, connector, application).await;
            } else {
                checkup.skip(CALLBACK, CLIENT);
            }
        }
    }
    match key {
        None => checkup.skip(ADDRESS, "key"),
        Some(key) => ours(checkup, connector, key).await,
    }
}

async fn recognised(checkup: &mut Checkup, connector: &Connector, application: &ClientCredentials) -> bool {
    match connector.oura.recognises(application, soon().instant()).await {
        Ok(()) => {
            checkup.pass(CLIENT, "Oura knows the application");
            true
        }
        Err(error) => {
            checkup.explained(CLIENT, remote_errors::token_server(Keeper::of(&connector.secrets), &error));
            false
        }
    }
}

async fn registered(checkup: &mut Checkup, connector: &Connector, application: &ClientCredentials) {
    let address = connector.settings.callback();
    let remedy =
        format!("register {address} as the application’s redirect URI in Oura’s developer portal, letter for letter");
    match connector.oura.callback(&application.client_id, &address, soon().instant()).await {
        Ok(Callback::Registered) => checkup.pass(CALLBACK, format!("{address} is registered at Oura")),
        Ok(Callback::Refused) => {
            checkup.fail(CALLBACK, "callback-not-registered", format!("Oura sends nobody to {address}"), remedy);
        }
        Ok(Callback::Untold) => {
            let says = "Oura tells only somebody who signs in whether the address is registered";
            checkup.unknown(CALLBACK, says, format!("make sure by eye: {remedy}"));
        }
        Err(error) => {
            checkup.unknown(CALLBACK, format!("OuraAuthorizeUrl: {error}"), format!("make sure by eye: {remedy}"));
        }
    }
}

/// Opens a link that this installation signed and that expired long ago. Only this installation can recognise its own
/// signature. The link belongs to no athlete and opens nothing.
async fn ours(checkup: &mut Checkup, connector: &Connector, key: &Keyring) {
    let page = connector.settings.page("connect");
    let Ok(nobody) = AthleteId::parse("connector doctor") else { return };
    let link = Link::new(key, nobody, Timestamp::UNIX_EPOCH).to_url(page.clone());
    let mut client = reqwest::Client::builder().redirect(Policy::none()).timeout(Duration::from_secs(20));
    // Always the loopback address, whatever the resolver returns (RFC 6761, section 6.3). This can be a proxy on a
    // laptop or an emulator.
    if let Some(name) = page.host_str().filter(|name| name.ends_with(".localhost")) {
        client = client.resolve(name, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    }
    let answer = match client.build() {
        Ok(client) => client.get(link).send().await.map(|answer| answer.status()),
        Err(error) => Err(error),
    };
    let (finding, says, remedy) = match answer {
        Ok(StatusCode::GONE) => return checkup.pass(ADDRESS, format!("{page} is this installation’s")),
        Ok(status) if status.is_server_error() => (
            "public-address-unwell",
            format!("{page} answers with status {}", status.as_u16()),
            "look at the logs of the oauth function, and at whatever stands in front of it",
        ),
        Ok(status) => (
            "public-address-elsewhere",
            format!("{page} answers with status {}, not as this installation would", status.as_u16()),
            "lead PublicUrl to this installation, path included, or correct it",
        ),
        // The error's own text contains the link.
        Err(_) => (
            "public-address-unreachable",
            format!("{page} can’t be reached"),
            "check DNS, TLS and whatever stands in front of the API; of a pilot, that `serve` runs",
        ),
    };
    checkup.fail(ADDRESS, finding, says, remedy);
}
