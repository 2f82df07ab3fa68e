//! The packages' subscriptions, collected into one list for the sidecar.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::body::{Body, Bytes};
use futures_util::future::join_all;
use http::{HeaderMap, Method, Response, StatusCode};
use tokio::time::{sleep, timeout};

use super::delivery::{json_answer, send, text_answer};
use crate::{
    app::AppId,
    sidecar::{
        fanout::{FanOut, SubscriptionError},
        shared::Shared,
    },
};

/// The wait of the sidecar's question for subscriptions until every package has told its own.
/// The sidecar asks once, so an early answer would miss some for good.
const SUBSCRIPTIONS_PATIENCE: Duration = Duration::from_secs(60);

/// The wait of an event until the packages that may want it have told their subscriptions. Shorter than what a
/// sidecar may give one try of a delivery, such as the 5 s of the shipped overlay.
const EVENT_PATIENCE: Duration = Duration::from_secs(3);

/// Between two tries to ask a package for its subscriptions.
const FETCH_PERIOD: Duration = Duration::from_millis(500);

/// Tries before a package that does not answer is taken to have no subscriptions: one broken
/// package must not keep events from all others.
const FETCH_TRIES: u32 = 60;

/// Asks every package for its subscriptions until it answers. Those of one that has answered hold at once: one that
/// does not may not keep the events of the others waiting.
pub(in crate::sidecar) async fn fetch_subscriptions(shared: Arc<Shared>) {
    ask(&shared, shared.granted_apps()).await;
    shared.subscriptions_known.send_replace(true);
}

/// Asks these for their subscriptions.
pub(in crate::sidecar) async fn ask(shared: &Shared, apps: Vec<AppId>) {
    let asked = apps.iter().map(|app| async move {
        let answer = fetch(shared, app).await;
        take_answer(shared, app, answer);
    });
    join_all(asked).await;
}

/// Takes the subscriptions of apps out that are not there any more, or may have none.
pub(in crate::sidecar) fn retain(shared: &Shared, apps: &[AppId]) {
    shared.subscriptions.send_modify(|known| {
        known.retain(|app, _| apps.contains(app));
        join(shared, known);
    });
}

fn take_answer(shared: &Shared, app: &AppId, answer: Bytes) {
    shared.subscriptions.send_modify(|known| {
        known.insert(app.clone(), answer);
        let errors = join(shared, known).into_iter();
        let own = errors.filter(|error| error.app == *app);
        shared
            .left_out
            .tell(app, own.map(|error| (error.topic, error.reason)).collect());
    });
}

/// Puts together what the apps have told.
fn join(shared: &Shared, known: &BTreeMap<AppId, Bytes>) -> Vec<SubscriptionError> {
    let answers = known.iter().map(|(app, answer)| (app, answer.as_ref()));
    let (mut fan_out, mut errors) = FanOut::new(answers);
    errors.extend(fan_out.retain_granted(&shared.apps.load()));
    shared.fan_out.store(Arc::new(fan_out));
    errors
}

async fn fetch(shared: &Shared, app: &AppId) -> Bytes {
    for _ in 0..FETCH_TRIES {
        match send(
            shared,
            app,
            Method::GET,
            "/dapr/subscribe",
            &HeaderMap::new(),
            Bytes::new(),
        )
        .await
        {
            Ok((status, body)) if status.is_success() => return body,
            Ok((StatusCode::NOT_FOUND, _)) => return Bytes::new(),
            Ok((status, _)) => tracing::warn!(app_id = %app, %status, "no subscriptions yet"),
            Err(reason) => tracing::debug!(app_id = %app, reason, "no subscriptions yet"),
        }
        sleep(FETCH_PERIOD).await;
    }
    tracing::error!(app_id = %app, "the app never told its subscriptions; it gets no events");
    Bytes::new()
}

/// Answers `GET /dapr/subscribe`.
pub(super) async fn answer(shared: &Shared) -> Response<Body> {
    let mut asked = shared.subscriptions_known.subscribe();
    if timeout(SUBSCRIPTIONS_PATIENCE, asked.wait_for(|asked| *asked))
        .await
        .is_err()
    {
        return text_answer(
            StatusCode::SERVICE_UNAVAILABLE,
            "packages are still starting",
        );
    }
    let fan_out = shared.fan_out.load_full();
    *shared.told.lock() = Some(fan_out.topics());
    json_answer(&fan_out.document())
}

/// Returns whether every package that may subscribe to a topic has told its subscriptions. A sidecar that has
/// subscribed already sends events to a gateway that has just started: taken before, they would be nobody's, and gone.
pub(super) async fn are_known(shared: &Shared, pubsub: &str, topic: &str) -> bool {
    let mut may = shared.granted_apps();
    may.retain(|app| shared.grants_subscription(app, pubsub, topic));
    let mut subscriptions = shared.subscriptions.subscribe();
    let all = subscriptions.wait_for(|known| may.iter().all(|app| known.contains_key(app)));
    timeout(EVENT_PATIENCE, all)
        .await
        .is_ok_and(|known| known.is_ok())
}
