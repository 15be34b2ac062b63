//! CSRF protection. The attack: an athlete's page on another site submits her own link to `POST /connect` from a
//! visitor's browser, and the visitor reaches the genuine consent page. Data that the browser sends along distinguishes
//! such a form from one of our own page.

use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{Request, Response, StatusCode};

use crate::installation::{Installation, soon};

const TOKEN: &str = "0123456789-abcdefghijklmnopqrstuvwxyz_ABCDE";

async fn open(installation: &Installation, link: &str, cookie: &str) -> Response<String> {
    let request = Request::get(format!("/connect?{link}")).header(COOKIE, cookie).body(Vec::new()).unwrap();
    installation.connector.respond(request, soon()).await
}

async fn press(installation: &Installation, path: &str, form: &str, headers: &[(&str, &str)]) -> Response<String> {
    let request = headers.iter().fold(Request::post(path), |request, (name, value)| request.header(*name, *value));
    installation.connector.respond(request.body(form.as_bytes().to_vec()).unwrap(), soon()).await
}

/// The token that the page's forms send besides the link.
fn tokens(page: &Response<String>) -> Vec<&str> {
    let rest = page.body().split(r#"name="token" value=""#).skip(1);
    rest.map(|rest| rest.split('"').next().unwrap()).collect()
}

fn cookie(page: &Response<String>) -> &str {
    page.headers().get(SET_COOKIE).map_or("", |cookie| cookie.to_str().unwrap().split(';').next().unwrap())
}

fn is_refused(answer: &Response<String>) -> bool {
    let page = answer.body();
    let headers = answer.headers();
    answer.status() == StatusCode::FORBIDDEN
        && page.contains("<h1>Please open your link again</h1>")
        && !headers.contains_key(LOCATION)
        && !headers.contains_key(SET_COOKIE)
}

#[tokio::test]
async fn the_page_and_a_host_only_cookie_share_a_token() {
    let installation = Installation::new().await;
    let link = installation.enrolled("ada", "Ada Sample").await;
    installation.connected("ada").await;
    let page = open(&installation, &link, "").await;
    let mut attributes: Vec<_> = page.headers()[SET_COOKIE].to_str().unwrap().split("; ").collect();
    let set = attributes.remove(0);
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]);
    let token = set.strip_prefix("__Host-form=").unwrap();
    assert_eq!((tokens(&page), token.len()), (vec![token, token], 43), "both forms, 256 bits");
    assert_ne!(cookie(&open(&installation, &link, "").await), set, "every browser has its own");
    for path in ["/connect", "/disconnect"] {
        let answer = press(&installation, path, &format!("{link}&token={token}"), &[("cookie", set)]).await;
        assert!([StatusCode::SEE_OTHER, StatusCode::OK].contains(&answer.status()), "{}", answer.status());
    }
}

#[tokio::test]
async fn every_tab_of_a_browser_has_the_same_token() {
    let installation = Installation::new().await;
    let (ada, ben) = (installation.enrolled("ada", "Ada").await, installation.enrolled("ben", "Ben").await);
    let first = open(&installation, &ada, "").await;
    let kept = cookie(&first).to_owned();
    let token = tokens(&first)[0].to_owned();
    for link in [&ada, &ben] {
        let tab = open(&installation, link, &format!("other=1; {kept}")).await;
        assert_eq!((tokens(&tab), cookie(&tab)), (vec![token.as_str()], ""), "the cookie stays as it is");
    }
    // The tab that was opened first still works after a button was pressed in another tab.
    for link in [&ben, &ada] {
        let answer = press(&installation, "/connect", &format!("{link}&token={token}"), &[("cookie", &kept)]).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    }
}

#[tokio::test]
async fn an_invalid_cookie_is_replaced() {
    let installation = Installation::new().await;
    let link = installation.enrolled("ada", "Ada").await;
    let long = format!("__Host-form={TOKEN}0");
    for odd in [
        "__Host-form=",
        "__Host-form=a",
        "__Host-form",
        &long,
        "__Host-form=\"><script>alert(1)</script>aaaaaaaaaaaaaaa",
    ] {
        let page = open(&installation, &link, odd).await;
        assert_eq!(format!("__Host-form={}", tokens(&page)[0]), cookie(&page), "{odd}");
        assert!(!page.body().contains("<script"), "{odd}");
    }
}

#[tokio::test]
async fn a_form_without_the_shared_token_is_refused() {
    let installation = Installation::new().await;
    let link = installation.enrolled("ada", "Ada").await;
    let kept = format!("__Host-form={TOKEN}");
    let other = TOKEN.replace('0', "1");
    for (what, form, cookie) in [
        ("another site's form: neither", link.clone(), ""),
        ("cookies are blocked", format!("{link}&token={TOKEN}"), ""),
        ("the page is older than this browser's cookie", format!("{link}&token={other}"), kept.as_str()),
        ("the form has no token", link.clone(), kept.as_str()),
        ("an empty token, an empty cookie", format!("{link}&token="), "__Host-form="),
        ("a short token that both share", format!("{link}&token=a"), "__Host-form=a"),
        ("a token given twice", format!("{link}&token={TOKEN}&token={TOKEN}"), kept.as_str()),
        (
            "a cookie of another name",
            format!("{link}&token={TOKEN}"),
            "form=0123456789-abcdefghijklmnopqrstuvwxyz_ABCDE",
        ),
        ("nothing at all", String::new(), ""),
    ] {
        for path in ["/connect", "/disconnect", "/club/connect"] {
            let answer = press(&installation, path, &form, &[("cookie", cookie)]).await;
            assert!(is_refused(&answer), "{what}: {} for {path}", answer.status());
        }
    }
}

#[tokio::test]
async fn a_form_marked_as_cross_site_by_the_browser_is_refused() {
    let installation = Installation::new().await;
    let link = installation.enrolled("ada", "Ada").await;
    let (form, kept) = (format!("{link}&token={TOKEN}"), format!("__Host-form={TOKEN}"));
    for (site, refused) in [
        ("cross-site", true),
        ("same-site", true),
        ("", true),
        ("elsewhere", true),
        ("same-origin", false),
        ("none", false),
    ] {
        for path in ["/connect", "/disconnect"] {
            let headers = [("cookie", kept.as_str()), ("sec-fetch-site", site)];
            let answer = press(&installation, path, &form, &headers).await;
            assert_eq!(is_refused(&answer), refused, "{site} to {path}: {}", answer.status());
        }
    }
    let twice = [("cookie", kept.as_str()), ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")];
    assert!(is_refused(&press(&installation, "/connect", &form, &twice).await));
}
