//! All that the stand-in holds, and which part of it a call is for.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answer::{Answer, answer_json, failure, refuse, text},
    events::{Events, uuid},
    jobs::Jobs,
    locks::Locks,
    path::{decode, raw_segments},
    state::{States, is_projection},
};
use crate::{Method, Request, Response, Router, client, params, testing::block_on};

/// The longest body of a call but an invocation: the sidecar's own default.
const BODY_MAX: usize = 4 * 1024 * 1024;

type Names<T> = RefCell<BTreeMap<String, T>>;
type Intercept = Rc<dyn Fn(&Request) -> Option<Result<Response, client::Error>>>;
type Binding = Rc<dyn Fn(&str, &Value) -> Option<String>>;

#[derive(Default)]
pub(super) struct World {
    pub(super) apps: Names<Rc<Router>>,
    pub(super) state: RefCell<States>,
    pub(super) events: RefCell<Events>,
    /// By store: pub/sub component and topic.
    pub(super) outboxes: Names<(String, String)>,
    pub(super) jobs: RefCell<Jobs>,
    pub(super) secrets: Names<BTreeMap<String, String>>,
    pub(super) configuration: Names<BTreeMap<String, String>>,
    pub(super) bindings: Names<Binding>,
    pub(super) intercept: RefCell<Option<Intercept>>,
    locks: RefCell<Locks>,
    /// Subscriptions to configuration: how many there ever were, and those that there are.
    watches: Cell<u64>,
    watching: RefCell<BTreeSet<String>>,
    /// The apps that run: each was called by the one before.
    running: RefCell<Vec<String>>,
}

impl World {
    pub(super) fn router(&self, id: &str) -> Option<Rc<Router>> {
        self.apps.borrow().get(id).cloned()
    }

    /// The app that is running, if one is.
    pub(super) fn running(&self) -> Option<String> {
        self.running.borrow().last().cloned()
    }

    /// Does something as an app.
    pub(super) fn run<T>(&self, app: &str, run: impl FnOnce() -> T) -> T {
        self.running.borrow_mut().push(app.to_owned());
        let done = run();
        self.running.borrow_mut().pop();
        done
    }

    pub(super) fn answer(&self, mut request: Request) -> Result<Response, client::Error> {
        // Not borrowed while it runs: it may look at the stand-in itself.
        let intercept = self.intercept.borrow().clone();
        if let Some(answer) = intercept.and_then(|look| look(&request)) {
            return answer;
        }
        let is_head = *request.method() == Method::HEAD;
        let answer = match self.invoke(&mut request) {
            Some(answer) => answer?,
            None => {
                request.limit_body(BODY_MAX);
                let body = block_on(request.bytes());
                let answer = body
                    .map_err(|_| failure(413, "ERR_BODY_TOO_LARGE", "the body is too long"))
                    .and_then(|body| self.block(&request, &body));
                answer.unwrap_or_else(|refusal| refusal)
            }
        };
        Ok(if is_head {
            answer.with_body("")
        } else {
            answer
        })
    }

    fn block(&self, request: &Request, body: &[u8]) -> Answer {
        let path = request.path().to_owned();
        let segments = raw_segments(&path).into_iter();
        let segments: Vec<String> = segments
            .map(|one| decode(&one.replace('+', "%20")))
            .collect::<Result<_, _>>()?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let method = request.method();
        // These were alpha once, and still answer there.
        let segments = match segments.as_slice() {
            ["v1.0-alpha1", rest @ ..]
                if matches!(
                    rest,
                    ["configuration" | "jobs", ..] | ["publish", "bulk", ..]
                ) =>
            {
                [&["v1.0"], rest].concat()
            }
            segments => segments.to_vec(),
        };
        match (method.as_str(), segments.as_slice()) {
            (_, ["v1.0", "healthz"] | ["v1.0", "healthz", "outbound"]) => self.health(request),
            ("PUT", ["v1.0", "metadata", _]) => Ok(Response::new(204)),
            ("POST", ["v1.0-alpha1", "lock", store]) => self.locks.borrow_mut().lock(store, body),
            ("POST", ["v1.0-alpha1", "unlock", store]) => self.locks.borrow_mut().unlock(store, body),
            (_, ["v1.0", "jobs", name]) => self.jobs.borrow_mut().answer(method, name, body),
            ("POST", ["v1.0-alpha1", "state", _, "query"]) => {
                let message = "state store does not support querying";
                refuse(500, "ERR_STATE_STORE_NOT_SUPPORTED", message)
            }
            ("PUT", segments) => self.component(&Method::POST, segments, request, body),
            (_, segments) => self.component(method, segments, request, body),
        }
    }

    fn component(&self, method: &Method, segments: &[&str], request: &Request, body: &[u8]) -> Answer {
        match (method.as_str(), segments) {
            (_, ["v1.0", "state", store, rest @ ..]) => {
                let mut states = self.state.borrow_mut();
                let answer = states.answer(method, store, rest, request, body)?;
                if let ["transaction"] = rest {
                    self.publish_changes(store, answer_json(body)?);
                }
                Ok(answer)
            }
            ("POST", ["v1.0", "publish", "bulk", pubsub, topic @ ..]) => {
                let source = self.source();
                let mut events = self.events.borrow_mut();
                events.take_bulk((pubsub, &topic.join("/")), &source, request, body)
            }
            ("POST", ["v1.0", "publish", pubsub, topic @ ..]) => {
                let source = self.source();
                let mut events = self.events.borrow_mut();
                events.take((pubsub, &topic.join("/")), &source, request, body)
            }
            ("POST", ["v1.0", "bindings", name]) => self.bind(name, body),
            ("GET", ["v1.0", "secrets", store, name]) => self.secret(store, name),
            ("GET", ["v1.0", "configuration", store, rest @ ..]) => self.configure(store, rest, request.query_string()),
            _ => refuse(404, "ERR_DIRECT_INVOKE", "no such call"),
        }
    }

