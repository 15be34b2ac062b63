//! What the revocation of a token ends besides the token's grant.

use sim::oura::{RevocationEnds, TokenServer};

use crate::browser::{client, connect, get, oura, refresh, text};

#[tokio::test]
async fn revocation_ends_newer_grants_if_configured() {
    for ends in [RevocationEnds::Grant, RevocationEnds::Consent] {
        let (oura, _) = oura(|settings| settings.revocation_ends = ends).await;
        let (older, newer) = (connect(&oura, "ada", "daily").await, connect(&oura, "ada", "daily").await);
        let other = connect(&oura, "bea", "daily").await;
        let form =
            [("token", text(&older, "refresh_token")), ("client_id", "client"), ("client_secret", "client-secret")];
        let answer = client().post(oura.revoke_url(TokenServer::New)).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(get(&oura, &older, "personal_info").await.status(), 401);
        let status = get(&oura, &newer, "personal_info").await.status();
        assert_eq!(status, if ends == RevocationEnds::Consent { 401 } else { 200 });
        let refreshed = refresh(&oura, TokenServer::New, text(&newer, "refresh_token")).await;
        assert_eq!(refreshed.status(), if ends == RevocationEnds::Consent { 400 } else { 200 });
        assert_eq!(get(&oura, &other, "personal_info").await.status(), 200, "another person's");
    }
}
