//! All that the stand-in holds, and which part of it a call is for.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use serde_json::{Value, json};

use super::{
    answer::{Answer, answer_json, failure, refuse, text},
    events::Events,
    state::{States, is_projection},
};
use crate::{
    Method, Request, Response, Router, client, params,
    pattern::cut,
    percent,
    testing::{block_on, respond},
};

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
    pub(super) jobs: Names<Value>,
    pub(super) secrets: Names<BTreeMap<String, String>>,
    pub(super) configuration: Names<BTreeMap<String, String>>,
    pub(super) bindings: Names<Binding>,
    pub(super) intercept: RefCell<Option<Intercept>>,
    /// By store and resource: the owner.
    locks: RefCell<BTreeMap<(String, String), String>>,
    watches: Cell<u64>,
}

impl World {
    pub(super) fn router(&self, id: &str) -> Option<Rc<Router>> {
        self.apps.borrow().get(id).cloned()
    }

    pub(super) fn answer(&self, mut request: Request) -> Result<Response, client::Error> {
        // Not borrowed while it runs: it may look at the stand-in itself.
        let intercept = self.intercept.borrow().clone();
        if let Some(answer) = intercept.and_then(|look| look(&request)) {
            return answer;
        }
        if let Some(rest) = request.path().strip_prefix("/v1.0/invoke/") {
            let app = percent::decode(cut(rest, b'/').0).into_owned();
            return self.invoke(&app, request);
        }
        let path = request.path().to_owned();
        let segments: Vec<Cow<'_, str>> = path.split('/').skip(1).map(percent::decode).collect();
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        let body = match block_on(request.bytes()) {
            Ok(body) => body,
            Err(error) => return Err(client::Error::Other(error.to_string())),
        };
        let answer = self.block(&request, &segments, &body);
        Ok(answer.unwrap_or_else(|refusal| refusal))
    }

    fn block(&self, request: &Request, segments: &[&str], body: &[u8]) -> Answer {
        let method = match request.method() {
            Method::Put => &Method::Post,
            method => method,
        };
        match (method, segments) {
            (_, ["v1.0", "state", store, rest @ ..]) => {
                let mut states = self.state.borrow_mut();
                let answer = states.answer(method, store, rest, request, body)?;
                if let ["transaction"] = rest {
                    self.publish_changes(store, answer_json(body)?);
                }
                Ok(answer)
            }
            (Method::Post, ["v1.0", "publish", "bulk", pubsub, topic @ ..]) => {
                let mut events = self.events.borrow_mut();
                events.take_bulk(pubsub, &topic.join("/"), body)
            }
            (Method::Post, ["v1.0", "publish", pubsub, topic @ ..]) => {
                let mut events = self.events.borrow_mut();
                events.take(pubsub, &topic.join("/"), request, body)
            }
            (Method::Post, ["v1.0", "bindings", name]) => self.bind(name, body),
            (Method::Get, ["v1.0", "secrets", store, name]) => self.secret(store, name),
            (Method::Get, ["v1.0", "configuration", store, rest @ ..]) => {
                self.configure(store, rest, request.query_string())
            }
            (Method::Post, ["v1.0-alpha1", "lock", store]) => self.lock(store, body),
            (Method::Post, ["v1.0-alpha1", "unlock", store]) => self.unlock(store, body),
            (_, ["v1.0", "jobs", name]) => self.schedule(method, name, body),
            _ => refuse(404, "ERR_DIRECT_INVOKE", "no such call"),
        }
    }

    fn invoke(&self, app: &str, mut request: Request) -> Result<Response, client::Error> {
        let target = match request.target().split_once("/method") {
            Some((_, "")) | None => "/".to_owned(),
            Some((_, target)) => target.to_owned(),
        };
        match self.router(app) {
            Some(router) => {
                request.set_target(target);
                respond(&router, request)
            }
            None => {
                let message = format!("failed to invoke, id: {app}, err: couldn't find service: {app}");
                Ok(failure(500, "ERR_DIRECT_INVOKE", &message))
            }
        }
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
            let envelope = json!({
                "data": shown.unwrap_or(save).get("value"),
                "datacontenttype": "application/json",
            });
            self.events.borrow_mut().publish(pubsub, topic, envelope);
        }
    }

    fn bind(&self, name: &str, body: &[u8]) -> Answer {
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
                Ok(Response::json(
                    &json!({"id": self.watches.get().to_string()}),
                ))
            }
            [_, "unsubscribe"] => Ok(Response::json(&json!({"ok": true}))),
            _ => {
                let configuration = self.configuration.borrow();
                let keys: Vec<_> = params::query_pairs(query)
                    .filter(|(name, _)| name == "key")
                    .map(|(_, key)| key)
                    .collect();
                let wanted = |key: &&String| keys.is_empty() || keys.iter().any(|k| k == key.as_str());
                let items = configuration.get(store).into_iter().flatten();
                let items = items.filter(|(key, _)| wanted(key)).map(|(key, value)| {
                    let item = json!({"value": value, "version": "1"});
                    (key.clone(), item)
                });
                let items: serde_json::Map<_, _> = items.collect();
                Ok(match items.is_empty() {
                    true => Response::new(204),
                    false => Response::json(&items),
                })
            }
        }
    }

    fn lock(&self, store: &str, body: &[u8]) -> Answer {
        let (lock, owner) = lock_of(store, body)?;
        let mut locks = self.locks.borrow_mut();
        let free = !locks.contains_key(&lock);
        if free {
            locks.insert(lock, owner);
        }
        Ok(Response::json(&json!({"success": free})))
    }

    fn unlock(&self, store: &str, body: &[u8]) -> Answer {
        let (lock, owner) = lock_of(store, body)?;
        let mut locks = self.locks.borrow_mut();
        let status = match locks.get(&lock) {
            None => 1,
            Some(holder) if *holder != owner => 2,
            Some(_) => {
                locks.remove(&lock);
                0
            }
        };
        Ok(Response::json(&json!({"status": status})))
    }

    fn schedule(&self, method: &Method, name: &str, body: &[u8]) -> Answer {
        let mut jobs = self.jobs.borrow_mut();
        match method {
            Method::Get => match jobs.get(name) {
                Some(job) => Ok(Response::json(job)),
                None => {
                    let message = format!("rpc error: code = NotFound desc = job not found: {name}");
                    refuse(500, "DAPR_SCHEDULER_GET_JOB", &message)
                }
            },
            Method::Delete => {
                jobs.remove(name);
                Ok(Response::new(204))
            }
            _ => {
                let job: Value = answer_json(body)?;
                if jobs.contains_key(name) && job.get("overwrite") != Some(&Value::Bool(true)) {
                    let message = format!("rpc error: code = AlreadyExists desc = job already exists: '{name}'");
                    return refuse(500, "DAPR_SCHEDULER_SCHEDULE_JOB", &message);
                }
                jobs.insert(name.to_owned(), job);
                Ok(Response::new(204))
            }
        }
    }
}

fn lock_of(store: &str, body: &[u8]) -> Result<((String, String), String), Response> {
    let body: Value = answer_json(body)?;
    let lock = (store.to_owned(), text(&body, "resourceId").to_owned());
    Ok((lock, text(&body, "lockOwner").to_owned()))
}
