use super::{InferenceLimits, LoadError, vet};

fn check(xml: &str) -> Result<(), LoadError> {
    vet(xml.as_bytes(), &[0; 16], &InferenceLimits::default())
}

fn net(inner: &str) -> String {
    format!("<net name=\"a\"><layers>{inner}</layers></net>")
}

const RELU: &str = "<layer id='0' type=\"ReLU\" version=\"opset1\"/>";

#[test]
fn what_openvino_writes_is_taken() {
    check(&net(RELU)).unwrap();
    check(&format!("<?xml version=\"1.0\"?>\n{}\n", net(RELU))).unwrap();
    let text = "<rt_info><a value=\"&lt;b&gt; &#65;\"/>text &amp; more</rt_info>";
    check(&net(&format!("{RELU}{text}"))).unwrap();
    let data = "<data offset=\"8\" size=\"8\" element_type=\"f32\"/>";
    check(&net(&format!("{RELU}{data}"))).unwrap();
}

#[test]
fn what_reads_other_files_or_grows_is_refused() {
    let deep = format!("{}{}", "<a>".repeat(100), "</a>".repeat(100));
    for xml in [
        format!("<!DOCTYPE net [<!ENTITY a \"b\">]>{}", net(RELU)),
        format!("<!-- a -->{}", net(RELU)),
        net(&format!("{RELU}<![CDATA[<layer>]]>")),
        net(&format!("{RELU}<?include a?>")),
        net(&format!("{RELU}&a;")),
        net(&format!("{RELU}<a b=\"&c;\"/>")),
        net(&format!("{RELU}{deep}")),
        format!("\u{feff}{}", net(RELU)),
    ] {
        let error = check(&xml).unwrap_err();
        assert!(matches!(error, LoadError::Malformed { .. }), "{xml}");
    }
    let many = RELU.repeat(10_001);
    let error = check(&net(&many)).unwrap_err();
    assert!(matches!(error, LoadError::TooManyOperators { .. }));
}

#[test]
fn what_parsers_may_read_differently_is_refused() {
    for xml in [
        "",
        "text",
        "<net",
        "<net>",
        "<net/>",
        "<net/><net/>",
        "</net>",
        "<net><a></net></a>",
        "<layers/>",
        "<net a=b/>",
        "<net a=\"b/>",
        "<net a=\"1\" a=\"2\"/>",
        "<net a=\"1\"b=\"2\"/>",
        "<net a=\"<\"/>",
        "<net \u{0}/>",
        "< net/>",
    ] {
        assert!(check(xml).is_err(), "{xml}");
        assert!(
            check(&net(&format!("{RELU}{xml}"))).is_err()
                || xml == "text"
                || xml.is_empty()
                || xml.starts_with("<net/>")
                || xml == "<layers/>",
            "{xml}"
        );
    }
}

#[test]
fn layers_that_are_not_openvinos_own_are_refused_by_name() {
    for version in ["extension", "opset", "opset1x", "opset123", ""] {
        let layer = format!("<layer type=\"Odd\" version=\"{version}\"/>");
        let error = check(&net(&layer)).unwrap_err();
        assert!(
            matches!(&error, LoadError::CustomOperator { operator, .. } if operator == "Odd"),
            "{error:?}"
        );
    }
    let unknown = net(&format!("{RELU}<data element_type=\"f128\"/>"));
    let error = check(&unknown).unwrap_err();
    assert!(matches!(error, LoadError::UnsupportedKind { .. }));
}

#[test]
fn a_state_that_one_caller_would_leave_to_the_next_is_refused() {
    for kind in ["ReadValue", "Assign"] {
        let layer = format!("<layer type=\"{kind}\" version=\"opset6\"/>");
        assert!(check(&net(&layer)).is_err());
    }
}

#[test]
fn constants_lie_within_the_weights() {
    let constant = |data: &str| check(&net(&format!("{RELU}<data {data}/>")));
    constant("offset='0' size='16'").unwrap();
    constant("offset='16' size='0'").unwrap();
    for outside in [
        "offset='0' size='17'",
        "offset='17' size='0'",
        "offset='18446744073709551615' size='2'",
        "offset='-1' size='2'",
        "offset='' size=''",
        "offset='0'",
    ] {
        assert!(constant(outside).is_err(), "{outside}");
    }
}
