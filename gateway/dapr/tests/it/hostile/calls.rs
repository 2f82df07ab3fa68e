//! The calls of the package that attacks.

use http::Request;
use wasmgate_dapr::Body;

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) target: &'static str,
    pub(super) headers: &'static [(&'static str, &'static str)],
    pub(super) body: &'static str,
    /// Nothing of it may come to the sidecar. Otherwise what comes must be harmless.
    pub(super) refused: bool,
}

impl Call {
    const fn refused(
        method: &'static str,
        target: &'static str,
        headers: &'static [(&'static str, &'static str)],
        body: &'static str,
    ) -> Self {
        Self {
            method,
            target,
            headers,
            body,
            refused: true,
        }
    }

    pub(super) const fn harmless(
        method: &'static str,
        target: &'static str,
        headers: &'static [(&'static str, &'static str)],
        body: &'static str,
    ) -> Self {
        Self {
            method,
            target,
            headers,
            body,
            refused: false,
        }
    }

    pub(super) fn request(&self) -> Request<Body> {
        let mut request = Request::builder().method(self.method).uri(self.target);
        for (name, value) in self.headers {
            request = request.header(*name, *value);
        }
        request.body(Body::from(self.body)).unwrap()
    }
}

const NO: &[(&str, &str)] = &[];
const TO_OTHER: &[(&str, &str)] = &[("dapr-app-id", "other")];
const TO_MENU: &[(&str, &str)] = &[("dapr-app-id", "menu")];
/// `dapr-app-id:other`, plain, in other case, and with bits left over.
const AS_USER: &[(&str, &str)] = &[("authorization", "Basic ZGFwci1hcHAtaWQ6b3RoZXI=")];
const AS_USER_CASE: &[(&str, &str)] = &[("authorization", "basic REFQUi1BUFAtSUQ6b3RoZXI=")];
const AS_USER_BITS: &[(&str, &str)] = &[("authorization", "Basic ZGFwci1hcHAtaWQ6b3RoZXJ=")];
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const EVENT: &[(&str, &str)] = &[("content-type", "application/cloudevents+json")];

