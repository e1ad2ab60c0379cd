//! Templates as the engine runs them: values, functions and bounds.

use serde_json::json;

use super::*;

fn rendered(text: &str, data: &serde_json::Value) -> Result<String, String> {
    let template = Template::parse("test", text)?;
    template.render(&Context::from(from_json(data)), &Environment::default())
}

#[track_caller]
fn check(text: &str, data: &serde_json::Value, expected: &str) {
    assert_eq!(rendered(text, data).as_deref(), Ok(expected), "{text}");
}

#[test]
fn what_istios_templates_use() {
    let data = json!({
        "M": {"a": "1"}, "E": {}, "N": null, "L": ["x", "y"], "T": "text", "I": 15020, "B": false,
        "ObjectMeta": {"Annotations": {"k": "v"}},
    });
    check(r#"{{ index .M "b" | default "d" | quote }}"#, &data, r#""d""#);
    check(r#"{{ if eq (index .E "b") "" }}yes{{ end }}"#, &data, "yes");
    check(r#"{{ annotation .ObjectMeta `k` "d" }}{{ annotation .ObjectMeta `x` .I }}"#, &data, "v15020");
    check(r#"{{ isset .M `a` }} {{ isset .M `b` }}"#, &data, "true false");
    check(
        r#"{{ excludeInboundPort .I "80, 90" }} {{ excludeInboundPort "0" "80" }}"#,
        &data,
        "80,90,15020 80",
    );
    check(r#"{{ printf "--x=%s" .T | quote }} {{ printf "%t" .B }}"#, &data, r#""--x=text" false"#);
    check(
        r#"{{ valueOrDefault .N "d" }}{{ valueOrDefault .T "d" }}{{ valueOrDefault .Q.R "e" }}"#,
        &data,
        "dtexte",
    );
    check("{{ \"a\\nb\\n\" | indent 2 }}|{{ \"a\\nb\" | nindent 1 }}", &data, "a\n  b\n  |\n a\n b");
    check(
        r#"{{ $l := list }}{{ range .L }}{{ $l = append $l . }}{{ end }}{{ $l | join "," }}"#,
        &data,
        "x,y",
    );
    check(
        r#"{{ with .Q }}a{{ else }}b{{ end }}{{ toLower "AbC" }}{{ "_a-" | trimAll "-_." }}"#,
        &data,
        "babca",
    );
    check(r#"{{ range $k, $v := fromJSON "{\"b\":{\"x\":1},\"a\":2}" }}{{ $k }}{{ end }}"#, &data, "ab");
    check(r#"{{ toJsonMap .M (strdict "c" "d") }}"#, &data, r#"{"a":"1","c":"d"}"#);
    check("{{ directory \"/a/b/c\" }}", &data, "/a/b/");
    check("{{ .T.String }}{{ .Mode.StringX }}", &data, "text<no value>");
    check("{{ toYaml .M }}", &data, "a: \"1\"\n");
}

#[test]
fn a_template_that_loops_or_grows_ends() {
    let data = json!({});
    for text in [
        r#"{{ define "r" }}{{ template "r" . }}{{ end }}{{ template "r" . }}"#,
        "{{ range 100000000 }}{{ end }}",
        "{{ range until 10000 }}{{ range until 10000 }}x{{ end }}{{ end }}",
        r#"{{ repeat 100000000 "x" }}"#,
        r#"{{ $s := "xxxxxxxx" }}{{ range until 100 }}{{ $s = print $s $s }}{{ end }}"#,
        r#"{{ range until 9000 }}{{ repeat 1000 "x" }}{{ end }}"#,
        r#"{{ indent 1000000 "a\nb\nc" }}"#,
    ] {
        let start = std::time::Instant::now();
        assert!(rendered(text, &data).is_err(), "{text}");
        assert!(start.elapsed() < DEADLINE * 2, "{text}");
    }
}

#[test]
fn what_is_no_template_is_told() {
    for text in ["{{ nonsense . }}", "{{ if }}", "{{ .A ", "{{ end }}"] {
        assert!(Template::parse("test", text).is_err(), "{text}");
    }
}
