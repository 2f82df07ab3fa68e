//! Hostile packages: a line each for the request, what it is to get, and what is known to go wrong.

use anyhow::Result;

use crate::{
    Pace, Programs,
    case::{Attack, Case},
    neighbour, shapes,
    victim::Setup,
};

/// Components as packages of their own names (dashes for underscores) that need no more said.
const PLAIN: [&str; 26] = [
    "allocates_without_end",
    "announces_what_it_does_not_send",
    "answers_with_a_status",
    "answers_with_an_error",
    "carries_much_data",
    "connects_a_socket",
    "counter",
    "dies_after_its_head",
    "echo",
    "exits",
    "floods_its_log",
    "gives_up_its_body",
    "hangs",
    "lies_about_its_length",
    "looks_for_leftovers",
    "never_answers",
    "panics",
    "reads_the_whole_body",
    "recurses_without_end",
    "reports_its_environment",
    "sends_bytes",
    "sends_many_headers",
    "sends_trailers",
    "spins",
    "works_on_after_its_answer",
    "writes_where_no_body_may_be",
];

/// Everything that a package may be granted.
const ALL_GRANTS: &str = r#"dapr = { state = ["*"], publish = ["pubsub/*"], subscribe = ["pubsub/#"], invoke = ["*"], bindings = ["*"],
secrets = ["secretstore/*"], configuration = ["configstore/*"], lock = ["*"], jobs = true }"#;

/// The gateway of every case: short time-outs, so that what hangs is over within the good package's requests, and small
/// memories, so that what the host holds beside them shows.
pub fn setup(programs: &Programs, pace: Pace) -> Setup {
    let timeout = pace.timeout.as_millis();
    let mut setup = Setup::new(programs);
    setup.server = format!("header_timeout = \"{timeout}ms\"");
    setup.limits = format!("timeout = \"{timeout}ms\"\nmemory = \"32MiB\"\nrequest_body = \"1MiB\"");
    setup.dapr = "mode = \"embedded\"\ndata = \"data\"".to_owned();
    // What it waits for is told as its latency.
    setup.guest(neighbour::NAME, "hello", "limits = { timeout = \"30s\" }");
    for example in PLAIN {
        setup.guest(&example.replace('_', "-"), example, "");
    }
    setup.guest("calls-dapr", "calls_dapr", ALL_GRANTS);
    setup.guest("torments", "torments", ALL_GRANTS);
    setup.guest("p3-torments", "p3_torments", "");
    let itself = "outbound = [\"http://127.0.0.1:PORT\"]";
    setup.guest("calls-out", "calls_out", itself);
    setup.guest("calls-many", "calls_many", itself);
    setup
}