    fn health(&self, request: &Request) -> Answer {
        if *request.method() != Method::GET {
            return refuse(404, "ERR_DIRECT_INVOKE", "no such call");
        }
        let (asked, running) = (request.query_param("appid"), self.running());
        match (asked, running) {
            (Some(asked), Some(running)) if *asked != running => refuse(
                500,
                "ERR_HEALTH_APPID_NOT_MATCH",
                "dapr app-id does not match",
            ),
            _ => Ok(Response::new(204)),
        }
    }

    /// The source of what is published now: the app that publishes it.
    pub(super) fn source(&self) -> String {
        self.running().unwrap_or_else(|| "test".to_owned())
    }

    /// Publishes what a transaction has saved, if its store has an outbox; a deletion is no event.
    fn publish_changes(&self, store: &str, transaction: Value) {
        let outboxes = self.outboxes.borrow();
        let Some((pubsub, topic)) = outboxes.get(store) else {
            return;
        };
        let operations = transaction.get("operations").and_then(Value::as_array);
        let saves: Vec<_> = operations
            .into_iter()
            .flatten()
            .filter(|operation| text(operation, "operation") == "upsert")
            .filter_map(|operation| operation.get("request"))
            .collect();
        let key = |save: &Value| text(save, "key").to_owned();
        for save in saves.iter().filter(|save| !is_projection(save)) {
            // What is published in place of the value, if anything is.
            let shown = saves
                .iter()
                .rfind(|other| is_projection(other) && key(other) == key(save));
            let mut envelope = serde_json::Map::new();
            let data = shown.unwrap_or(save).get("value").cloned();
            envelope.insert("data".to_owned(), data.unwrap_or_default());
            envelope.insert("datacontenttype".to_owned(), json!("application/json"));
            let metadata = save.get("metadata").and_then(Value::as_object);
            let attributes = metadata.into_iter().flatten();
            for (name, value) in attributes.filter(|(name, _)| name.starts_with("cloudevent.")) {
                envelope.insert(name.clone(), value.clone());
            }
            let source = self.source();
            let mut events = self.events.borrow_mut();
            events.publish((pubsub, topic), &source, envelope.into(), BTreeMap::new());
        }
    }

    fn bind(&self, name: &str, body: &[u8]) -> Answer {
        /// The body as the runtime reads it: `null` is as if the member were not there.
        #[derive(Deserialize)]
        struct Form {
            #[serde(rename = "operation")]
            _operation: Option<String>,
            #[serde(rename = "metadata")]
            _metadata: Option<BTreeMap<String, Option<String>>>,
        }
        let _: Option<Form> = answer_json(body)?;
        let body: Value = answer_json(body)?;
        let Some(binding) = self.bindings.borrow().get(name).cloned() else {
            let message = format!("couldn't find output binding {name}");
            return refuse(500, "ERR_INVOKE_OUTPUT_BINDING", &message);
        };
        Ok(match binding(text(&body, "operation"), &body) {
            Some(answer) => Response::text(answer),
            None => Response::new(204),
        })
    }

    fn secret(&self, store: &str, name: &str) -> Answer {
        let secrets = self.secrets.borrow();
        let Some(secrets) = secrets.get(store) else {
            let message = format!("there is no secret store {store}");
            return refuse(401, "ERR_SECRET_STORE_NOT_FOUND", &message);
        };
        if name == "bulk" {
            let one = |(name, value)| (name, BTreeMap::from([(name, value)]));
            return Ok(Response::json(
                &secrets.iter().map(one).collect::<BTreeMap<_, _>>(),
            ));
        }
        match secrets.get(name) {
            Some(value) => Ok(Response::json(&json!({name: value}))),
            None => {
                let message = format!("secret {name} not found");
                refuse(500, "ERR_SECRET_GET", &message)
            }
        }
    }

    fn configure(&self, store: &str, rest: &[&str], query: &str) -> Answer {
        match rest {
            ["subscribe"] => {
                self.watches.set(self.watches.get() + 1);
                let id = uuid(self.watches.get());
                self.watching.borrow_mut().insert(id.clone());
                Ok(Response::json(&json!({"id": id})))
            }
            [id, "unsubscribe"] => match self.watching.borrow_mut().remove(*id) {
                true => Ok(Response::json(&json!({"ok": true}))),
                false => {
                    let message = format!("there is no subscription {id:?}");
                    Ok(Response::json(&json!({"message": message})).with_status(500))
                }
            },
            _ => {
                let configuration = self.configuration.borrow();
                let keys: Vec<_> = params::query_pairs(query)
                    .filter(|(name, _)| name == "key")
                    .map(|(_, key)| key)
                    .collect();
                let wanted = |key: &&String| keys.is_empty() || keys.iter().any(|k| k == key.as_str());
                let items = configuration.get(store).into_iter().flatten();
                let items = items
                    .filter(|(key, _)| wanted(key))
                    .map(|(key, value)| (key.clone(), json!({"value": value})));
                let items: serde_json::Map<_, _> = items.collect();
                Ok(match items.is_empty() {
                    true => Response::new(204),
                    false => Response::json(&items),
                })
            }
        }
    }
}
