//! The end that is in memory: the SDK's stand-in of Dapr, which packages' own tests call.

use std::{cell::RefCell, rc::Rc};

use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::Value;
use wasmgate_sdk::{Request, Response, Router, client, testing};

use super::{
    app::{self, Got},
    case::{Step, folder},
    seen::Seen,
};
use crate::harness::Answer;

/// The stand-in of this thread, and what its app was sent.
pub(super) struct StandIn {
    dapr: testing::Dapr,
    log: Log,
    /// The call that the app is to make, and its answer.
    step: Rc<RefCell<Option<Step>>>,
    answer: Rc<RefCell<Option<Answer>>>,
}

type Log = Rc<RefCell<Vec<Got>>>;

/// Where the app is asked to make a call.
const CALL: &str = "/make-the-call";

impl StandIn {
    pub(super) fn new() -> Self {
        let (dapr, log) = (testing::dapr(), Log::default());
        let (step, answer) = (
            Rc::<RefCell<Option<Step>>>::default(),
            Rc::<RefCell<_>>::default(),
        );
        let (next, answers) = (step.clone(), answer.clone());
        let shop = router(&log).post(CALL, move |_: Request| {
            let (next, answers) = (next.clone(), answers.clone());
            async move {
                let step = next.take().unwrap();
                answers.replace(Some(make(&step).await));
                ""
            }
        });
        dapr.app("shop", shop);
        // Another app, which subscribes to nothing.
        let menu = Router::new().any("/{*rest}", |request: Request| match request.path() {
            "/dapr/subscribe" => Response::new(404),
            _ => got(request, &Log::default()),
        });
        dapr.app("menu", menu);
        let of = |name: &str| -> serde_json::Map<String, Value> {
            serde_json::from_str(&std::fs::read_to_string(folder().join(name)).unwrap()).unwrap()
        };
        for (key, item) in of("configuration.json") {
            let value = item.get("value").unwrap_or(&item);
            dapr.set_configuration("configstore", &key, value.as_str().unwrap());
        }
        for (name, value) in of("secrets.json") {
            set_secret(&dapr, &name, &value);
        }
        dapr.set_secret("envsecrets", "GREETING", "hello");
        dapr.outbox("outboxstate", "pubsub", "outbox");
        Self {
            dapr,
            log,
            step,
            answer,
        }
    }

    /// Makes a call, and delivers what comes of it.
    pub(super) fn call(&self, step: &Step) -> Seen {
        let mark = self.log.borrow().len();
        self.step.replace(Some(step.clone()));
        self.dapr.call("shop", Request::post(CALL));
        let answer = self.answer.take().unwrap();
        self.dapr.deliver_all();
        let Some(sent) = &step.sent else {
            return Seen::new(answer, &[]);
        };
        if let Some(job) = sent.at.strip_prefix("/job/") {
            self.dapr.run_job(&router(&self.log), job);
        }
        let log = self.log.borrow();
        let new = log
            .iter()
            .skip(mark)
            .filter(|got| got.uri.path() == sent.at);
        let sent: Vec<Got> = new.take(sent.times).cloned().collect();
        Seen::new(answer, &sent)
    }
}

fn router(log: &Log) -> Router {
    let log = log.clone();
    Router::new().any("/{*rest}", move |request| got(request, &log))
}

/// Answers as the app of every end does.
fn got(mut request: Request, log: &Log) -> Response {
    let target = match request.query_string() {
        "" => request.path().to_owned(),
        query => format!("{}?{query}", request.path()),
    };
    request.limit_body(usize::MAX);
    let got = Got {
        method: request.method().as_str().parse().unwrap(),
        uri: target.parse().unwrap(),
        headers: request.headers().clone(),
        body: testing::block_on(request.bytes()).unwrap().into(),
    };
    let (head, body) = app::answer(&got).into_parts();
    log.borrow_mut().push(got);
    let body = testing::block_on(body.collect()).unwrap().to_bytes();
    let mut response = Response::new(head.status).with_body(body);
    response.headers_mut().extend(head.headers);
    response
}

/// Puts a secret into its store by the names that a file of secrets gives to nested ones.
fn set_secret(dapr: &testing::Dapr, name: &str, value: &Value) {
    let nested: Vec<(String, &Value)> = match value {
        Value::String(text) => return dapr.set_secret("secretstore", name, text),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| (key.clone(), value))
            .collect(),
        Value::Array(items) => (0..).map(|at: usize| at.to_string()).zip(items).collect(),
        other => return dapr.set_secret("secretstore", name, &other.to_string()),
    };
    for (key, value) in nested {
        set_secret(dapr, &format!("{name}:{key}"), value);
    }
}

async fn make(step: &Step) -> Answer {
    let url = format!("http://localhost:3500{}", step.path);
    let mut call = client::request(step.method.parse().unwrap(), url).body(step.body.as_bytes());
    for (name, value) in &step.headers {
        call = call.header(name, value.as_bytes());
    }
    let answer = call.send().await.unwrap().limit_body(usize::MAX);
    Answer {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        body: Bytes::from(answer.bytes().await.unwrap()),
    }
}
