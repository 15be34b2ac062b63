//! Fuzzes every response from a Smartabase site: roster, groups, imports, look-ups, profiles, deletions, forms.
#![no_main]

use std::cell::LazyCell;

use fuzz::{Service, for_good, later};
use jiff::civil::date;
use libfuzzer_sys::fuzz_target;
use smartabase::{Client, Credentials, Event, EventId, FormKind, FormName, FormSummary, Site, TimeOfDay, UserId};

thread_local! {
    static SITE: LazyCell<&'static (Service, Client)> = LazyCell::new(|| {
        let service = Service::start();
        let client = Client::new(Site::parse(&format!("{}/site", service.url)).expect("an address")).expect("a client");
        for_good((service, client))
    });
}

fn event(existing: Option<u64>) -> Event {
    let time = TimeOfDay::new(21, 0).expect("a time");
    let fields = vec![("Sleep Score".to_owned(), "82".to_owned()), ("Note".to_owned(), String::new())];
    Event {
        user: UserId(1009),
        date: date(2026, 3, 3),
        start: time,
        finish: time,
        existing: existing.map(EventId),
        fields,
    }
}

/// The same response opens the session, lists the forms and describes one form.
async fn forms(client: &Client, credentials: &Credentials) {
    if let Ok(session) = client.open_session(credentials, later()).await {
        let form = FormSummary { id: 7, name: FormName::from("Sleep"), kind: FormKind::Event, read_only: false };
        drop(session.forms(later()).await);
        drop(session.schema(&form, later()).await);
    }
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (call, status, body) = input;
    let credentials = Credentials { username: "api.account".to_owned(), password: "password".into() };
    let (form, user, fields) = (FormName::from("Sleep"), UserId(1009), [("ID".to_owned(), "abc".to_owned())]);
    let (first, last) = (date(2026, 3, 1), date(2026, 3, 7));
    SITE.with(|site| {
        let (service, client): &(Service, Client) = site;
        service.answering(status, body, async {
            match call % 9 {
                0 => drop(client.roster(&credentials, later()).await),
                1 => drop(client.group_members(&credentials, "Squad", later()).await),
                2 => drop(client.import(&credentials, &form, &[event(None), event(Some(7))], later()).await),
                3 => drop(client.events(&credentials, &form, user, first, last, later()).await),
                4 => drop(client.import_profile(&credentials, &form, user, &fields, later()).await),
                5 => drop(client.profiles(&credentials, &form, &[user], later()).await),
                6 => drop(client.sign_in(&credentials, later()).await),
                7 => forms(client, &credentials).await,
                _ => drop(client.delete_event(&credentials, EventId(7), later()).await),
            }
        });
    });
});