/// At least sixty.
pub(super) const CALLS: &[Call] = &[
    // Paths that become others when they are cleaned.
    Call::refused(
        "GET",
        "/v1.0/invoke/menu/method/../../../secrets/secretstore/other",
        NO,
        "",
    ),
    Call::refused(
        "GET",
        "/v1.0/invoke/menu/method/%2e%2e/%2e%2e/%2e%2e/secrets/secretstore/other",
        NO,
        "",
    ),
    Call::refused(
        "GET",
        "/v1.0/invoke/menu/method/..%2f..%2f..%2fsecrets/secretstore/other",
        NO,
        "",
    ),
    Call::refused(
        "GET",
        "/v1.0/invoke/menu/method/.%2e/.%2E/%2e./secrets/secretstore/other",
        NO,
        "",
    ),
    Call::refused("GET", "/v1.0/invoke/menu/method/..%5c..%5csecrets", NO, ""),
    Call::refused("GET", "/v1.0/invoke/menu/method/x/./y", NO, ""),
    Call::refused("GET", "/v1.0/invoke/menu/method/x%00y", NO, ""),
    Call::refused(
        "GET",
        "/v1.0/state/statestore/../../secrets/secretstore/other",
        NO,
        "",
    ),
    Call::refused("GET", "/v1.0/state/statestore/%2e%2e", NO, ""),
    Call::refused(
        "GET",
        "/v1.0/state/statestore/..%2f..%2fsecrets%2fsecretstore%2fother",
        NO,
        "",
    ),
    Call::refused("GET", "//v1.0/./secrets/secretstore/other", NO, ""),
    Call::refused("GET", "/v1.0//secrets//secretstore//other", NO, ""),
    Call::refused("GET", "/v1.0/secrets/secretstore/mine/../other", NO, ""),
    Call::refused("GET", "/v1.0/secrets/secretstore/mine%2f..%2fother", NO, ""),
    Call::refused("POST", "/v1.0/publish/pubsub/mine/../other", JSON, "{}"),
    Call::refused(
        "POST",
        "/v1.0/publish/pubsub/mine%2f%2e%2e%2fother",
        JSON,
        "{}",
    ),
    Call::refused(
        "POST",
        "/v1.0/publish/pubsub/mine/..//..//..//shutdown",
        JSON,
        "{}",
    ),
    Call::refused("POST", "/v1.0/bindings/mine/../../shutdown", JSON, "{}"),
    Call::harmless(
        "GET",
        "/v1.0/state/statestore/a%252f%252e%252e%252fb",
        NO,
        "",
    ),
    Call::harmless("GET", "/v1.0/state//statestore//k/", NO, ""),
    Call::harmless("GET", "/v1.0/invoke/menu/method//a//b?x=../..", NO, ""),
    Call::harmless("GET", "/v1.0/invoke/menu/method/%252e%252e/x", NO, ""),
    // Callees by header and by user.
    Call::refused("GET", "/v1.0/state/statestore/k", TO_OTHER, ""),
    Call::refused("POST", "/v1.0/shutdown", TO_OTHER, ""),
    Call::refused("GET", "/v1.0/invoke/menu/method/x", TO_OTHER, ""),
    Call::refused("GET", "/v1.0/invoke/menu/method/x", AS_USER, ""),
    Call::refused("GET", "/x", AS_USER, ""),
    Call::refused("GET", "/x", AS_USER_CASE, ""),
    Call::refused("GET", "/v1.0/invoke/menu/method/x", AS_USER_BITS, ""),
    Call::refused("GET", "/../secrets/secretstore/other", TO_MENU, ""),
    Call::harmless("GET", "/v1.0/secrets/secretstore/other", TO_MENU, ""),
    Call::harmless("POST", "/v1.0/shutdown", TO_MENU, ""),
    Call::harmless("GET", "/v1.0/state/statestore/other:k", TO_MENU, ""),
    Call::harmless("GET", "/v1.0/invoke/other/method/x", TO_MENU, ""),
    Call::harmless(
        "GET",
        "/v1.0/invoke/menu/method/x",
        &[
            ("dapr-caller-app-id", "other"),
            ("dapr-api-token", "t"),
            ("connection", "x-a"),
            ("x-a", "1"),
            ("wasmgate-caller", "other"),
        ],
        "",
    ),
    Call::refused(
        "GET",
        "/v1.0/invoke/http:%2F%2Fexample.com/method/x",
        NO,
        "",
    ),
    Call::refused("GET", "/v1.0/invoke/other%2Fmethod%2Fx/method/y", NO, ""),
    // Operations that are nobody's.
    Call::refused("POST", "/v1.0/shutdown", NO, ""),
    Call::refused("POST", "/v1.0/shutdown/", NO, ""),
    Call::refused("POST", "/v1.0/%73hutdown", NO, ""),
    Call::refused("GET", "/v1.0/actors/a/1/state/k", NO, ""),
    Call::refused("POST", "/v1.0/workflows/dapr/x/start", NO, ""),
    Call::refused("POST", "/v1.0-alpha1/subtlecrypto/x/getkey", NO, "{}"),
    Call::refused("GET", "/v1.0-alpha1/jobs", NO, ""),
    Call::refused("GET", "/metrics", NO, ""),
    // State keys of others.
    Call::refused("GET", "/v1.0/state/otherstore/k", NO, ""),
    Call::refused("GET", "/v1.0/state/statestore/other%7C%7Ck", NO, ""),
    Call::refused("DELETE", "/v1.0/state/statestore/other||k", NO, ""),
    Call::harmless(
        "GET",
        "/v1.0/state/statestore/other:k?metadata.keyPrefix=none&metadata.dapr-app-id=x&consistency=strong&consistency=x",
        NO,
        "",
    ),
    Call::harmless(
        "DELETE",
        "/v1.0/state/statestore/other:k",
        &[("if-match", "1"), ("x-dapr-key", "other:k")],
        "",
    ),
    Call::harmless(
        "POST",
        "/v1.0/state/statestore",
        JSON,
        r#"[{"key":"k","Key":"other:k","value":1}]"#,
    ),
    Call::harmless(
        "POST",
        "/v1.0/state/statestore",
        JSON,
        r#"[{"\u212aey":"other:k","value":1}]"#,
    ),
    Call::harmless(
        "POST",
        "/v1.0/state/statestore",
        JSON,
        r#"[{"key":"k","value":{"key":"other:k"},"extra":{"key":"other:k"}}]"#,
    ),
    Call::refused(
        "POST",
        "/v1.0/state/statestore",
        JSON,
        r#"[{"key":"other||k","value":1}]"#,
    ),
    Call::refused(
        "POST",
        "/v1.0/state/statestore",
        JSON,
        r#"[{"key":"a","value":1}] [{"key":"other:k"}]"#,
    ),
    Call::harmless(
        "POST",
        "/v1.0/state/statestore/bulk",
        JSON,
        r#"{"keys":["k"],"Keys":["other:k","k"],"parallelism":3}"#,
    ),
    Call::harmless(
        "POST",
        "/v1.0/state/statestore/transaction",
        JSON,
        r#"{"operations":[],"Operations":[{"operation":"upsert","request":{"Key":"other:k","value":1}},{"Operation":"delete","Request":{"KEY":"other:k"}}]}"#,
    ),
    Call::harmless(
        "POST",
        "/v1.0/state/statestore/transaction",
        JSON,
        r#"{"operation\u017f":[{"operation":"delete","reque\u017ft":{"key":"other:k"}}]}"#,
    ),
    Call::harmless(
        "POST",
        "/v1.0-alpha1/state/statestore/query",
        JSON,
        r#"{"filter":{"EQ":{"a":1}},"Page":{"limit":1}}"#,
    ),
    Call::refused(
        "POST",
        "/v1.0-alpha1/state/statestore/query",
        JSON,
        r#"{"page":{"limit":1,"token":"0 UNION SELECT"}}"#,
    ),
    // Secrets and configuration of others.
    Call::refused("GET", "/v1.0/secrets/secretstore/other", NO, ""),
    Call::refused("GET", "/v1.0/secrets/secretstore/*", NO, ""),
    Call::refused("GET", "/v1.0/secrets/secretstore/m*", NO, ""),
    Call::refused("GET", "/v1.0/secrets/otherstore/bulk", NO, ""),
    Call::harmless(
        "GET",
        "/v1.0/secrets/secretstore/mine?metadata.namespace=kube-system&metadata.version_id=2",
        NO,
        "",
    ),
    Call::harmless(
        "GET",
        "/v1.0/secrets/secretstore/bulk?metadata.namespace=kube-system",
        NO,
        "",
    ),
    Call::refused(
        "GET",
        "/v1.0/configuration/configstore?key=mine&key=other",
        NO,
        "",
    ),
    Call::refused("GET", "/v1.0/configuration/configstore?key=m*", NO, ""),
    Call::refused(
        "GET",
        "/v1.0/configuration/configstore/subscribe?key=*",
        NO,
        "",
    ),
    Call::harmless("GET", "/v1.0/configuration/configstore", NO, ""),
    Call::harmless(
        "GET",
        "/v1.0/configuration/configstore?key=mine&Key=other&KEY=other&metadata.x%27%20OR%201=1",
        NO,
        "",
    ),
    // Topics of others.
    Call::refused("POST", "/v1.0/publish/pubsub/other", JSON, "{}"),
    Call::refused("PUT", "/v1.0/publish/bulk/pubsub/other", JSON, "[]"),
    Call::refused("POST", "/v1.0-alpha1/publish/bulk/pubsub/other", JSON, "[]"),
    Call::harmless(
        "POST",
        "/v1.0/publish/pubsub/mine",
        EVENT,
        r#"{"id":"1","topic":"other","pubsubname":"other"}"#,
    ),
    Call::harmless(
        "POST",
        "/v1.0/publish/pubsub/mine?metadata.rawPayload=true&metadata.dapr-caller-app-id=x&metadata.content-length=1&metadata.Transfer-Encoding=chunked&topic=other",
        JSON,
        "{}",
    ),
    Call::harmless(
        "POST",
        "/v1.0/publish/bulk/pubsub/mine",
        JSON,
        r#"[{"entryID":"1","Event":1,"contenttype":"application/json","topic":"other","metadata":{"dapr-api-token":"x"}}]"#,
    ),
    // Locks and jobs of others, and bindings.
    Call::harmless(
        "POST",
        "/v1.0-alpha1/lock/lockstore",
        JSON,
        r#"{"resource_id":"other:r","lock_owner":"o","expiry_in_seconds":"5","store_name":"other"}"#,
    ),
    Call::refused(
        "POST",
        "/v1.0-alpha1/lock/lockstore",
        JSON,
        r#"{"resourceId":"r","resource_id":"other:r","lockOwner":"o","expiryInSeconds":5}"#,
    ),
    Call::harmless(
        "POST",
        "/v1.0-alpha1/unlock/lockstore",
        JSON,
        r#"{"ResourceId":"other:r","resourceId":"r","lockOwner":"o"}"#,
    ),
    Call::refused(
        "POST",
        "/v1.0-alpha1/lock/lockstore",
        JSON,
        r#"{"resourceId":"other||r","lockOwner":"o","expiryInSeconds":5}"#,
    ),
    Call::harmless(
        "POST",
        "/v1.0/jobs/5-other-j",
        JSON,
        r#"{"dueTime":"1s","Name":"x","app_id":"other"}"#,
    ),
    Call::harmless("DELETE", "/v1.0/jobs/5-other-j", NO, ""),
    Call::harmless("GET", "/v1.0/jobs/..j", NO, ""),
    Call::harmless(
        "POST",
        "/v1.0/bindings/mine",
        JSON,
        r#"{"operation":"get","name":"other","METADATA":{"path":"/x"}}"#,
    ),
    Call::refused("POST", "/v1.0/bindings/other", JSON, "{}"),
    Call::harmless("GET", "/v1.0/metadata", NO, ""),
];
