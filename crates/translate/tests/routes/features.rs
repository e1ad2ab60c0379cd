//! What single features of a rule become.

use serde_json::{Value, json};

use crate::mesh_under_edit::{Mesh, rules, service, to};

/// The one route of a rule, in JSON, without what every route has.
fn check(rule: Value, expected: expect_test::Expect) {
    let mesh = Mesh::new(&[
        service("a", "own", "10.1.0.1", &[("http", 80)]),
        rules("a", "r", &["own"], json!([rule])),
    ]);
    let mut route = mesh.first_route("80");
    for (parent, name) in
        [("", "decorator"), ("", "metadata"), ("/route", "timeout"), ("/route", "maxGrpcTimeout")]
    {
        route.pointer_mut(parent).and_then(Value::as_object_mut).map(|object| object.remove(name));
    }
    expected.assert_eq(&format!("{}\n", serde_json::to_string_pretty(&route).unwrap()));
}

#[test]
fn cross_origin_policy() {
    let policy = json!({"allowOrigins": [{"exact": "https://a.com"}, {"regex": ".*"}], "allowMethods": ["GET", "PUT"],
        "allowHeaders": ["x-a", "x-b"], "exposeHeaders": ["x-c"], "maxAge": "90s", "allowCredentials": false,
        "unmatchedPreflights": "IGNORE"});
    check(
        json!({"corsPolicy": policy, "route": to("own"), "retries": {"attempts": 0}}),
        expect_test::expect![[r#"
            {
              "match": {
                "prefix": "/"
              },
              "route": {
                "cluster": "outbound|80||own.a.svc.cluster.local"
              },
              "typedPerFilterConfig": {
                "envoy.filters.http.cors": {
                  "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
                  "allowCredentials": false,
                  "allowHeaders": "x-a,x-b",
                  "allowMethods": "GET,PUT",
                  "allowOriginStringMatch": [
                    {
                      "exact": "https://a.com"
                    },
                    {
                      "safeRegex": {
                        "regex": ".*"
                      }
                    }
                  ],
                  "exposeHeaders": "x-c",
                  "filterEnabled": {
                    "defaultValue": {
                      "numerator": 100
                    }
                  },
                  "forwardNotMatchingPreflights": false,
                  "maxAge": "90"
                }
              }
            }
        "#]],
    );
}

#[test]
#[allow(clippy::too_many_lines, reason = "one expected text")]
fn claims_and_negated_conditions() {
    let condition = json!({"headers": {"@request.auth.claims[group]": {"exact": "dev"}, "b": {}},
        "withoutHeaders": {"a": {"regex": "x.*"}, "@request.auth.claims.iss": {"prefix": "p"}},
        "queryParams": {"q": {"regex": "*"}}, "ignoreUriCase": true, "uri": {"regex": "/a|/b"}});
    check(
        json!({"match": [condition], "route": to("own"), "retries": {"attempts": 0}}),
        expect_test::expect![[r#"
            {
              "match": {
                "caseSensitive": false,
                "dynamicMetadata": [
                  {
                    "filter": "envoy.filters.http.jwt_authn",
                    "path": [
                      {
                        "key": "payload"
                      },
                      {
                        "key": "group"
                      }
                    ],
                    "value": {
                      "orMatch": {
                        "valueMatchers": [
                          {
                            "listMatch": {
                              "oneOf": {
                                "stringMatch": {
                                  "exact": "dev"
                                }
                              }
                            }
                          },
                          {
                            "stringMatch": {
                              "exact": "dev"
                            }
                          }
                        ]
                      }
                    }
                  },
                  {
                    "filter": "envoy.filters.http.jwt_authn",
                    "invert": true,
                    "path": [
                      {
                        "key": "payload"
                      },
                      {
                        "key": "iss"
                      }
                    ],
                    "value": {
                      "orMatch": {
                        "valueMatchers": [
                          {
                            "listMatch": {
                              "oneOf": {
                                "stringMatch": {
                                  "prefix": "p"
                                }
                              }
                            }
                          },
                          {
                            "stringMatch": {
                              "prefix": "p"
                            }
                          }
                        ]
                      }
                    }
                  }
                ],
                "headers": [
                  {
                    "invertMatch": true,
                    "name": "a",
                    "stringMatch": {
                      "safeRegex": {
                        "regex": "x.*"
                      }
                    },
                    "treatMissingHeaderAsEmpty": true
                  },
                  {
                    "name": "b",
                    "presentMatch": true
                  }
                ],
                "queryParameters": [
                  {
                    "name": "q",
                    "presentMatch": true
                  }
                ],
                "safeRegex": {
                  "regex": "/a|/b"
                }
              },
              "route": {
                "cluster": "outbound|80||own.a.svc.cluster.local"
              }
            }
        "#]],
    );
}

#[test]
fn retries_and_mirrors() {
    let mirrors = json!([{"destination": {"host": "own", "port": {"number": 81}}, "percentage": {"value": 0.5}},
        {"destination": {"host": "own"}, "percentage": {"value": 0}}]);
    let retries = json!({"attempts": 3, "perTryTimeout": "2s", "retryOn": "503,reset", "retryRemoteLocalities": true,
        "retryIgnorePreviousHosts": false, "backoff": "0.1s"});
    check(
        json!({"mirrors": mirrors, "route": to("own"), "retries": retries}),
        expect_test::expect![[r#"
        {
          "match": {
            "prefix": "/"
          },
          "route": {
            "cluster": "outbound|80||own.a.svc.cluster.local",
            "requestMirrorPolicies": [
              {
                "cluster": "outbound|81||own.a.svc.cluster.local",
                "disableShadowHostSuffixAppend": true,
                "runtimeFraction": {
                  "defaultValue": {
                    "denominator": "MILLION",
                    "numerator": 5000
                  }
                },
                "traceSampled": false
              }
            ],
            "retryPolicy": {
              "hostSelectionRetryMaxAttempts": "5",
              "numRetries": 3,
              "perTryTimeout": "2s",
              "retriableStatusCodes": [
                503
              ],
              "retryBackOff": {
                "baseInterval": "0.100s"
              },
              "retryOn": "reset,retriable-status-codes",
              "retryPriority": {
                "name": "envoy.retry_priorities.previous_priorities",
                "typedConfig": {
                  "@type": "type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
                  "updateFrequency": 2
                }
              }
            }
          }
        }
    "#]],
    );
}

#[test]
fn redirects_and_answers() {
    check(
        json!({"redirect": {"authority": "x.com", "redirectCode": 308, "scheme": "https", "port": 443}}),
        expect_test::expect![[r#"
            {
              "match": {
                "prefix": "/"
              },
              "redirect": {
                "hostRedirect": "x.com",
                "pathRedirect": "",
                "responseCode": "PERMANENT_REDIRECT",
                "schemeRedirect": "https"
              }
            }
        "#]],
    );
    check(
        json!({"directResponse": {"status": 418, "body": {"string": "tea"}}}),
        expect_test::expect![[r#"
            {
              "directResponse": {
                "body": {
                  "inlineString": "tea"
                },
                "status": 418
              },
              "match": {
                "prefix": "/"
              }
            }
        "#]],
    );
}
