//! Failures that only words tell: Dapr has no status and no code for them. The words of its components
//! stand in the sources of Dapr 1.18's components, and Redis' in what Redis 6 and 7 answer.

/// The meaning of a failure that only words tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is nothing of the name.
    Missing,
    /// There is something of the name already.
    Exists,
    /// Somebody else wrote first, or the ETag is none that the store ever gave.
    Mismatch,
    /// The component is not there.
    Unreachable,
    /// The component took too long.
    TimedOut,
}

/// Stores' words for a failed precondition of a write, in lower case.
const MISMATCH: &[&str] = &[
    // Dapr, for every store that tells it so: `state.ETagMismatch`, `state.ETagInvalid`.
    "possible etag mismatch",
    "invalid etag value",
    // The gateway's embedded store.
    "is no etag of this store",
    // PostgreSQL, CockroachDB, SQL Server, Oracle: `create` of a key that is there.
    "no item was updated",
    // The same where the key is a primary key.
    "unique constraint",
    "primary key constraint",
    "duplicate key",
    "duplicate entry",
    "blobalreadyexists",
    "node already exists",
    // ZooKeeper, Azure's blobs and tables, DynamoDB.
    "version conflict",
    "conditionnotmet",
    "conditionalcheckfailed",
    // Cosmos DB, in a transaction.
    "failed with status code 409",
    "failed with status code 412",
    // Two transactions met, and this one was undone: PostgreSQL, MySQL, SQL Server, MongoDB.
    "deadlock",
    "sqlstate 40001",
    "writeconflict",
];

/// Words of a store's client that found nobody.
const UNREACHABLE: &[&str] = &[
    "dial tcp",
    "dial unix",
    "connection refused",
    "connection reset",
    "broken pipe",
    "no such host",
    "no route to host",
    "closed network connection",
    // PostgreSQL's client, and Redis' when its connection ends.
    "conn closed",
    "failed to connect",
    ": eof",
    "unexpected eof",
    // PostgreSQL that is about to end, or not there yet; Redis that still loads.
    "sqlstate 57p",
    "loading redis is loading",
];

/// Words of a store's client that waited for too long.
const TIMED_OUT: &[&str] = &[
    "i/o timeout",
    "deadline exceeded",
    "connection pool timeout",
];

/// Reads the meaning of a failure, if its words tell.
pub(super) fn refusal(code: &str, status: u16, message: &str) -> Option<Refusal> {
    let message = message.to_ascii_lowercase();
    match code {
        "ERR_SECRET_GET" => any(&message, &["not found", "has no secret"], Refusal::Missing),
        "ERR_INVOKE_OUTPUT_BINDING" => any(
            &message,
            &["couldn't find output binding"],
            Refusal::Missing,
        ),
        _ if code.starts_with("DAPR_SCHEDULER_") => scheduler_refusal(&message),
        _ if code.starts_with("ERR_STATE_") => state_refusal(code, status, &message),
        _ => None,
    }
}

/// The scheduler speaks gRPC, and Dapr answers 500 with its status as text.
fn scheduler_refusal(message: &str) -> Option<Refusal> {
    any(message, &["code = notfound"], Refusal::Missing)
        .or_else(|| any(message, &["code = alreadyexists"], Refusal::Exists))
        .or_else(|| any(message, &["code = unavailable"], Refusal::Unreachable))
        .or_else(|| any(message, &["code = deadlineexceeded"], Refusal::TimedOut))
}

fn state_refusal(code: &str, status: u16, message: &str) -> Option<Refusal> {
    let writes = matches!(
        code,
        "ERR_STATE_SAVE" | "ERR_STATE_DELETE" | "ERR_STATE_TRANSACTION"
    );
    // First, because some components take every failure of a write with an ETag for a mismatch.
    any(message, UNREACHABLE, Refusal::Unreachable)
        .or_else(|| any(message, TIMED_OUT, Refusal::TimedOut))
        .or_else(|| {
            let mismatch = matches!(status, 409 | 412)
                || MISMATCH.iter().any(|words| message.contains(words))
                || (message.contains("the etag") && message.contains("not match"))
                || redis_says(code, message);
            (writes && mismatch).then_some(Refusal::Mismatch)
        })
}

/// Redis' script says `failed to set key` or `failed to delete`; so does the component around it, whatever failed,
/// but for transactions.
fn redis_says(code: &str, message: &str) -> bool {
    let script = message.contains("user_script") || code == "ERR_STATE_TRANSACTION";
    script && (message.contains("failed to set key") || message.contains("failed to delete"))
}

fn any(message: &str, words: &[&str], refusal: Refusal) -> Option<Refusal> {
    let found = words.iter().any(|words| message.contains(words));
    found.then_some(refusal)
}
