//! The types that may go to another thread, the same natively and in a component: otherwise code would pass `cargo
//! test` and not build for the gateway, or the other way round. Nothing here runs; it compiles for both, or for
//! neither.

use crate::{
    Answer, Body, BodyError, BodyWriter, Error, Event, EventWriter, HeaderMap, IfMatch, Method, Multipart, Next,
    Redirect, Request, Response, Router, SetCookie, StatusCode, client, files::File, layer, time,
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
    StatusCode,
    SetCookie,
    Redirect,
    IfMatch,
    File,
    layer::Cors,
    Event,
    BodyError,
    client::Error,
];

are_never_send![
    Answer,
    Body,
    BodyWriter,
    Error,
    EventWriter,
    Response,
    Router,
    Next,
    Multipart,
    client::Call,
    client::Response,
];

#[cfg(feature = "dapr")]
are_send![
    crate::dapr::Error,
    crate::dapr::state::Store,
    crate::dapr::state::Etag,
    crate::dapr::state::Save,
    crate::dapr::state::Transaction,
    crate::dapr::pubsub::PubSub,
    crate::dapr::pubsub::Message,
    crate::dapr::jobs::Job,
    crate::dapr::lock::Lock,
    crate::dapr::bindings::Operation,
];

#[cfg(feature = "dapr")]
are_never_send![
    crate::dapr::invoke::Invocation,
    crate::dapr::pubsub::Subscription,
];

const _: fn() = || {
    fn of<T: Send>(_: &T) {}
    of(&time::sleep(std::time::Duration::ZERO));
};

fn send<T: Send>() {}