fn get(name: &'static str, does: &'static str, attackers: usize, target: &str) -> Case {
    let request = format!("GET /{target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    Case::new(name, does, attackers, Attack::Request(request.into_bytes()))
}

fn post(name: &'static str, does: &'static str, attackers: usize, target: &str, length: usize) -> Case {
    let head = format!("POST /{target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    let request = [head.into_bytes(), vec![b'x'; length]].concat();
    Case::new(name, does, attackers, Attack::Request(request))
}

/// A call of the Dapr API by a package.
fn call(name: &'static str, does: &'static str, attackers: usize, call: &str, body: &str) -> Case {
    let (method, path) = call.split_once(' ').unwrap_or(("GET", call));
    let length = body.len();
    let request = format!(
        "{method} /calls-dapr HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-call: {path}\r\ncontent-length: {length}\r\n\
         \r\n{body}"
    );
    Case::new(name, does, attackers, Attack::Request(request.into_bytes()))
}

/// Every hostile package.
#[must_use]
pub fn all() -> Vec<Case> {
    let mut all = ends();
    all.extend(lies());
    all.extend(hogs());
    all.extend(floods());
    all.extend(callers());
    all.extend(blocks());
    all.extend(services());
    all
}

/// Components that do their harm before or without a line of Rust.
///
/// # Errors
/// When a shape is no text of WebAssembly.
pub fn shapes() -> Result<Vec<Case>> {
    let all = shapes::hostile_at_work()?.into_iter();
    Ok(all
        // What is allowed to each of eight, twice while a table grows.
        .map(|(name, does, _)| get(name, does, 8, name).height(768 << 20).gets(&["502"]))
        .collect())
}

/// Those that end, or do not.
#[rustfmt::skip]
fn ends() -> Vec<Case> {
    vec![
        get("panics", "panics", 8, "panics").gets(&["502"]),
        get("exits", "exits in success before its answer", 8, "exits").gets(&["502"]),
        get("exits-during", "exits in the middle of its answer", 8, "exits?when=during").gets(&["200 cut", "502"]),
        get("exits-after", "exits after its answer", 8, "exits?when=after").gets(&["200"]),
        get("dies-after-head", "traps in the middle of its answer", 8, "dies-after-its-head").gets(&["200 cut", "502"]),
        get("never-answers", "returns without an answer", 8, "never-answers").gets(&["502"]),
        get("answers-error", "sets an error", 8, "answers-with-an-error").gets(&["502"]),
        get("spins", "spins without a host call", 4, "spins").gets(&["504"]),
        get("spins-after-head", "sends its head and spins", 4, "spins?head=1").gets(&["200 cut", "504"]),
        get("spins-after-answer", "answers and spins", 4, "works-on-after-its-answer").gets(&["200", "503"]),
        get("hangs", "waits for an hour", 100, "hangs").gets(&["504"]),
        get("hangs-after-head", "sends its head and waits", 100, "hangs?head=1").gets(&["200 cut", "504"]),
        get("recurses", "uses up its stack", 8, "recurses-without-end").gets(&["502"]),
        get("allocates", "allocates until it is refused, and traps", 4, "allocates-without-end").gets(&["502"]),
        get("allocates-gently", "allocates until it is refused", 4, "allocates-without-end?gently=1").gets(&["200"]),
        get("leftovers", "looks for another's bytes in its memory", 4, "looks-for-leftovers?grow=16").gets(&["200"]),
    ]
}

/// Those that lie.
#[rustfmt::skip]
fn lies() -> Vec<Case> {
    vec![
        get("too-short", "announces more than it writes", 8, "lies-about-its-length?bytes=3").gets(&["200 cut", "502"]),
        get("too-long", "announces less than it writes", 8, "lies-about-its-length?bytes=30").gets(&["200", "502"]),
        get("no-body", "announces a body that is not there", 8, "announces-what-it-does-not-send?status=200")
            .gets(&["200 cut", "502"]),
        get("body-in-304", "writes a body where none may be", 8, "writes-where-no-body-may-be?status=304&bytes=100")
            .gets(&["304"]),
        get("gives-up", "drops its body without an end", 8, "gives-up-its-body").gets(&["200 cut", "502"]),
        get("forges-an-error", "forges the gateway's error header", 8, "answers-with-a-status?status=200").gets(&["200"]),
        get("status-0", "sets status 0", 8, "torments?do=odd-status&n=0").gets(&["200", "502"]),
        get("status-100", "sets status 100", 8, "torments?do=odd-status&n=100").gets(&["502"]),
        get("status-999", "sets status 999", 8, "torments?do=odd-status&n=999").gets(&["999", "502"]),
        get("socket", "connects a socket", 8, "connects-a-socket?to=127.0.0.1:1").gets(&["200", "502"]),
        get("environment", "asks for environment and files", 8, "reports-its-environment").gets(&["200"]),
    ]
}

/// Those that hold what belongs to all.
#[rustfmt::skip]
fn hogs() -> Vec<Case> {
    vec![
        get("fields", "holds 20,000 fields of 1 KiB", 8, "torments?do=fields&n=20000&bytes=1024").gets(&["200", "502"]),
        get("large-fields", "holds 4,000 fields of 100 KB", 4, "torments?do=fields&n=4000&bytes=100000").gets(&["200", "502"]),
        get("empty-fields", "holds 100,000 empty fields", 8, "torments?do=empty-fields&n=100000").height(512 << 20),
        get("clones", "holds 5,000 copies of 32 KiB of fields", 8, "torments?do=clones&n=5000").height(512 << 20),
        get("unsent-requests", "holds 50,000 requests", 8, "torments?do=requests&n=50000").height(512 << 20),
        get("unsent-responses", "holds 50,000 responses", 8, "torments?do=responses&n=50000").height(512 << 20),
        get("unsent-bodies", "holds 10,000 bodies it has written to", 4, "torments?do=bodies&n=10000").height(512 << 20),
        get("timers", "holds 50,000 timers", 8, "torments?do=timers&n=50000").height(512 << 20),
        get("polls", "polls 9,000 timers without end", 4, "torments?do=poll-many&n=9000").gets(&["504"]),
        get("polls-wide", "polls one timer 100,000 times at once", 4, "torments?do=poll-wide&n=100000").gets(&["502", "504"]),
        get("long-list", "makes fields of lists of 100,000", 4, "torments?do=long-list&n=100000").gets(&["502", "504"]),
        get("many-values", "gives a field 100,000 values", 4, "torments?do=many-values&n=100000").gets(&["502", "504"]),
        get("fills", "fills 24 MB again and again", 4, "torments?do=fill&n=24000000").gets(&["504"]),
        get("wakes-often", "wakes every microsecond", 8, "torments?do=wake-often&n=0").gets(&["504"]),
        get("clock", "asks for the time without end", 4, "torments?do=ask-the-clock&n=0").gets(&["504"]),
        get("random", "takes a megabyte of random bytes a thousand times", 4, "torments?do=random&n=1000")
            .gets(&["200", "504"]),
        get("much-random", "takes a gigabyte of random bytes at once", 4, "torments?do=much-random&n=1073741824")
            .gets(&["502", "504"]),
        get("insecure-random", "takes a gigabyte of bad random bytes", 4, "torments?do=insecure-random&n=1073741824")
            .gets(&["502", "504"]),
        get("asks-environment", "asks for its environment without end", 4, "torments?do=environment&n=0").gets(&["504"]),
        get("own-headers", "copies its request's fields without end", 4, "torments?do=own-headers&n=0").gets(&["504"]),
        get("memory", "fills its memory and spins", 8, "torments?do=memory&n=24").height(512 << 20).gets(&["504"]),
        get("much-data", "has two megabytes of data", 8, "carries-much-data?at=1").gets(&["200"]),
    ]
}

/// Those that write without end.
#[rustfmt::skip]
fn floods() -> Vec<Case> {
    vec![
        get("log", "prints a megabyte of short lines", 4, "floods-its-log").gets(&["200", "504"]),
        get("log-newlines", "prints newlines without end", 4, "torments?do=newlines&n=1000000").gets(&["504"]),
        get("log-no-newline", "prints a line without end", 4, "torments?do=no-newline&n=1000000").gets(&["504"]),
        get("log-control", "prints control characters", 4, "torments?do=control-characters&n=100").gets(&["200", "504"]),
        get("log-bytes", "prints byte by byte", 4, "torments?do=one-byte-writes&n=100000000").gets(&["504"]),
        get("crumbs", "streams a million bytes one by one", 4, "torments?do=crumbs&n=1000000").gets(&["200"]),
        get("drips", "streams a byte every 10 ms", 50, "torments?do=drip&n=1000000").gets(&["200 cut", "504"]),
        get("streams", "streams a gigabyte", 4, "sends-bytes?n=1073741824").gets(&["200"]),
        get("many-headers", "answers with 1,000 fields of 1 KB", 8, "sends-many-headers?n=1000&bytes=1000")
            .gets(&["200", "502"]),
        get("most-headers", "answers with 20,000 fields", 4, "sends-many-headers?n=20000&bytes=10").gets(&["200", "502"]),
        get("long-header", "answers with a field of 8 MB", 4, "torments?do=long-header&n=8000000").gets(&["200", "502"]),
        get("trailers", "ends with 10,000 trailers", 4, "torments?do=trailers&n=10000").gets(&["200", "502"]),
    ]
}

/// Those of WASI 0.3.
#[rustfmt::skip]
fn services() -> Vec<Case> {
    let hoards = [
        ("p3-streams", "makes streams without end", "hoard?what=streams"),
        ("p3-futures", "makes futures without end", "hoard?what=futures"),
        ("p3-fields", "makes fields without end", "hoard?what=fields"),
        ("p3-timers", "waits for ever more often", "hoard?what=timers"),
        ("p3-bodies", "makes responses without end", "hoard?what=bodies"),
    ];
    let hoards = hoards.map(|(name, does, what)| get(name, does, 4, &format!("p3-torments/{what}")).gets(&["502", "504"]));
    let mut all = vec![
        get("p3-spins", "spins", 4, "p3-torments/spin").gets(&["504"]),
        get("p3-yields", "gives way without end", 4, "p3-torments/yield").gets(&["504"]),
        get("p3-never", "has a task that never ends", 100, "p3-torments/never").gets(&["504"]),
        get("p3-recurses", "uses up its stack", 8, "p3-torments/recurse").gets(&["502"]),
        get("p3-allocates", "takes memory without end", 4, "p3-torments/allocate").gets(&["502", "504"]),
        get("p3-traps-after", "traps in the middle of its answer", 8, "p3-torments/traps-after").gets(&["200 cut", "502"]),
        get("p3-spins-after", "spins in the middle of its answer", 4, "p3-torments/spins-after").gets(&["200 cut", "504"]),
        get("p3-leaves-open", "ends without the end of its answer", 8, "p3-torments/leaves-open").gets(&["200 cut", "502"]),
        get("p3-works-on", "answers and spins", 4, "p3-torments/works-on").gets(&["200", "503"]),
        get("p3-ring", "has a byte go round in 100 pipes", 4, "p3-torments/ring?count=100&token=1").gets(&["504"]),
        get("p3-large-ring", "has a megabyte go round in 2 pipes", 4, "p3-torments/ring?count=2&token=1000000").gets(&["504"]),
        get("p3-dead-ring", "has 2,000 pipes in which nothing goes round", 4, "p3-torments/ring?count=2000").gets(&["502", "504"]),
        get("p3-no-trailers", "never says that it has no trailers", 8, "p3-torments/leaves-trailers-open")
            .gets(&["200 cut", "502", "504"]),
        post("p3-keeps-body", "keeps its request's body and reads none", 8, "p3-torments/keeps-body", 900_000).gets(&["200"]),
        get("p3-writes", "writes without end", 4, "p3-torments/writes-without-end").gets(&["200", "504"]),
    ];
    all.extend(hoards);
    all
}

/// Those that call others.
#[rustfmt::skip]
fn callers() -> Vec<Case> {
    vec![
        get("metadata", "calls the cloud's metadata", 8, "calls-out?to=http://169.254.169.254/latest/").gets(&["200"]),
        get("loopback", "calls the admin listener", 8, "calls-out?to=http://127.0.0.1:9090/metrics").gets(&["200"]),
        get("many-calls", "sends 10,000 requests at once", 2,
            "calls-many?n=10000&hold=500&to=http://127.0.0.1:1/").gets(&["200", "502"]),
        get("invokes-itself", "invokes itself, and so on", 2, "torments?do=invoke-itself&n=0")
            .gets(&["500", "508"]),
        call("invokes-a-hang", "invokes a package that hangs", 50, "GET /v1.0/invoke/hangs/method/hangs", "")
            .gets(&["504", "500", "502"]),
        call("invokes-a-trap", "invokes a package that traps", 8, "GET /v1.0/invoke/panics/method/panics", ""),
    ]
}

/// Those that fill the building blocks.
#[rustfmt::skip]
fn blocks() -> Vec<Case> {
    let state = "/v1.0/state/statestore";
    let nested = format!("{}1{}", "[".repeat(50_000), "]".repeat(50_000));
    let items: Vec<String> = (0..20_000).map(|n| format!("{{\"key\":\"k{n}\",\"value\":{n}}}")).collect();
    let items = format!("[{}]", items.join(","));
    let operations = items.replace("{\"key\"", "{\"operation\":\"upsert\",\"request\":{\"key\"").replace("},", "}},");
    let operations = operations.replace("}]", "}}]");
    let value = format!("[{{\"key\":\"big\",\"value\":\"{}\"}}]", "v".repeat(900_000));
    let events: Vec<String> = (0..9_000)
        .map(|n| format!("{{\"entryId\":\"{n}\",\"event\":{{\"a\":[[],[],[],{{}}]}},\"contentType\":\"application/json\"}}"))
        .collect();
    let events = format!("[{}]", events.join(","));
    vec![
        call("state-many", "saves 20,000 keys at once", 2, &format!("POST {state}"), &items),
        call("state-big", "saves a value of 900 KB", 2, &format!("POST {state}"), &value).gets(&["204", "504"]),
        call("state-transaction", "a transaction of 20,000 keys", 2, &format!("POST {state}/transaction"),
            &format!("{{\"operations\":{operations}}}")).gets(&["413", "204"]),
        call("state-nested", "saves a value of 50,000 brackets", 4, &format!("POST {state}"),
            &format!("[{{\"key\":\"deep\",\"value\":{nested}}}]")).gets(&["204", "400", "504"]),
        call("state-query", "queries all", 4, "POST /v1.0-alpha1/state/statestore/query", "{\"page\":{\"limit\":100000}}"),
        call("publish-bulk", "publishes 9,000 events at once", 2, "POST /v1.0/publish/bulk/pubsub/flood", &events),
        call("publish", "publishes to a topic that nobody takes", 8, "POST /v1.0/publish/pubsub/nobody", "{}")
            .gets(&["204"]),
        call("job", "schedules a job at once", 4, "POST /v1.0/jobs/j", "{\"dueTime\":\"0s\",\"overwrite\":true}")
            .gets(&["204", "200", "409"]),
        call("locks", "takes a lock and keeps it", 8, "POST /v1.0-alpha1/lock/lockstore",
            "{\"resourceId\":\"r\",\"lockOwner\":\"o\",\"expiryInSeconds\":600}").gets(&["200"]),
        call("metadata-put", "notes a long word in the metadata", 8, "PUT /v1.0/metadata/word", &"w".repeat(500_000)),
        call("subscribes-configuration", "subscribes to configuration again and again", 8,
            "GET /v1.0/configuration/configstore/subscribe", ""),
        call("secrets", "asks for all secrets", 8, "GET /v1.0/secrets/secretstore/bulk", "").gets(&["200", "403", "404"]),
        call("odd-path", "asks for what is no operation", 8, "GET /v1.0/state/statestore/..%2f..%2fother%00", ""),
    ]
}
