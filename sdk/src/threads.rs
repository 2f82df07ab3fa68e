//! The types that may go to another thread, the same natively and in a component: otherwise code would pass `cargo
//! test` and not build for the gateway, or the other way round. Nothing here runs; it compiles for both, or for
//! neither.

use crate::{
    Answer, Body, BodyError, BodyWriter, Error, Event, EventWriter, HeaderMap, Method, Request, Response, Router,
    client, dapr, time,
};

macro_rules! are_send {
    ($($type:ty),* $(,)?) => { $(const _: fn() = || send::<$type>();)* };
}

/// A type that is `Send` has two implementations of the trait here, and the compiler cannot choose.
macro_rules! are_never_send {
    ($($type:ty),* $(,)?) => { $(const _: fn() = || {
        trait OnlyOne<A> {
            fn it() {}
        }
        struct WhenSend;
        impl<T: ?Sized> OnlyOne<()> for T {}
        impl<T: ?Sized + Send> OnlyOne<WhenSend> for T {}
        let _ = <$type as OnlyOne<_>>::it;
    };)* };
}

are_send![
    Request,
    HeaderMap,
    Method,
    Event,
    BodyError,
    client::Error,
    dapr::Error,
    dapr::state::Store,
    dapr::state::Etag,
    dapr::state::Save,
    dapr::state::Transaction,
    dapr::pubsub::PubSub,
    dapr::pubsub::Message,
    dapr::jobs::Job,
    dapr::lock::Lock,
    dapr::bindings::Operation,
];

are_never_send![
    Answer,
    Body,
    BodyWriter,
    Error,
    EventWriter,
    Response,
    Router,
    client::Call,
    client::Response,
    dapr::invoke::Invocation,
    dapr::pubsub::Subscription,
];

const _: fn() = || {
    fn of<T: Send>(_: &T) {}
    of(&time::sleep(std::time::Duration::ZERO));
};

fn send<T: Send>() {}
