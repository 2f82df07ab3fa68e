//! The response's body: what the guest has already finished is sent as a whole with its length; otherwise reading the
//! body drives the guest.

use std::{
    collections::VecDeque,
    future::Future as _,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use tokio::task::JoinHandle;
use wasmtime_wasi_http::WasiBody;

use super::{answer::fit_trailers, label::Label, pace::Pace};
use crate::{error::Failure, metrics::RouteMetrics, request_log::RequestLine};

/// A body that was aborted: the connection is cut, since the head has been sent.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The guest failed after its head.
    #[error("the guest failed after its head: {}", .0.reason())]
    Guest(Failure),
    /// The guest's body broke off.
    #[error("the guest's body broke off: {0}")]
    Broken(#[from] wasmtime_wasi_http::Error),
}

/// Observes a request's duration when it is dropped, at the end of the response.
#[derive(Debug)]
pub(crate) struct RouteTimer {
    metrics: std::sync::Arc<RouteMetrics>,
    started: Instant,
}

impl RouteTimer {
    /// Starts at the request's head.
    pub(crate) fn start(metrics: std::sync::Arc<RouteMetrics>) -> Self {
        Self {
            metrics,
            started: Instant::now(),
        }
    }
}

impl Drop for RouteTimer {
    fn drop(&mut self) {
        self.metrics
            .duration
            .observe(self.started.elapsed().as_secs_f64());
    }
}

/// A running guest; dropping it stops the guest.
#[derive(Debug)]
pub(super) struct GuestTask(Option<JoinHandle<Result<(), Failure>>>);

impl GuestTask {
    pub(super) fn new(task: JoinHandle<Result<(), Failure>>) -> Self {
        Self(Some(task))
    }

    /// Waits for the guest's end.
    pub(super) async fn ended(&mut self) -> Result<(), Failure> {
        match self.0.as_mut() {
            Some(task) => flatten(task.await),
            None => Ok(()),
        }
    }

    /// The guest's failure, if it has ended with one. A guest that still runs after a finished response is detached:
    /// its deadline ends it.
    pub(super) fn failure(&mut self, cx: &mut Context<'_>) -> Option<Failure> {
        let task = self.0.as_mut()?;
        let outcome = Pin::new(task).poll(cx);
        self.0 = None;
        match outcome {
            Poll::Pending => None,
            Poll::Ready(result) => flatten(result).err(),
        }
    }

    /// Detaches a guest that has finished its response: its deadline ends it.
    pub(super) fn detach(mut self) {
        self.0 = None;
    }
}

impl Drop for GuestTask {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

fn flatten(joined: Result<Result<(), Failure>, tokio::task::JoinError>) -> Result<(), Failure> {
    joined.unwrap_or_else(|error| {
        tracing::error!(%error, "a guest's task ended abnormally");
        Err(Failure::GuestTrap)
    })
}

/// The log message for a body that was aborted or has the wrong length.
fn broken(error: &wasmtime_wasi_http::Error) -> String {
    format!("its body ended in an error: {error}")
}

/// A guest's response body.
pub struct GuestBody {
    /// Frames that were ready together with the head.
    ready: VecDeque<Frame<Bytes>>,
    /// The rest of the body, with the guest that writes it.
    rest: Option<Rest>,
    _timer: Option<RouteTimer>,
    /// Its line in the access log, written at the end.
    line: Option<Box<RequestLine>>,
}

/// A body that is still being written.
struct Rest {
    body: WasiBody,
    task: GuestTask,
    label: Label,
    /// The idle time-out, if the package has one.
    pace: Option<Box<Pace>>,
}

impl GuestBody {
    /// An empty body without a guest.
    pub(super) fn none() -> Self {
        Self {
            ready: VecDeque::new(),
            rest: None,
            _timer: None,
            line: None,
        }
    }

    /// Collects what the guest has written so far; if that is all, the length is known.
    pub(super) fn gather(
        mut body: WasiBody,
        mut task: GuestTask,
        timer: Option<RouteTimer>,
        label: &Label,
        pace: Option<Box<Pace>>,
        cx: &mut Context<'_>,
    ) -> Result<Self, Failure> {
        let mut ready = VecDeque::new();
        loop {
            match Pin::new(&mut body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => ready.push_back(frame),
                Poll::Pending => break,
                // Nothing has been sent yet, so this can still become an error response.
                Poll::Ready(Some(Err(error))) => {
                    return Err(task
                        .failure(cx)
                        .unwrap_or_else(|| label.failed(Failure::GuestBadResponse, &broken(&error))));
                }
                Poll::Ready(None) => {
                    return match task.failure(cx) {
                        Some(failure) => Err(failure),
                        None => Ok(Self {
                            ready,
                            rest: None,
                            _timer: timer,
                            line: None,
                        }),
                    };
                }
            }
        }
        Ok(Self {
            ready,
            rest: Some(Rest {
                body,
                task,
                label: label.clone(),
                pace,
            }),
            _timer: timer,
            line: None,
        })
    }

    /// Writes the request's log line when the body ends.
    pub(crate) fn with_line(mut self, line: Option<Box<RequestLine>>, status: StatusCode) -> Self {
        self.line = line;
        if let Some(line) = &mut self.line {
            line.answered(status);
        }
        self
    }

    fn next_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(frame) = self.ready.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        let Rest {
            body,
            task,
            label,
            pace,
        } = rest;
        match Pin::new(body).poll_frame(cx) {
            Poll::Pending => {
                let Some(pace) = pace else {
                    return Poll::Pending;
                };
                let late = ready!(pace.poll_late(label, cx));
                // Stops the guest.
                self.rest = None;
                Poll::Ready(Some(Err(BodyError::Guest(late))))
            }
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(pace) = pace {
                    pace.kept();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(match task.failure(cx) {
                Some(failure) => BodyError::Guest(failure),
                None => {
                    label.failed(Failure::GuestBadResponse, &broken(&error));
                    error.into()
                }
            }))),
            // The store of a guest that died ends its body as if it were complete: check the guest.
            Poll::Ready(None) => {
                let failure = task.failure(cx);
                self.rest = None;
                Poll::Ready(failure.map(|failure| Err(BodyError::Guest(failure))))
            }
        }
    }
}

impl Drop for GuestBody {
    fn drop(&mut self) {
        let is_whole = self.is_end_stream();
        if let Some(line) = &mut self.line
            && !is_whole
        {
            line.left();
        }
    }
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut frame = self.next_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &mut frame {
            frame.trailers_mut().map(fit_trailers);
        }
        if let Some(line) = &mut self.line {
            match &frame {
                Poll::Ready(Some(Ok(frame))) => line.sent(frame.data_ref().map_or(0, Bytes::len)),
                Poll::Ready(Some(Err(BodyError::Guest(failure)))) => line.cut(failure.reason()),
                Poll::Ready(Some(Err(BodyError::Broken(_)))) => line.cut(Failure::GuestBadResponse.reason()),
                Poll::Ready(None) | Poll::Pending => {}
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_empty() && self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let known = self
            .ready
            .iter()
            .filter_map(Frame::data_ref)
            .map(|data| data.len() as u64)
            .sum();
        let mut hint = SizeHint::new();
        hint.set_lower(known);
        // Trailers require a chunked body.
        if self.rest.is_none() && self.ready.iter().all(Frame::is_data) {
            hint.set_exact(known);
        }
        hint
    }
}
