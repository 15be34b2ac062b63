use url::form_urlencoded;

/// The value of `name` in a query or a form. A duplicate name counts as missing, because parsers disagree on which one
/// wins.
pub(crate) fn entry(query: &str, name: &str) -> Option<String> {
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
    let value = values.next().map(|(_, value)| value.into_owned());
    value.filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_only_if_it_occurs_once() {
        for (query, expected) in [
            ("code=a%2Bb+c&state=d", Some("a+b c")),
            ("state=d&code=", Some("")),
            ("code", Some("")),
            ("code=%FF", Some("\u{fffd}")),
            ("", None),
            ("Code=a", None),
            ("code=a&code=b", None),
            ("code=a&state=d&code=a", None),
            ("code=a&%63ode=b", None),
        ] {
            assert_eq!(entry(query, "code").as_deref(), expected, "{query}");
        }
    }
}
