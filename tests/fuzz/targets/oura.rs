//! Fuzzes every response from Oura: the four collections, the token's owner, the token endpoint.
#![no_main]

use std::cell::LazyCell;

use fuzz::{Service, for_good, later};
use jiff::civil::date;
use libfuzzer_sys::fuzz_target;
use oura::{Client, ClientCredentials, DailyActivity, DailyReadiness, DailySleep, Days, Endpoints, Sleep};
use url::Url;

thread_local! {
    static OURA: LazyCell<&'static (Service, Client)> = LazyCell::new(|| {
        let service = Service::start();
        let url = Url::parse(&service.url).expect("an address");
        let endpoints = Endpoints { authorize: url.clone(), token: url.clone(), revoke: url.clone(), api: url };
        for_good((service, Client::new(endpoints).expect("a client")))
    });
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (call, status, body) = input;
    let days = Days { first: date(2026, 2, 24), last: date(2026, 3, 4) };
    OURA.with(|oura| {
        let (service, client): &(Service, Client) = oura;
        let credentials = ClientCredentials { client_id: "client".to_owned(), client_secret: "secret".into() };
        let (token, url) = ("token".into(), Url::parse(&service.url).expect("an address"));
        service.answering(status, body, async {
            match call % 7 {
                0 => drop(client.documents::<Sleep>(&token, days, later()).await),
                1 => drop(client.documents::<DailySleep>(&token, days, later()).await),
                2 => drop(client.documents::<DailyReadiness>(&token, days, later()).await),
                3 => drop(client.documents::<DailyActivity>(&token, days, later()).await),
                4 => drop(client.personal_info(&token, later()).await),
                5 => drop(client.exchange(&credentials, &token, &url, &token, later()).await),
                _ => drop(client.revoke(&credentials, &token, later()).await),
            }
        });
    });
});
