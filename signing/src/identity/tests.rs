use proptest::prelude::*;

use super::{IDENTITY_BYTES_MAX, IdentityPattern};

const TAGS: &str = "https://github.com/acme/plugins/.github/workflows/release.yml@refs/tags/";

fn pattern(text: &str) -> IdentityPattern {
    IdentityPattern::try_from(text.to_owned()).unwrap()
}

#[test]
fn an_exact_identity_matches_itself_alone() {
    let exact = format!("{TAGS}v1.0.0");
    for text in ["ci@acme.example", "spiffe://acme.example/ci", &exact] {
        assert!(pattern(text).matches(text));
        for other in [
            format!("{text}0"),
            format!("x{text}"),
            text.to_uppercase(),
            text[1..].to_owned(),
            format!("{text}\0"),
            format!("{text}\n"),
            String::new(),
        ] {
            assert!(!pattern(text).matches(&other), "{text} {other:?}");
        }
    }
}

#[test]
fn a_wildcard_stands_for_the_tag_of_one_workflow() {
    let tags = pattern(&format!("{TAGS}*"));
    for tag in ["v1.0.0", "acme/thermostat/v1", "thermostat@1.0.0", "v1..2"] {
        assert!(tags.matches(&format!("{TAGS}{tag}")), "{tag}");
    }
    for other in [
        TAGS.to_owned(),
        TAGS.trim_end_matches('/').to_owned(),
        TAGS.replace("tags", "heads") + "main",
        TAGS.replace("acme", "evil") + "v1",
        TAGS.replace("github.com", "github.com.evil.example") + "v1",
        TAGS.replace("github.com", "GitHub.com") + "v1",
        TAGS.replace("https", "http") + "v1",
        format!("x{TAGS}v1"),
        format!("{TAGS}*"),
    ] {
        assert!(!tags.matches(&other), "{other}");
    }
}

#[test]
fn what_a_wildcard_stands_for_cannot_lead_elsewhere() {
    let tags = pattern(&format!("{TAGS}*"));
    for rest in [
        "..",
        "../v1",
        "a/../../../evil",
        ".",
        "./v1",
        "/v1",
        "v1/",
        "a//b",
        "v1?x",
        "v1#x",
        "%2e%2e/x",
        "a\\b",
        "v1 ",
        " v1",
        "v1\n",
        "v1\0",
        "v1\u{7f}",
        "v\u{202e}1",
        "ü",
        "v*",
    ] {
        assert!(!tags.matches(&format!("{TAGS}{rest}")), "{rest:?}");
    }
    assert!(!tags.matches(&format!("{TAGS}{}", "v".repeat(IDENTITY_BYTES_MAX))));
}

#[test]
fn a_pattern_that_means_more_than_one_publisher_is_refused() {
    for text in [
        "",
        "*",
        "**",
        "*@acme.example",
        "ci@*",
        "ci@acme.example*",
        "https*",
        "https:*",
        "https://*",
        "https://*/acme/plugins/",
        "https://*.github.com/acme/",
        "https://github.com*",
        "https://github.com/*",
        "https://github.com//*",
        "https://github.com/acme*",
        "https://github.com/*/plugins",
        "https://github.com/acme/*/release.yml@refs/tags/*",
        "https://github.com/acme/release.yml@*",
        "https://github.com/acme/release.yml@refs/tags/v*",
        "https://github.com/acme//*",
        "https://github.com/acme/../*",
        "https://github.com/./*",
        "https://github.com/acme/?a=/*",
        "https://github.com/acme/#/*",
        "https://github.com/ac%6de/*",
        "https://github.com\\@evil.example/acme/*",
        "https://acme@github.com/acme/*",
        "https://github.com:/acme/*",
        "https://github.com:x/acme/*",
        "https://GitHub.com/acme/*",
        "https://github..com/acme/*",
        "https:///acme/*",
        "HTTPS://github.com/acme/*",
        "http://github.com/acme/*",
        "spiffe://acme.example/ci/*",
        "https://github.com/acme/**",
        "https://github.com/acme/* ",
        "https://github.com/ac me/*",
        "ci@acme.example\n",
    ] {
        assert!(
            IdentityPattern::try_from(text.to_owned()).is_err(),
            "{text:?}"
        );
    }
    assert!(IdentityPattern::try_from("a".repeat(IDENTITY_BYTES_MAX + 1)).is_err());
}

#[test]
fn a_pattern_with_host_and_path_is_accepted() {
    for text in [
        "https://github.com/acme/*",
        "https://gitlab.example:8443/group/project/*",
        "https://localhost/ci/*",
    ] {
        assert!(pattern(text).matches(&text.replace('*', "a/b@c")), "{text}");
    }
}

#[test]
fn a_refused_pattern_is_shown_without_its_control_characters() {
    let error = IdentityPattern::try_from("a\x1b[2J".repeat(1000))
        .unwrap_err()
        .to_string();
    assert!(error.len() < 1000 && !error.contains('\x1b'), "{error:?}");
}

proptest! {
    #[test]
    fn a_pattern_is_never_looser_than_its_prefix(
        text in "(https://)?[a-z.@:/*%#?\\\\]{0,20}/?\\*?",
        identity in "\\PC{0,40}",
    ) {
        if let Ok(pattern) = IdentityPattern::try_from(text.clone()) {
            let before = text.trim_end_matches('*');
            if pattern.matches(&identity) {
                prop_assert!(identity.starts_with(before));
                prop_assert!(text.ends_with('*') || identity == text);
            }
            if text.ends_with('*') {
                let path = before.strip_prefix("https://").unwrap();
                prop_assert!(path.split('/').filter(|segment| !segment.is_empty()).count() >= 2);
            }
        }
    }

    #[test]
    fn what_follows_the_prefix_is_visible_ascii_without_escapes(rest in "\\PC{0,12}|[./a%#?*\\\\]{0,6}") {
        if pattern(&format!("{TAGS}*")).matches(&format!("{TAGS}{rest}")) {
            prop_assert!(rest.bytes().all(|c| c.is_ascii_graphic() && !b"?#%\\*".contains(&c)));
            prop_assert!(rest.split('/').all(|segment| !segment.is_empty() && segment != ".." && segment != "."));
        }
    }

    #[test]
    fn an_identity_of_another_owner_never_matches(owner in "[a-zA-Z0-9._-]{1,12}", tag in "[a-z0-9./]{1,12}") {
        prop_assume!(owner != "acme");
        let identity = TAGS.replacen("acme", &owner, 1) + &tag;
        let tags = pattern(&format!("{TAGS}*"));
        prop_assert!(!tags.matches(&identity));
        prop_assert!(!pattern("https://github.com/acme/*").matches(&identity));
    }

    #[test]
    fn a_pattern_reads_back_what_it_writes(text in "https://[a-z]{1,5}/[a-z]{1,5}/\\*") {
        prop_assert_eq!(String::from(pattern(&text)), text);
    }
}
